"""Project hooks: list, create, their deliveries, manual resend (gitlab-webhooks.md; needs Maintainer)."""

from __future__ import annotations

import uuid

from starlette.responses import Response

from integrations.sandbox.gitlab import payloads
from integrations.sandbox.gitlab.git import ZEROS
from integrations.sandbox.gitlab.state import Json, stamp
from integrations.sandbox.gitlab.web import Access, ApiError, Call, answer, blocking, empty, page, route
from integrations.sandbox.gitlab.webhooks import EVENTS, alert_status

# What no answer shows again; the last two are the simulator's own.
SECRETS = ("token", "signing_token", "failures", "auto_disable")


def new_hook(number: int, url: str, created: str, options: Json) -> Json:
    """Make a hook's row: pushes only, unless `options` says more."""
    # A hook made without choosing hears of pushes alone.
    wanted = {attribute: attribute == "push_events" for attribute, _ in EVENTS.values()}
    return {
        "id": number,
        "url": url,
        "name": "",
        "description": "",
        "created_at": created,
        **wanted,
        "enable_ssl_verification": True,
        "token": "",
        "signing_token": "",
        "failures": 0,
        "disabled_until": None,
    } | options


def _shown(call: Call, hook: Json) -> Json:
    # Secrets are write-only; what is stored as a placeholder is shown as the address it means now.
    return {name: value for name, value in hook.items() if name not in SECRETS} | {
        "url": call.gitlab.webhooks.resolve(hook["url"]),
        "project_id": call.project["id"],
        # Disabled hooks are not told what they missed: this is how one sees it (gitlab-webhooks.md, "Auto-
        # disable").
        "alert_status": alert_status(hook, stamp(call.gitlab.world.now())),
        "token_present": bool(hook["token"]),
        # With the feature flag off GitLab ignores a signing token in silence: clients must look here.
        "signing_token_present": bool(hook["signing_token"]),
    }


def _hook(call: Call) -> Json:
    hooks: list[Json] = call.project["hooks"]
    found = [hook for hook in hooks if str(hook["id"]) == call.path("hook")]
    if not found:
        raise ApiError(404, "404 Not found")
    return found[0]


def _options(call: Call) -> Json:
    flags = [attribute for attribute, _ in EVENTS.values()] + ["enable_ssl_verification"]
    options: Json = {name: call.flag(name) for name in flags if name in call.params}
    texts = ("url", "name", "description", "token", "signing_token")
    return options | {name: call.text(name) for name in texts if name in call.params}


async def list_hooks(call: Call) -> Response:
    """GET .../hooks."""
    return page(call, [_shown(call, hook) for hook in call.project["hooks"]])


async def get_hook(call: Call) -> Response:
    """GET .../hooks/:hook_id."""
    return answer(_shown(call, _hook(call)))


async def create_hook(call: Call) -> Response:
    """POST .../hooks."""
    call.require("url")
    if not call.text("url").startswith(("http://", "https://")):
        # 422, not 400: the model refuses it, not the parameters.
        raise ApiError(422, "Invalid url given")
    created = stamp(call.gitlab.world.now())
    hook = new_hook(call.gitlab.state.next_id("hook"), "", created, _options(call))
    call.project["hooks"].append(hook)
    call.gitlab.world.touch()
    return answer(_shown(call, hook), 201)


async def update_hook(call: Call) -> Response:
    """PUT .../hooks/:hook_id."""
    hook = _hook(call)
    hook |= _options(call)
    call.gitlab.world.touch()
    return answer(_shown(call, hook))


async def delete_hook(call: Call) -> Response:
    """DELETE .../hooks/:hook_id."""
    call.project["hooks"].remove(_hook(call))
    call.gitlab.world.touch()
    return empty()


async def test_hook(call: Call) -> Response:
    """POST .../hooks/:hook_id/test/:trigger: the default branch's last push, sent again."""
    hook, gitlab = _hook(call), call.gitlab
    tip = await blocking(call.repository.tip, call.project["default_branch"])
    if tip is None:
        raise ApiError(422, "Ensure the project has at least one commit.")
    ref = f"refs/heads/{call.project['default_branch']}"
    change = (await blocking(call.repository.resolve, f"{tip}~1") or ZEROS, tip)
    body = await blocking(
        payloads.push, gitlab.base_url, call.project, call.repository, ref, change, call.actor
    )
    # At once, as from GitLab's web node: a disabled hook is tried as well, and a 2xx enables it again.
    gitlab.webhooks.send(call.project, hook, "Push Hook", body, str(uuid.uuid4()))
    return answer({"message": "201 Created"}, 201)


async def list_events(call: Call) -> Response:
    """GET .../hooks/:hook_id/events: the deliveries, newest first."""
    hook = _hook(call)
    rows = [row for row in call.project["deliveries"] if row["hook_id"] == hook["id"]]
    shown = [row | {"url": call.gitlab.webhooks.resolve(row["url"])} for row in reversed(rows)]
    return page(call, shown)


async def resend_event(call: Call) -> Response:
    """POST .../hooks/:hook_id/events/:event/resend: the same Idempotency-Key once more."""
    hook = _hook(call)
    found = [row for row in call.project["deliveries"] if str(row["id"]) == call.path("event")]
    if not found or found[0]["hook_id"] != hook["id"]:
        raise ApiError(404, "404 Not found")
    # The key stays the same, so a receiver that has the delivery drops this one.
    row = call.gitlab.webhooks.resend(call.project, hook, found[0])
    return answer({"response_status": row["response_status"]}, 201)


ROUTES = [
    route("GET", "/projects/{id}/hooks", Access.MANAGE, list_hooks),
    route("POST", "/projects/{id}/hooks", Access.MANAGE, create_hook),
    route("GET", "/projects/{id}/hooks/{hook}", Access.MANAGE, get_hook),
    route("PUT", "/projects/{id}/hooks/{hook}", Access.MANAGE, update_hook),
    route("DELETE", "/projects/{id}/hooks/{hook}", Access.MANAGE, delete_hook),
    route("POST", "/projects/{id}/hooks/{hook}/test/{trigger}", Access.MANAGE, test_hook),
    route("GET", "/projects/{id}/hooks/{hook}/events", Access.MANAGE, list_events),
    route("POST", "/projects/{id}/hooks/{hook}/events/{event}/resend", Access.MANAGE, resend_event),
]
