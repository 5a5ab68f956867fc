"""The simulated GitLab as the rest of the sandbox sees it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from integrations.sandbox.gitlab import (
    commit_routes,
    deployments,
    files,
    hooks,
    merge_requests,
    pages,
    payloads,
    pipelines,
    projects,
    refs,
    smart_http,
)
from integrations.sandbox.gitlab.commits import Draft
from integrations.sandbox.gitlab.git import ZEROS, Person, Repository
from integrations.sandbox.gitlab.merging import Merging
from integrations.sandbox.gitlab.pipelines import Pipelines
from integrations.sandbox.gitlab.state import Json, State, new_project, person, stamp
from integrations.sandbox.gitlab.web import blocking
from integrations.sandbox.gitlab.webhooks import Webhooks
from integrations.sandbox.gitlab.writes import FileChange, create_repository, draft_commit, move_ref
from integrations.sandbox.world import World

# One push that changes more refs than this fires no hook at all (gitlab-webhooks.md, "Other limits").
PUSH_HOOK_LIMIT = 3
STRANGER = Person("Tomás Silva", "tomas@centre.com")

# Old and new commit of one ref; None: it did not exist, or does no more.
Change = tuple[str | None, str | None]


class GitLab:
    """State, repositories and the ASGI app. Implements `world.GitHost`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.state = State(world.store("gitlab"))
        self.webhooks = Webhooks(self)
        self.pipelines = Pipelines(self)
        self.merging = Merging(self)
        self._strangers = itertools.count(1)
        self._api = Starlette(
            routes=self._routes(), exception_handlers={404: _unknown_route, 405: _unknown_route}
        )
        self._api.state.gitlab = self
        world.git = self

    @staticmethod
    def _routes() -> list[BaseRoute]:
        tables = (files, commit_routes, refs, merge_requests, deployments, pipelines, hooks, projects)
        return [route for table in tables for route in table.ROUTES]

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve git, the REST API, and small pages for the links in payloads."""
        if scope["type"] != "http":
            return
        if smart_http.wants(scope["path"]):
            await smart_http.serve(self, scope, receive, send)
        elif scope["path"].startswith("/api/"):
            # An encoded slash belongs to a path parameter: route on the undecoded path.
            raw = scope.get("raw_path") or scope["path"].encode()
            path = raw.decode("ascii").rstrip("/")  # Grape takes a final slash too
            await self._api({**scope, "path": path, "root_path": ""}, receive, send)
        else:
            await pages.serve(self, scope, receive, send)

    def start(self) -> None:
        """Go on with what was under way when the last run ended."""
        self.merging.resume()

    async def close(self) -> None:
        """Close the webhook connections."""
        await self.webhooks.close()

    @property
    def base_url(self) -> str:
        """Return the address that payloads and links carry."""
        return self.world.urls.get("gitlab", "http://gitlab.invalid")

    # What the other vendors ask (world.GitHost).

    def repository(self, project: str) -> Path:
        """Return the bare repository's folder of `project` ("group/name")."""
        return self.world.data_dir / "repositories" / f"{project}.git"

    def tip(self, project: str, branch: str) -> str | None:
        """Return the branch's commit id, or None where it does not exist."""
        return Repository(self.repository(project)).tip(branch)

    def files(self, project: str, revision: str, folder: str = "") -> dict[str, bytes]:
        """Return every file below `folder` at `revision`, by its path in the repository."""
        return Repository(self.repository(project)).files(revision, folder)

    # What the parts of this package share.

    def open(self, project: Json) -> Repository:
        """Return a project's repository."""
        return Repository(self.repository(project["path_with_namespace"]))

    def create_project(self, path: str, **options: object) -> Json:
        """Make a project with an empty repository; blocks for one git process."""
        number = self.state.next_id("project")
        project = new_project(number, path, stamp(self.world.now()), dict(options))
        create_repository(self.repository(path), project["default_branch"])
        self.state.projects[str(number)] = project
        self.world.touch()
        return project

    def pushed(self, project: Json, changes: dict[str, Change], user: Json) -> None:
        """Tell everybody that refs moved: hooks, open merge requests, the other vendors."""
        project["last_activity_at"] = stamp(self.world.now())
        self.world.touch()
        for ref, (old, new) in changes.items():
            before, after = old or ZEROS, new or ZEROS
            # Before the hooks: whoever reacts to one must find merge requests unchecked.
            self.merging.recheck(project, ref)
            # Beyond the limit GitLab tells nobody: only a poll finds such a push.
            if len(changes) <= PUSH_HOOK_LIMIT:
                self.world.spawn(
                    self._push_hook(project, ref, (before, after), user), name=f"push hook {ref}"
                )
            self.world.spawn(self.merging.on_push(project, ref, old, new, user), name=f"merge requests {ref}")
            self.world.emit(
                "git.pushed",
                project=project["path_with_namespace"],
                ref=ref,
                before=before,
                after=after,
                user=user["username"],
            )

    async def _push_hook(self, project: Json, ref: str, change: tuple[str, str], user: Json) -> None:
        body = await blocking(payloads.push, self.base_url, project, self.open(project), ref, change, user)
        self.webhooks.fire(project, body["object_kind"], body)

    async def race(self, project: Json, draft: Draft, mode: str) -> None:
        """Let a stranger's commit land first, where the faults say so (see faults.py, commit_race)."""
        fault = self.world.faults.get("commit_race")
        row: Json = fault if isinstance(fault, dict) else {"count": int(fault or 0)}
        if int(row.get("count") or 0) <= 0 or row.get("mode", "slip") != mode:
            return
        # Counted down before the commit: a slow one must not be raced twice.
        row["count"] -= 1
        self.world.faults["commit_race"] = row if isinstance(fault, dict) else row["count"]
        await self.stranger_commit(project, draft.branch, str(row.get("path") or ""))

    async def push_edit(
        self, project: str, branch: str, path: str, edit: Callable[[str], str], *, message: str, username: str
    ) -> str:
        """Push an edit of one file as a user with a clone of their own would; return the commit.

        A tip that moved meanwhile is edited again, as after `git pull`. KeyError where the project, the
        branch, the file or the user is missing.
        """
        row, user = self.state.project(project), self.state.user_named(username)
        if row is None:
            raise KeyError(project)
        repository, author = self.open(row), person(user)
        while True:
            old = await blocking(repository.tip, branch)
            entry = await blocking(repository.entry, old, path) if old else None
            if entry is None:
                raise KeyError(f"{branch}:{path}")
            text = edit((await blocking(repository.blob, entry.id)).decode())
            changes = [FileChange(path, content=text.encode())]
            commit = await blocking(
                draft_commit, repository, old, changes, message=message, author=author, committer=author
            )
            if await blocking(move_ref, repository, f"refs/heads/{branch}", commit, old):
                self.pushed(row, {f"refs/heads/{branch}": (old, commit)}, user)
                return commit

    async def stranger_commit(self, project: Json, branch: str, path: str = "") -> str:
        """Commit as somebody who knows nothing of Slipway: a comment appended to a file, or a new note."""
        user = self.state.user_named("tomas")
        repository = self.open(project)
        old = await blocking(repository.tip, branch)
        # A branch that somebody makes begins at the default branch, as GitLab's own button has it.
        base = old or await blocking(repository.tip, project["default_branch"])
        name = path or f"notes/{self.world.now():%Y%m%d-%H%M%S}-{next(self._strangers)}.md"
        entry = await blocking(repository.entry, base, name) if base else None
        content = await blocking(repository.blob, entry.id) if entry else b"A note by hand.\n"
        changes = [FileChange(name, content=content + (b"# looked at by hand\n" if entry else b""))]
        commit = await blocking(
            draft_commit,
            repository,
            base,
            changes,
            message=f"Adjust {name} by hand\n",
            author=STRANGER,
            committer=person(user),
        )
        await blocking(move_ref, repository, f"refs/heads/{branch}", commit, old)
        self.pushed(project, {f"refs/heads/{branch}": (old, commit)}, user)
        return commit


async def _unknown_route(request: Request, error: Exception) -> JSONResponse:
    del request
    status = getattr(error, "status_code", 404)
    text = {"error": "404 Not Found"} if status == 404 else {"error": "405 Not Allowed"}
    return JSONResponse(text, status_code=status)
