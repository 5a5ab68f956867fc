"""Pipelines: this GitLab runs none; whoever plays the runner sets their states (scenario B)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from integrations.sandbox.gitlab import payloads
from integrations.sandbox.gitlab.state import Json, next_iid, stamp
from integrations.sandbox.gitlab.views import user_json
from integrations.sandbox.gitlab.web import Access, ApiError, Call, answer, blocking, page, route

if TYPE_CHECKING:
    from integrations.sandbox.gitlab.app import GitLab

FINISHED = ("success", "failed", "canceled", "skipped")


class Pipelines:
    """The pipelines of one GitLab."""

    # A pipeline's jobs are its stages' names, all in the pipeline's own state.

    def __init__(self, gitlab: GitLab) -> None:
        self.gitlab = gitlab

    def last_of(self, project: Json, sha: str) -> Json | None:
        """Return the newest pipeline of a commit."""
        rows: list[Json] = project["pipelines"]
        return next((row for row in reversed(rows) if row["sha"] == sha), None)

    def short(self, project: Json, row: Json) -> Json:
        """Return a pipeline as lists and merge requests do."""
        kept = ("id", "iid", "sha", "ref", "status", "source", "created_at", "updated_at", "name")
        web = f"{self.gitlab.base_url}/{project['path_with_namespace']}/-/pipelines/{row['id']}"
        return {name: row[name] for name in kept} | {"project_id": project["id"], "web_url": web}

    async def create(
        self, project: Json, ref: str, user: Json, *, stages: list[str], source: str = "push"
    ) -> Json:
        """Start a pipeline on a ref; 400 where there is none."""
        repository = self.gitlab.open(project)
        sha = await blocking(repository.resolve, ref)
        if sha is None:
            raise ApiError(400, {"base": ["Reference not found"]})
        now = stamp(self.gitlab.world.now())
        # A bare name in `ref`: only this flag tells a tag from a branch.
        is_tag = await blocking(repository.tip, ref) is None
        row = {
            "id": self.gitlab.state.next_id("pipeline"),
            "iid": next_iid(project, "pipeline"),
            "name": None,
            "sha": sha,
            "before_sha": "0" * 40,
            "ref": ref,
            "tag": is_tag,
            "status": "created",
            "source": source,
            "stages": stages,
            "user_id": user["id"],
            "created_at": now,
            "updated_at": now,
            "finished_at": None,
            "duration": None,
        }
        project["pipelines"].append(row)
        # Created and pending come in one breath: nobody is told of `created`.
        await self.set_status(project, row, "pending")
        return row

    async def set_status(self, project: Json, row: Json, status: str) -> None:
        """Move a pipeline and send its hook: one event for each change."""
        now = self.gitlab.world.now()
        # Hooks of several changes may overtake each other: the API's time is what orders them.
        row["status"], row["updated_at"] = status, stamp(now)
        if status in FINISHED:
            row["finished_at"] = stamp(now)
            row["duration"] = 60
        self.gitlab.world.touch()
        commit = await blocking(self.gitlab.open(project).commit, row["sha"])
        user = self.gitlab.state.users[row["user_id"]]
        body = payloads.pipeline(self.gitlab.base_url, project, row, commit, user, None)
        self.gitlab.webhooks.fire(project, "pipeline", body)


async def list_pipelines(call: Call) -> Response:
    """GET .../pipelines, newest first."""
    rows = [row for row in reversed(call.project["pipelines"]) if _wanted(call, row)]
    return page(call, [call.gitlab.pipelines.short(call.project, row) for row in rows])


def _wanted(call: Call, row: Json) -> bool:
    return all(call.text(name, row[name]) == row[name] for name in ("sha", "ref", "status", "source"))


async def get_pipeline(call: Call) -> Response:
    """GET .../pipelines/:id."""
    rows: list[Json] = call.project["pipelines"]
    row = next((row for row in rows if str(row["id"]) == call.path("pipeline")), None)
    if row is None:
        raise ApiError(404, "404 Not found")
    user = user_json(call.gitlab.base_url, call.gitlab.state.users[row["user_id"]])
    more = {name: row[name] for name in ("before_sha", "tag", "finished_at", "duration")}
    return answer(call.gitlab.pipelines.short(call.project, row) | more | {"user": user})


async def create_pipeline(call: Call) -> Response:
    """POST .../pipeline {ref}."""
    call.require("ref")
    stages = ["build", "update_manifest", "open_MR"]
    row = await call.gitlab.pipelines.create(
        call.project, call.text("ref"), call.actor, stages=stages, source="api"
    )
    return answer(call.gitlab.pipelines.short(call.project, row), 201)


ROUTES = [
    route("GET", "/projects/{id}/pipelines", Access.READ, list_pipelines),
    route("POST", "/projects/{id}/pipeline", Access.WRITE, create_pipeline),
    route("GET", "/projects/{id}/pipelines/{pipeline}", Access.READ, get_pipeline),
]
