"""Commits: make them with the optimistic lock that fails open, and list them (gitlab-api.md, "Commits")."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass

from integrations.sandbox.gitlab.git import EMPTY_TREE, Commit, GitError, Person, Repository
from integrations.sandbox.gitlab.state import Json, person
from integrations.sandbox.gitlab.web import ApiError, Call, blocking
from integrations.sandbox.gitlab.writes import FileChange, draft_commit, move_ref

NO_FILE = "A file with this name doesn't exist"
FILE_EXISTS = "A file with this name already exists"
FOLDER_EXISTS = "A directory with this name already exists"
# Gitaly's words; some versions append ": <path>", so clients match beginnings.
TRAVERSAL = "Path cannot include directory traversal"
ACTIONS = ("create", "update", "delete", "move", "chmod")


def stale_text(path: str) -> str:
    """Return the Commits API's words for a lost optimistic lock; the Files API has others."""
    return f"The file has changed since you started editing it: {path}"


@dataclass(frozen=True)
class Draft:
    """A commit as asked for. `start` is the revision it grows from: "" means the branch itself."""

    branch: str
    start_branch: str
    start: str
    message: str
    author: Person
    committer: Person
    force: bool
    actions: list[Json]

    @classmethod
    def of(cls, call: Call, actions: list[Json]) -> Draft:
        """Read the parameters shared by the Commits and the Files API."""
        user = person(call.actor)
        return cls(
            branch=call.text("branch"),
            # The lock looks at this branch even where start_sha says otherwise (gitlab-api.md, "Commits").
            start_branch=call.text("start_branch") or call.text("branch"),
            start=call.text("start_sha") or call.text("start_branch"),
            message=call.text("commit_message"),
            author=Person(call.text("author_name", user.name), call.text("author_email", user.email)),
            committer=user,
            force=call.flag("force"),
            actions=actions,
        )


async def commit_actions(
    call: Call, draft: Draft, *, stale: Callable[[str], str] = stale_text
) -> tuple[str, str | None]:
    """Write one commit and move the branch; return its id and what the branch's tip was.

    The lock is checked first and the write happens after, on whatever the tip is then: not atomic, as in
    GitLab. The faults of `commit_race` land in exactly that gap.
    """
    gitlab, repository = call.gitlab, call.repository
    await blocking(_may_write, call, repository, draft)
    await blocking(_check_lock, repository, draft, stale)
    await gitlab.race(call.project, draft, "slip")
    old, parent = await blocking(_parent, repository, draft)
    changes = await blocking(_changes, repository, parent, draft.actions)
    commit = await blocking(
        draft_commit,
        repository,
        parent,
        changes,
        message=draft.message,
        author=draft.author,
        committer=draft.committer,
    )
    await gitlab.race(call.project, draft, "refuse")
    ref = f"refs/heads/{draft.branch}"
    if not await blocking(move_ref, repository, ref, commit, old):
        # Nor is this a 409: the sentence alone tells a moved branch.
        raise ApiError(400, f"Could not update {ref}. Please refresh and try again.")
    gitlab.pushed(call.project, {ref: (old, commit)}, call.actor)
    return commit, old


def _may_write(call: Call, repository: Repository, draft: Draft) -> None:
    exists = repository.tip(draft.branch) is not None
    if not call.may("push", draft.branch):
        # 400: a 403 would mean the role or the token's scope.
        raise ApiError(400, "You are not allowed to push into this branch")
    if exists and draft.start and draft.start != draft.branch and not draft.force:
        text = (
            f"A branch called '{draft.branch}' already exists. Switch to that branch in order to make changes"
        )
        raise ApiError(400, text)
    if not exists and not draft.start and repository.refs("refs/heads/"):
        raise ApiError(400, "You can only create or edit files when you are on a branch")


def _check_lock(repository: Repository, draft: Draft, stale: Callable[[str], str]) -> None:
    for action in draft.actions:
        given = action.get("last_commit_id")
        if not given or action.get("action") == "create":
            continue
        path = str(action.get("previous_path") or action.get("file_path"))
        # An unknown or malformed id and a path without history count as "no conflict": the check fails
        # open. start_sha is not looked at either: the start branch decides.
        current = repository.last_commit(draft.start_branch, path)
        known = repository.last_commit(str(given), path)
        if current and known and current != known:
            raise ApiError(400, stale(path))


