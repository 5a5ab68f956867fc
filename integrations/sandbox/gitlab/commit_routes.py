"""The commit endpoints (reference gitlab-api.md, "Commits")."""

from __future__ import annotations

from starlette.responses import Response

from integrations.sandbox.gitlab.commits import Draft, commit_actions, parent_of, select_commits
from integrations.sandbox.gitlab.git import Commit, FileDiff, Repository
from integrations.sandbox.gitlab.mr_views import short_json
from integrations.sandbox.gitlab.state import Json, stamp
from integrations.sandbox.gitlab.views import commit_json, diff_json, stats_json, user_json
from integrations.sandbox.gitlab.web import (
    Access,
    ApiError,
    Call,
    answer,
    blocking,
    page,
    part,
    route,
    window,
)

STATES = ("pending", "running", "success", "failed", "canceled", "skipped")


async def create_commit(call: Call) -> Response:
    """POST .../repository/commits: all actions in one commit or none."""
    call.require("branch", "commit_message", "actions")
    actions = call.params["actions"]
    # A wrong type is Grape's business, which answers before any application code: the key is `error`.
    if not isinstance(actions, list) or not all(isinstance(action, dict) for action in actions):
        raise ApiError(400, {"error": "actions is invalid"})
    commit, _ = await commit_actions(call, Draft.of(call, actions))
    return answer(await blocking(_full, call, commit), 201)


def _full(call: Call, revision: str) -> Json:
    commit, diffs = _with_diff(call.repository, revision)
    pipeline = call.gitlab.pipelines.last_of(call.project, commit.id)
    # The answer to a write names the parents: the only way to see that another commit slipped in between.
    return commit_json(call.gitlab.base_url, call.project, commit, trailers=True) | {
        "stats": stats_json(diffs),
        "status": pipeline["status"] if pipeline else None,
        "project_id": call.project["id"],
        "last_pipeline": call.gitlab.pipelines.short(call.project, pipeline) if pipeline else None,
    }


def _with_diff(repository: Repository, revision: str) -> tuple[Commit, list[FileDiff]]:
    commit = repository.commit(revision)
    if commit is None:
        raise ApiError(404, "404 Commit Not Found")
    return commit, repository.diff(parent_of(commit), commit.id)


async def list_commits(call: Call) -> Response:
    """GET .../repository/commits: pages without totals."""
    number, size = window(call)
    skip = (number - 1) * size
    # One more than asked for tells whether there is a next page: commit lists have no totals (gitlab-api.md).
    commits = await blocking(select_commits, call.repository, call, skip=skip, limit=size + 1)
    # A client that forgets ?trailers=true sees none, and would write a second time.
    wanted = call.flag("trailers")
    rows = [commit_json(call.gitlab.base_url, call.project, item, trailers=wanted) for item in commits[:size]]
    if call.flag("with_stats"):
        for row in rows:
            _, diffs = await blocking(_with_diff, call.repository, row["id"])
            row["stats"] = stats_json(diffs)
    return part(call, rows, more=len(commits) > size, total=None)


async def get_commit(call: Call) -> Response:
    """GET .../commits/:sha; a branch or tag name does as well."""
    return answer(await blocking(_full, call, call.path("sha")))


async def commit_diff(call: Call) -> Response:
    """GET .../commits/:sha/diff."""
    _, diffs = await blocking(_with_diff, call.repository, call.path("sha"))
    return page(call, [diff_json(item) for item in diffs])


async def commit_refs(call: Call) -> Response:
    """GET .../commits/:sha/refs: the branches and tags that hold the commit."""
    commit = await _commit(call)
    return page(call, await blocking(_refs, call.repository, commit.id, call.text("type", "all")))


def _refs(repository: Repository, commit: str, kind: str) -> list[Json]:
    rows: list[Json] = []
    for name, prefix in (("branch", "refs/heads/"), ("tag", "refs/tags/")):
        if kind in (name, "all"):
            found = repository.run("for-each-ref", f"--contains={commit}", "--format=%(refname)", prefix)
            rows += [
                {"type": name, "name": line.removeprefix(prefix)} for line in found.decode().splitlines()
            ]
    return rows


async def _commit(call: Call) -> Commit:
    commit = await blocking(call.repository.commit, call.path("sha"))
    if commit is None:
        raise ApiError(404, "404 Commit Not Found")
    return commit


async def commit_merge_requests(call: Call) -> Response:
    """GET .../commits/:sha/merge_requests."""
    commit, state = await _commit(call), call.text("state", "all")
    found = await blocking(_introducing, call, commit.id)
    return page(
        call, [short_json(call.gitlab, call.project, mr) for mr in found if state in ("all", mr["state"])]
    )


def _introducing(call: Call, commit: str) -> list[Json]:
    found = []
    for mr in call.gitlab.state.merge_requests(call.project):
        # A squash or a merge commit is found, too, though the branch never held it.
        made = commit in (mr["merge_commit_sha"], mr["squash_commit_sha"])
        repository, refs = call.repository, mr["diff_refs"]
        held = repository.is_ancestor(commit, mr["sha"]) and not repository.is_ancestor(
            commit, refs["base_sha"]
        )
        if made or held:
            found.append(mr)
    return found


async def list_statuses(call: Call) -> Response:
    """GET .../commits/:sha/statuses."""
    commit = await _commit(call)
    rows = [row for row in call.project["statuses"] if row["sha"] == commit.id]
    return page(call, [row for row in rows if call.text("name", row["name"]) == row["name"]])


async def set_status(call: Call) -> Response:
    """POST .../statuses/:sha: a status of the same name on the same commit is moved, not repeated."""
    call.require("state")
    commit = await _commit(call)
    if call.text("state") not in STATES:
        raise ApiError(400, {"error": "state does not have a valid value"})
    # `context` is GitHub's word for the name; GitLab takes both.
    name = call.text("name") or call.text("context", "default")
    rows: list[Json] = call.project["statuses"]
    # Told again, a status moves: a runner that repeats itself makes no second row.
    row = next((item for item in rows if (item["sha"], item["name"]) == (commit.id, name)), None)
    if row is None:
        row = {
            "id": call.gitlab.state.next_id("status"),
            "sha": commit.id,
            "name": name,
            "allow_failure": False,
        }
        row |= {"created_at": stamp(call.gitlab.world.now()), "coverage": None, "started_at": None}
        row["author"] = user_json(call.gitlab.base_url, call.actor)
        rows.append(row)
    row |= {"status": call.text("state"), "ref": call.text("ref", call.project["default_branch"])}
    row |= {"target_url": call.params.get("target_url"), "description": call.params.get("description")}
    row["finished_at"] = (
        stamp(call.gitlab.world.now()) if row["status"] not in ("pending", "running") else None
    )
    call.gitlab.world.touch()
    return answer(row, 201)


ROUTES = [
    route("POST", "/projects/{id}/repository/commits", Access.WRITE, create_commit),
    route("GET", "/projects/{id}/repository/commits", Access.READ, list_commits),
    route("GET", "/projects/{id}/repository/commits/{sha}", Access.READ, get_commit),
    route("GET", "/projects/{id}/repository/commits/{sha}/diff", Access.READ, commit_diff),
    route("GET", "/projects/{id}/repository/commits/{sha}/refs", Access.READ, commit_refs),
    route(
        "GET", "/projects/{id}/repository/commits/{sha}/merge_requests", Access.READ, commit_merge_requests
    ),
    route("GET", "/projects/{id}/repository/commits/{sha}/statuses", Access.READ, list_statuses),
    route("POST", "/projects/{id}/statuses/{sha}", Access.WRITE, set_status),
]
