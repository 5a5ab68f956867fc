"""Environments, deployments, freeze periods (reference gitlab-api.md, the sections of those names)."""

from __future__ import annotations

import re

from starlette.responses import Response

from integrations.sandbox.gitlab import payloads
from integrations.sandbox.gitlab.mr_views import short_json
from integrations.sandbox.gitlab.state import Json, next_iid, stamp
from integrations.sandbox.gitlab.views import user_json
from integrations.sandbox.gitlab.web import Access, ApiError, Call, answer, blocking, empty, page, route

STATUSES = ("created", "running", "success", "failed", "canceled")
# No way leads out of these: a repeated or later status answers 400 (gitlab-api.md, "Environments").
TERMINAL = ("success", "failed", "canceled")
TIERS = ("production", "staging", "testing", "development", "other")


def guessed_tier(name: str) -> str:
    """Return the tier GitLab derives from a name when none is given."""
    # In this order: the first pattern that fits decides.
    for tier, pattern in (
        ("production", r"prod|live"),
        ("staging", r"stag|model|pre|demo|non"),
        ("testing", r"test|tst|int|ac(ce|)pt|qa|qc|control|quality"),
        ("development", r"dev|review|trunk"),
    ):
        if re.search(pattern, name.lower()):
            return tier
    return "other"


def _now(call: Call) -> str:
    return stamp(call.gitlab.world.now())


def _environment(call: Call, name: str, tier: str = "", external_url: str | None = None) -> Json:
    now = _now(call)
    row = {
        "id": call.gitlab.state.next_id("environment"),
        "name": name,
        # A slug goes into host names, so GitLab cuts it at 24 characters.
        "slug": re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:24],
        "external_url": external_url,
        "tier": tier or guessed_tier(name),
        "state": "available",
        "created_at": now,
        "updated_at": now,
    }
    call.project["environments"].append(row)
    return row


async def list_environments(call: Call) -> Response:
    """GET .../environments?name=&search=."""
    rows = call.project["environments"]
    name, search = call.text("name"), call.text("search")
    return page(call, [row for row in rows if name in ("", row["name"]) and search in row["name"]])


async def create_environment(call: Call) -> Response:
    """POST .../environments {name, external_url, tier}."""
    call.require("name")
    if any(row["name"] == call.text("name") for row in call.project["environments"]):
        raise ApiError(400, {"message": {"name": ["has already been taken"]}})
    if call.text("tier", "other") not in TIERS:
        raise ApiError(400, {"error": "tier does not have a valid value"})
    row = _environment(call, call.text("name"), call.text("tier"), call.params.get("external_url"))
    call.gitlab.world.touch()
    return answer(row, 201)


async def get_environment(call: Call) -> Response:
    """GET .../environments/:id."""
    return answer(_by_id(call.project["environments"], call.path("environment")))


def _by_id(rows: list[Json], number: str) -> Json:
    found = next((row for row in rows if str(row["id"]) == number), None)
    if found is None:
        raise ApiError(404, "404 Not found")
    return found


def _shown(call: Call, row: Json) -> Json:
    kept = {name: row[name] for name in ("id", "iid", "ref", "sha", "created_at", "updated_at", "status")}
    user = user_json(call.gitlab.base_url, call.gitlab.state.users[row["user_id"]])
    environment = {name: row["environment"][name] for name in ("id", "name", "external_url", "tier")}
    return kept | {"user": user, "environment": environment, "deployable": None}


async def create_deployment(call: Call) -> Response:
    """POST .../deployments {environment, sha, ref, tag, status}: an unknown environment is made."""
    call.require("environment", "sha", "ref", "status")
    # Required although a boolean: false is a value, so `require` can't tell.
    if "tag" not in call.params:
        raise ApiError(400, {"error": "tag is missing"})
    if call.text("status") not in STATUSES:
        raise ApiError(400, {"error": "status does not have a valid value"})
    commit = await blocking(call.repository.commit, call.text("sha"))
    if commit is None:
        # The commit must exist in this very project.
        raise ApiError(400, {"message": {"sha": ["The commit does not exist"]}})
    name, now = call.text("environment"), _now(call)
    known = next((row for row in call.project["environments"] if row["name"] == name), None)
    row: Json = {"id": call.gitlab.state.next_id("deployment"), "iid": next_iid(call.project, "deployment")}
    row |= {"ref": call.text("ref"), "sha": commit.id, "tag": call.flag("tag"), "status": call.text("status")}
    row |= {"created_at": now, "updated_at": now, "user_id": call.actor["id"]}
    # A mistyped name makes a new environment instead of an error.
    row["environment"] = known or _environment(call, name)
    call.project["deployments"].append(row)
    await _announce(call, row)
    return answer(_shown(call, row), 201)


async def _announce(call: Call, row: Json) -> None:
    call.gitlab.world.touch()
    commit = await blocking(call.repository.commit, row["sha"])
    title = commit.title if commit else ""
    body = payloads.deployment(call.gitlab.base_url, call.project, row, title, call.actor)
    call.gitlab.webhooks.fire(call.project, "deployment", body)


async def update_deployment(call: Call) -> Response:
    """PUT .../deployments/:id {status}: 400 for the same status, and once it is terminal."""
    call.require("status")
    row, status = _by_id(call.project["deployments"], call.path("deployment")), call.text("status")
    if status not in STATUSES:
        raise ApiError(400, {"error": "status does not have a valid value"})
    # Also for the status it has: whoever repeats after a time-out must take this 400 for a success.
    if row["status"] == status or row["status"] in TERMINAL:
        raise ApiError(400, {"message": {"status": [f'cannot transition via "{status}"']}})
    row["status"], row["updated_at"] = status, _now(call)
    await _announce(call, row)
    return answer(_shown(call, row))