def _parent(repository: Repository, draft: Draft) -> tuple[str | None, str | None]:
    old = repository.tip(draft.branch)
    if not draft.start or (old is not None and not draft.force):
        return old, old
    parent = repository.resolve(draft.start)
    if parent is None:
        raise ApiError(400, f"Invalid reference name: {draft.start}")
    return old, parent


def _changes(repository: Repository, parent: str | None, actions: list[Json]) -> list[FileChange]:
    """Turn actions into file states, each seeing what the ones before it did."""
    pending: dict[str, FileChange] = {}
    for action in actions:
        for change in _apply(repository, parent, pending, action):
            pending[change.path] = change
    return list(pending.values())


def _apply(
    repository: Repository, parent: str | None, pending: dict[str, FileChange], action: Json
) -> list[FileChange]:
    kind, path = action.get("action"), str(action.get("file_path") or "")
    if kind not in ACTIONS:
        raise ApiError(400, {"error": "actions[action] does not have a valid value"})
    if not path:
        raise ApiError(400, {"error": "actions[file_path] is missing"})
    _check_path(path)
    if kind == "move":
        return _move(repository, parent, pending, action, path)
    present = _present(repository, parent, pending, path)
    if kind == "create":
        if present is not None:
            raise ApiError(400, FILE_EXISTS)
        return [FileChange(path, content=_content(action), executable=bool(action.get("execute_filemode")))]
    if present is None:
        raise ApiError(400, NO_FILE)
    if kind == "delete":
        return [FileChange(path)]
    executable = bool(action.get("execute_filemode", present.executable))
    if kind == "chmod":
        return [FileChange(path, present.content, present.blob, executable)]
    return [FileChange(path, content=_content(action), executable=executable)]


def _move(
    repository: Repository, parent: str | None, pending: dict[str, FileChange], action: Json, path: str
) -> list[FileChange]:
    previous = str(action.get("previous_path") or "")
    _check_path(previous)
    source = _present(repository, parent, pending, previous)
    if source is None:
        raise ApiError(400, NO_FILE)
    if _present(repository, parent, pending, path) is not None:
        raise ApiError(400, FILE_EXISTS)
    # A move with content renames and edits in one action.
    if "content" in action and action["content"] is not None:
        return [
            FileChange(previous),
            FileChange(path, content=_content(action), executable=source.executable),
        ]
    return [FileChange(previous), FileChange(path, source.content, source.blob, source.executable)]


def _check_path(path: str) -> None:
    parts = path.split("/")
    if ".." in parts or "." in parts or ".git" in parts or path.startswith("/"):
        raise ApiError(400, TRAVERSAL)


def _present(
    repository: Repository, parent: str | None, pending: dict[str, FileChange], path: str
) -> FileChange | None:
    if path in pending:
        change = pending[path]
        return change if change.content is not None or change.blob is not None else None
    entry = repository.entry(parent, path) if parent else None
    if entry is not None and entry.type == "tree":
        raise ApiError(400, FOLDER_EXISTS)
    return FileChange(path, blob=entry.id, executable=entry.mode == "100755") if entry else None


def _content(action: Json) -> bytes:
    text = str(action.get("content") or "")
    if action.get("encoding") != "base64":
        return text.encode()
    try:
        # Line breaks inside are fine, as most encoders make them.
        return base64.b64decode(text, validate=False)
    except binascii.Error:
        raise ApiError(400, "Invalid base64 content") from None


def select_commits(repository: Repository, call: Call, *, skip: int, limit: int) -> list[Commit]:
    """List commits as the query asks: ref_name (also a..b), path, since, until, first_parent, author."""
    ref = call.text("ref_name", call.project["default_branch"])
    options = [f"--skip={skip}", f"--max-count={limit}"]
    for name in ("since", "until", "author"):
        if call.text(name):
            options.append(f"--{name}={call.text(name)}")
    if call.flag("first_parent"):
        options.append("--first-parent")
    paths = (f":(literal){call.text('path')}",) if call.text("path") else ()
    if ref.startswith("-"):
        return []
    try:
        return repository.log(*options, "--all" if call.flag("all") else ref, paths=paths)
    except GitError:
        return []  # an unknown ref has no commits; GitLab does not call it an error here


def parent_of(commit: Commit) -> str:
    """Return what a commit's own difference is measured against."""
    return commit.parents[0] if commit.parents else EMPTY_TREE
