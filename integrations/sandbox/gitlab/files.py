"""Files, trees and comparisons (reference gitlab-api.md, "Files, tree, compare")."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import quote

from starlette.responses import Response

from integrations.sandbox.gitlab.commits import Draft, commit_actions
from integrations.sandbox.gitlab.git import Entry, Repository
from integrations.sandbox.gitlab.state import Json
from integrations.sandbox.gitlab.views import commit_json, diff_json
from integrations.sandbox.gitlab.web import (
    Access,
    ApiError,
    Call,
    answer,
    blocking,
    empty,
    keyset_page,
    page,
    route,
)

STALE = "You are attempting to update a file that has changed since you started editing it."


def _find(repository: Repository, ref: str, path: str) -> tuple[str, Entry, bytes, str]:
    commit = repository.resolve(ref)
    entry = repository.entry(commit, path) if commit else None
    if commit is None or entry is None or entry.type != "blob":
        raise ApiError(404, "404 Commit Not Found" if commit is None else "404 File Not Found")
    return commit, entry, repository.blob(entry.id), repository.last_commit(commit, path) or commit


async def _file(call: Call) -> tuple[Json, bytes]:
    path, ref = call.path("path"), call.text("ref")
    if not ref:
        raise ApiError(400, {"error": "ref is missing"})
    # "HEAD" is a name here as well; without any ref GitLab answers 400.
    ref = call.project["default_branch"] if ref == "HEAD" else ref
    commit, entry, content, last = await blocking(_find, call.repository, ref, path)
    return {
        "file_name": path.rsplit("/", 1)[-1],
        "file_path": path,
        "size": len(content),
        "encoding": "base64",
        "content_sha256": hashlib.sha256(content).hexdigest(),
        "ref": ref,
        "blob_id": entry.id,
        "commit_id": commit,
        # What the optimistic lock compares; found by the path's history, so it costs a walk.
        "last_commit_id": last,
        "execute_filemode": entry.mode == "100755",
    }, content


async def get_file(call: Call) -> Response:
    """GET .../files/:path: facts and base64 content."""
    facts, content = await _file(call)
    return answer(facts | {"content": base64.b64encode(content).decode()})


def _headers(facts: Json) -> dict[str, str]:
    # The header names are the field names in Train-Case; booleans are lower-case words. A path with
    # letters outside Latin-1 could not be a header at all, so it is quoted.
    named = {f"X-Gitlab-{name.replace('_', '-').title()}": value for name, value in facts.items()}
    return {
        name: quote(str(value).lower() if isinstance(value, bool) else str(value), safe="/ ")
        for name, value in named.items()
    }


async def head_file(call: Call) -> Response:
    """HEAD .../files/:path: the same facts as headers."""
    facts, _ = await _file(call)
    return Response(headers=_headers(facts))


async def raw_file(call: Call) -> Response:
    """GET .../files/:path/raw: the bytes; the default branch where no ref is named."""
    call.params.setdefault("ref", call.project["default_branch"])
    facts, content = await _file(call)
    return Response(content, media_type="text/plain", headers=_headers(facts))


async def _write(call: Call, action: str) -> str:
    call.require("branch", "commit_message")
    if action != "delete" and "content" not in call.params:
        raise ApiError(400, {"error": "content is missing"})
    row: Json = {"action": action, "file_path": call.path("path")}
    row |= {
        name: call.params[name] for name in ("content", "encoding", "last_commit_id") if name in call.params
    }
    if "execute_filemode" in call.params:
        row["execute_filemode"] = call.flag("execute_filemode")
    await commit_actions(call, Draft.of(call, [row]), stale=lambda _path: STALE)
    return call.text("branch")


async def create_file(call: Call) -> Response:
    """POST .../files/:path."""
    return answer({"file_path": call.path("path"), "branch": await _write(call, "create")}, 201)


async def update_file(call: Call) -> Response:
    """PUT .../files/:path: the reply holds only path and branch, never the new commit."""
    return answer({"file_path": call.path("path"), "branch": await _write(call, "update")})


async def delete_file(call: Call) -> Response:
    """DELETE .../files/:path."""
    await _write(call, "delete")
    return empty()


async def tree(call: Call) -> Response:
    """GET .../repository/tree, offset or keyset pages."""
    ref = call.text("ref", call.project["default_branch"])
    folder = call.text("path").strip("/")
    entries = await blocking(_tree, call.repository, ref, folder, recursive=call.flag("recursive"))
    rows: list[Json] = [
        {
            "id": item.id,
            "name": item.path.rsplit("/", 1)[-1],
            "type": item.type,
            "path": item.path,
            "mode": item.mode,
        }
        for item in entries
    ]
    # Folders come before files, as in GitLab's own answers.
    rows.sort(key=lambda row: row["type"] != "tree")
    # Without totals, and the next page only by its Link (gitlab-api.md, "Files, tree, compare").
    if call.text("pagination") == "keyset":
        return keyset_page(call, rows, "path")
    return page(call, rows)


def _tree(repository: Repository, ref: str, folder: str, *, recursive: bool) -> list[Entry]:
    commit = repository.resolve(ref)
    entries = repository.tree(commit, f"{folder}/" if folder else "", recursive=recursive) if commit else []
    if commit is None or (folder and not entries):
        raise ApiError(404, "404 Tree Not Found")
    return entries


async def compare(call: Call) -> Response:
    """GET .../repository/compare: three dots unless `straight`."""
    call.require("from", "to")
    body = await blocking(_compare, call, call.text("from"), call.text("to"), straight=call.flag("straight"))
    return answer(body)


def _compare(call: Call, start: str, end: str, *, straight: bool) -> Json:
    repository, base = call.repository, call.gitlab.base_url
    old, new = repository.resolve(start), repository.resolve(end)
    if old is None or new is None:
        raise ApiError(404, "404 Ref Not Found")
    # Where `to` lies behind `from` both lists are empty: a roll-back has no changelog unless swapped.
    fork = old if straight else repository.merge_base(old, new) or old
    commits = [commit_json(base, call.project, item) for item in repository.log(f"{old}..{new}")]
    commits.reverse()  # compare lists the oldest first
    return {
        "commit": commits[-1] if commits else None,
        "commits": commits,
        "diffs": [diff_json(item) for item in repository.diff(fork, new)],
        "compare_timeout": False,
        "compare_same_ref": old == new,
        "web_url": f"{base}/{call.project['path_with_namespace']}/-/compare/{old}...{new}",
    }


async def merge_base(call: Call) -> Response:
    """GET .../repository/merge_base."""
    refs = call.request.query_params.getlist("refs[]")
    found = [await blocking(call.repository.resolve, ref) for ref in refs]
    if len(found) < 2 or None in found:
        raise ApiError(400, "400 Bad request - Could not find ref")
    base = await blocking(call.repository.merge_base, str(found[0]), str(found[1]))
    commit = await blocking(call.repository.commit, base) if base else None
    if commit is None:
        raise ApiError(404, "404 Merge Base Not Found")
    return answer(commit_json(call.gitlab.base_url, call.project, commit))


ROUTES = [
    route("HEAD", "/projects/{id}/repository/files/{path}", Access.READ, head_file),
    route("GET", "/projects/{id}/repository/files/{path}", Access.READ, get_file),
    route("GET", "/projects/{id}/repository/files/{path}/raw", Access.READ, raw_file),
    route("POST", "/projects/{id}/repository/files/{path}", Access.WRITE, create_file),
    route("PUT", "/projects/{id}/repository/files/{path}", Access.WRITE, update_file),
    route("DELETE", "/projects/{id}/repository/files/{path}", Access.WRITE, delete_file),
    route("GET", "/projects/{id}/repository/tree", Access.READ, tree),
    route("GET", "/projects/{id}/repository/compare", Access.READ, compare),
    route("GET", "/projects/{id}/repository/merge_base", Access.READ, merge_base),
]