async def list_deployments(call: Call) -> Response:
    """GET .../deployments?environment=&status=&order_by=&updated_after=."""
    order = call.text("order_by", "id")
    # The filter without its order is refused rather than ignored (gitlab-api.md, "Environments").
    if call.text("updated_after") and order != "updated_at":
        raise ApiError(400, "`updated_at` filter and `updated_at` sorting must be paired")
    rows = [row for row in call.project["deployments"] if _wanted(call, row)]
    rows.sort(key=lambda row: row.get(order, row["id"]), reverse=call.text("sort", "asc") == "desc")
    return page(call, [_shown(call, row) for row in rows])


def _wanted(call: Call, row: Json) -> bool:
    fits = call.text("environment", row["environment"]["name"]) == row["environment"]["name"]
    return bool(
        fits
        and call.text("status", row["status"]) == row["status"]
        and row["updated_at"] > call.text("updated_after")
    )


async def get_deployment(call: Call) -> Response:
    """GET .../deployments/:id."""
    return answer(_shown(call, _by_id(call.project["deployments"], call.path("deployment"))))


async def delete_deployment(call: Call) -> Response:
    """DELETE .../deployments/:id: not a running one, not an environment's last."""
    rows: list[Json] = call.project["deployments"]
    row = _by_id(rows, call.path("deployment"))
    if row["status"] == "running":
        raise ApiError(400, "Cannot destroy running deployment")
    if [item for item in rows if item["environment"]["id"] == row["environment"]["id"]][-1] is row:
        raise ApiError(400, "Deployment currently deployed to environment")
    rows.remove(row)
    call.gitlab.world.touch()
    return empty()


async def deployment_merge_requests(call: Call) -> Response:
    """GET .../deployments/:id/merge_requests: those whose head or merge the deployed commit holds."""
    row = _by_id(call.project["deployments"], call.path("deployment"))
    found = []
    for mr in call.gitlab.state.merge_requests(call.project):
        # After a fast-forward there is no merge commit, and the head itself is what arrived.
        made = mr["merge_commit_sha"] or mr["squash_commit_sha"] or mr["sha"]
        if mr["state"] == "merged" and await blocking(call.repository.is_ancestor, made, row["sha"]):
            found.append(await blocking(short_json, call.gitlab, call.project, mr))
    return page(call, found)


def _freeze(call: Call) -> Json:
    return _by_id(call.project["freeze_periods"], call.path("freeze"))


async def list_freezes(call: Call) -> Response:
    """GET .../freeze_periods."""
    return page(call, call.project["freeze_periods"])


async def get_freeze(call: Call) -> Response:
    """GET .../freeze_periods/:id."""
    return answer(_freeze(call))


async def create_freeze(call: Call) -> Response:
    """POST .../freeze_periods: advisory, the API refuses nothing because of one."""
    call.require("freeze_start", "freeze_end")
    # Five cron fields, read in cron_timezone; GitLab itself checks no more than the syntax.
    for name in ("freeze_start", "freeze_end"):
        if len(call.text(name).split()) != 5:
            raise ApiError(400, {"message": {name: [" is invalid syntax"]}})
    row: Json = {"id": call.gitlab.state.next_id("freeze"), "freeze_start": call.text("freeze_start")}
    row |= {"freeze_end": call.text("freeze_end"), "cron_timezone": call.text("cron_timezone", "UTC")}
    row |= {"created_at": _now(call), "updated_at": _now(call)}
    call.project["freeze_periods"].append(row)
    call.gitlab.world.touch()
    return answer(row, 201)


async def update_freeze(call: Call) -> Response:
    """PUT .../freeze_periods/:id."""
    row = _freeze(call)
    changed = ("freeze_start", "freeze_end", "cron_timezone")
    row |= {name: call.text(name) for name in changed if name in call.params} | {"updated_at": _now(call)}
    call.gitlab.world.touch()
    return answer(row)


async def delete_freeze(call: Call) -> Response:
    """DELETE .../freeze_periods/:id."""
    call.project["freeze_periods"].remove(_freeze(call))
    call.gitlab.world.touch()
    return empty()


DEPLOYMENT = "/projects/{id}/deployments/{deployment}"
FREEZE = "/projects/{id}/freeze_periods/{freeze}"
ROUTES = [
    route("GET", "/projects/{id}/environments", Access.READ, list_environments),
    route("POST", "/projects/{id}/environments", Access.WRITE, create_environment),
    route("GET", "/projects/{id}/environments/{environment}", Access.READ, get_environment),
    route("GET", "/projects/{id}/deployments", Access.READ, list_deployments),
    route("POST", "/projects/{id}/deployments", Access.WRITE, create_deployment),
    route("GET", DEPLOYMENT, Access.READ, get_deployment),
    route("PUT", DEPLOYMENT, Access.WRITE, update_deployment),
    route("DELETE", DEPLOYMENT, Access.WRITE, delete_deployment),
    route("GET", f"{DEPLOYMENT}/merge_requests", Access.READ, deployment_merge_requests),
    route("GET", "/projects/{id}/freeze_periods", Access.READ, list_freezes),
    route("POST", "/projects/{id}/freeze_periods", Access.MANAGE, create_freeze),
    route("GET", FREEZE, Access.READ, get_freeze),
    route("PUT", FREEZE, Access.MANAGE, update_freeze),
    route("DELETE", FREEZE, Access.MANAGE, delete_freeze),
]
