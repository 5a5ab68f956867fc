"""Branches, tags and releases (reference gitlab-api.md, "Branches and tags")."""

from __future__ import annotations

import re

from starlette.responses import Response

from integrations.sandbox.gitlab import payloads
from integrations.sandbox.gitlab.git import ZEROS, Ref, Repository
from integrations.sandbox.gitlab.state import Json, person, stamp
from integrations.sandbox.gitlab.views import branch_json, commit_json, user_json
from integrations.sandbox.gitlab.web import Access, ApiError, Call, answer, blocking, empty, page, route
from integrations.sandbox.gitlab.writes import annotated_tag, move_ref

# About what git-check-ref-format refuses, in one pattern.
INVALID = re.compile(r"(^[-/.])|[\s~^:?*\[\\\x00-\x1f]|\.\.|@\{|(\.lock|[/.])$|//")


def matches(name: str, search: str) -> bool:
    """Apply GitLab's `search`: ^start, end$, or a part; letter case is ignored."""
    # The anchors are GitLab's own, no regular expression: `v1.*` looks for a star.
    name, search = name.lower(), search.lower()
    if search.startswith("^"):
        return name.startswith(search[1:])
    return name.endswith(search[:-1]) if search.endswith("$") else search in name


def _branch(call: Call, ref: Ref) -> Json:
    commit = call.repository.log("-1", ref.commit)[0]
    name = ref.name.removeprefix("refs/heads/")
    return branch_json(call.gitlab.base_url, call.project, name, commit, call.level)


def _branches(call: Call) -> list[Json]:
    found = call.repository.refs("refs/heads/")
    # The commit is read for chosen branches alone: one process each.
    chosen = [ref for ref in found if matches(ref.name.removeprefix("refs/heads/"), call.text("search"))]
    return [_branch(call, ref) for ref in chosen]


async def list_branches(call: Call) -> Response:
    """GET .../repository/branches."""
    return page(call, await blocking(_branches, call))


async def get_branch(call: Call) -> Response:
    """GET .../branches/:name."""
    name = call.path("name")
    tip = await blocking(call.repository.tip, name)
    if tip is None:
        raise ApiError(404, "404 Branch Not Found")
    if call.request.method == "HEAD":
        return empty()
    return answer(await blocking(_branch, call, Ref(f"refs/heads/{name}", tip, tip)))


async def create_branch(call: Call) -> Response:
    """POST .../branches?branch=&ref=."""
    call.require("branch", "ref")
    name, repository = call.text("branch"), call.repository
    commit = await blocking(repository.resolve, call.text("ref"))
    if INVALID.search(name):
        raise ApiError(400, "Branch name is invalid")
    if await blocking(repository.tip, name):
        raise ApiError(400, "Branch already exists")
    if commit is None:
        raise ApiError(400, f"Invalid reference name: {call.text('ref')}")
    if not await blocking(move_ref, repository, f"refs/heads/{name}", commit, None):
        raise ApiError(400, "Branch already exists")
    call.gitlab.pushed(call.project, {f"refs/heads/{name}": (None, commit)}, call.actor)
    return answer(await blocking(_branch, call, Ref(f"refs/heads/{name}", commit, commit)), 201)


async def delete_branch(call: Call) -> Response:
    """DELETE .../branches/:name: 204."""
    name = call.path("name")
    tip = await blocking(call.repository.tip, name)
    if tip is None:
        raise ApiError(404, "404 Branch Not Found")
    if name == call.project["default_branch"]:
        # 403 although the caller may push to it.
        raise ApiError(403, "Cannot remove HEAD branch")
    if name in call.project["protected_branches"]:
        raise ApiError(403, "Protected branch can not be removed")
    await blocking(move_ref, call.repository, f"refs/heads/{name}", ZEROS, tip)
    call.gitlab.pushed(call.project, {f"refs/heads/{name}": (tip, None)}, call.actor)
    return empty()


def version_key(name: str) -> tuple[tuple[int, object], ...]:
    """Order tags as `order_by=version` does: numbers by size, a pre-release before its release."""
    main, _, pre = name.lstrip("vV").partition("-")
    # Numbers by size, so that 1.10 comes after 1.9.
    pieces = [part for part in re.split(r"(\d+)", main) if part not in ("", ".")]
    key = [(1, int(part)) if part.isdigit() else (0, part) for part in pieces]
    return (*key, (-1, pre) if pre else (0, ""))


def _tag(call: Call, ref: Ref) -> Json:
    name, repository = ref.name.removeprefix("refs/tags/"), call.repository
    commit = repository.log("-1", ref.commit)[0]
    release = next((row for row in call.project["releases"] if row["tag_name"] == name), None)
    annotated = ref.target != ref.commit
    return {
        "name": name,
        "message": repository.tag_message(ref.target) or "" if annotated else "",
        "target": ref.target,
        "commit": commit_json(call.gitlab.base_url, call.project, commit),
        "release": {"tag_name": name, "description": release["description"]} if release else None,
        "protected": False,
        # A lightweight tag records no time of its own (gitlab-api.md, "Branches and tags").
        "created_at": _tagged_at(repository, ref) if annotated else None,
    }


def _tagged_at(repository: Repository, ref: Ref) -> str:
    form = "%(taggerdate:iso-strict)"
    return repository.run("for-each-ref", f"--format={form}", ref.name).decode().strip()


def _tags(call: Call) -> list[Json]:
    found = call.repository.refs("refs/tags/")
    return [
        _tag(call, ref) for ref in found if matches(ref.name.removeprefix("refs/tags/"), call.text("search"))
    ]


async def list_tags(call: Call) -> Response:
    """GET .../repository/tags: newest first unless told; order_by name, updated or version."""
    rows = await blocking(_tags, call)
    # "updated" is the commit's date, as no tag records when it was pushed.
    order = call.text("order_by", "updated")
    if order == "version":
        rows.sort(key=lambda row: version_key(row["name"]))
    else:
        rows.sort(key=lambda row: row["name"] if order == "name" else row["commit"]["committed_date"])
    if call.text("sort", "desc") == "desc":
        rows.reverse()
    return page(call, rows)


async def get_tag(call: Call) -> Response:
    """GET .../tags/:name."""
    return answer(await blocking(_tag, call, await _tag_ref(call, call.path("name"))))


async def _tag_ref(call: Call, name: str) -> Ref:
    found = await blocking(call.repository.refs, f"refs/tags/{name}")
    exact = [ref for ref in found if ref.name == f"refs/tags/{name}"]
    if not exact:
        raise ApiError(404, "404 Tag Not Found")
    return exact[0]


async def create_tag(call: Call) -> Response:
    """POST .../tags {tag_name, ref, message}: annotated when there is a message."""
    call.require("tag_name", "ref")
    name, repository = call.text("tag_name"), call.repository
    if INVALID.search(name):
        raise ApiError(400, "Tag name invalid")
    commit = await blocking(repository.resolve, call.text("ref"))
    if commit is None:
        raise ApiError(400, f"Target {call.text('ref')} is invalid")
    # Without a message the tag is lightweight: its target is the commit itself.
    target = commit
    if call.text("message"):
        target = await blocking(
            annotated_tag, repository, name, commit, call.text("message"), person(call.actor)
        )
    if not await blocking(move_ref, repository, f"refs/tags/{name}", target, None):
        raise ApiError(400, f"Tag {name} already exists")
    call.gitlab.pushed(call.project, {f"refs/tags/{name}": (None, target)}, call.actor)
    return answer(await blocking(_tag, call, Ref(f"refs/tags/{name}", target, commit)), 201)


async def delete_tag(call: Call) -> Response:
    """DELETE .../tags/:name: 204."""
    ref = await _tag_ref(call, call.path("name"))
    await blocking(move_ref, call.repository, ref.name, ZEROS, ref.target)
    call.gitlab.pushed(call.project, {ref.name: (ref.target, None)}, call.actor)
    return empty()


def _release(call: Call, row: Json) -> Json:
    commit = call.repository.log("-1", row["sha"])[0]
    kept = {name: row[name] for name in ("tag_name", "description", "name", "created_at", "released_at")}
    author = user_json(call.gitlab.base_url, call.gitlab.state.users[row["author_id"]])
    block = commit_json(call.gitlab.base_url, call.project, commit)
    return kept | {"author": author, "commit": block, "assets": {"count": 0, "links": [], "sources": []}}


async def list_releases(call: Call) -> Response:
    """GET .../releases, newest first."""
    return page(call, [await blocking(_release, call, row) for row in reversed(call.project["releases"])])


async def get_release(call: Call) -> Response:
    """GET .../releases/:tag_name."""
    row = next((row for row in call.project["releases"] if row["tag_name"] == call.path("name")), None)
    if row is None:
        raise ApiError(404, "404 Not Found")
    return answer(await blocking(_release, call, row))


async def create_release(call: Call) -> Response:
    """POST .../releases {tag_name, name, description}; 409 when the tag has one."""
    call.require("tag_name")
    name, now = call.text("tag_name"), stamp(call.gitlab.world.now())
    if any(row["tag_name"] == name for row in call.project["releases"]):
        # 409 here, where tags and branches answer 400.
        raise ApiError(409, "Release already exists")
    commit = await blocking(call.repository.commit, f"refs/tags/{name}")
    if commit is None:
        raise ApiError(422, "Ref is not specified")
    row = {"id": call.gitlab.state.next_id("release"), "tag_name": name, "name": call.text("name", name)}
    row |= {"description": call.text("description"), "created_at": now, "released_at": now}
    row |= {"sha": commit.id, "author_id": call.actor["id"]}
    call.project["releases"].append(row)
    call.gitlab.world.touch()
    body = payloads.release(call.gitlab.base_url, call.project, row, commit, "create")
    call.gitlab.webhooks.fire(call.project, "release", body)
    return answer(await blocking(_release, call, row), 201)


ROUTES = [
    route("GET", "/projects/{id}/repository/branches", Access.READ, list_branches),
    route("POST", "/projects/{id}/repository/branches", Access.WRITE, create_branch),
    route("GET", "/projects/{id}/repository/branches/{name}", Access.READ, get_branch),
    route("DELETE", "/projects/{id}/repository/branches/{name}", Access.WRITE, delete_branch),
    route("GET", "/projects/{id}/repository/tags", Access.READ, list_tags),
    route("POST", "/projects/{id}/repository/tags", Access.WRITE, create_tag),
    route("GET", "/projects/{id}/repository/tags/{name}", Access.READ, get_tag),
    route("DELETE", "/projects/{id}/repository/tags/{name}", Access.WRITE, delete_tag),
    route("GET", "/projects/{id}/releases", Access.READ, list_releases),
    route("POST", "/projects/{id}/releases", Access.WRITE, create_release),
    route("GET", "/projects/{id}/releases/{name}", Access.READ, get_release),
]
