"""The frame of every REST call: who asks, for which project, with what parameters; and the answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from integrations.sandbox.gitlab.git import Repository
from integrations.sandbox.gitlab.state import DEVELOPER, MAINTAINER, Json, may

if TYPE_CHECKING:
    from integrations.sandbox.gitlab.app import GitLab

P = ParamSpec("P")
T = TypeVar("T")


class ApiError(Exception):
    """An answer other than success. Text goes out as `{"message": ...}`, an object as it is."""

    def __init__(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        super().__init__(body)
        self.status = status
        self.body = body if isinstance(body, dict) else {"message": body}
        self.headers = headers or {}


UNAUTHORIZED = (401, "401 Unauthorized")
FORBIDDEN = (403, "403 Forbidden")
INSUFFICIENT_SCOPE = (
    403,
    {
        "error": "insufficient_scope",
        "error_description": "The request requires higher privileges than provided by the access token.",
        "scope": "api",
    },
)


class Access(Enum):
    """What a route asks for: the smallest role, and whether scope `api` is needed."""

    ANYONE = 0
    READ = 10
    WRITE = DEVELOPER
    MANAGE = MAINTAINER


@dataclass(frozen=True)
class Call:
    """One authenticated request. `project` is {} on routes that name none."""

    gitlab: GitLab
    request: Request
    user: Json | None
    token: Json | None
    project: Json
    params: Json

    @property
    def repository(self) -> Repository:
        """Return the project's bare repository."""
        return self.gitlab.open(self.project)

    @property
    def actor(self) -> Json:
        """Return who asks, on routes that refuse the anonymous."""
        if self.user is None:
            raise ApiError(*UNAUTHORIZED)
        return self.user

    @property
    def level(self) -> int:
        """Return the caller's role."""
        return self.gitlab.state.level(self.user)

    def path(self, name: str) -> str:
        """Return a path parameter, decoded: the routes match encoded paths, as GitLab does."""
        return unquote(self.request.path_params[name])

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter as text."""
        value = self.params.get(name)
        return default if value is None else str(value)

    def number(self, name: str, default: int) -> int:
        """Return a whole-number parameter; 400 as Grape words it when it is none."""
        try:
            return int(self.params.get(name, default))
        except (TypeError, ValueError):
            raise ApiError(400, {"error": f"{name} is invalid"}) from None

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean parameter."""
        value = self.params.get(name)
        return default if value is None else str(value).lower() in {"true", "1", "on", "yes"}

    def require(self, *names: str) -> None:
        """Refuse a call that lacks parameters, in the words of Grape: the key is `error`."""
        missing = [name for name in names if self.params.get(name) in (None, "", [])]
        if missing:
            raise ApiError(400, {"error": ", ".join(f"{name} is missing" for name in missing)})

    def may(self, act: str, branch: str) -> bool:
        """Tell whether the caller may "push" to or "merge" into a branch."""
        return may(self.project, self.level, act, branch)


Handler = Callable[[Call], Awaitable[Response]]


async def blocking(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Run Git's blocking work in a thread, so that the loop goes on."""
    return await asyncio.to_thread(function, *arguments, **named)


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer with JSON."""
    return JSONResponse(body, status_code=status, headers=headers)


def empty() -> Response:
    """Answer 204."""
    return Response(status_code=204)


def route(method: str, path: str, access: Access, handler: Handler) -> Route:
    """Make a route below /api/v4; `{id}` in it is the project, by number or encoded path."""

    async def endpoint(request: Request) -> Response:
        try:
            return await handler(await _call(request, access))
        except ApiError as error:
            return JSONResponse(error.body, status_code=error.status, headers=error.headers)

    return Route(f"/api/v4{path}", endpoint, methods=[method])


async def _call(request: Request, access: Access) -> Call:
    gitlab: GitLab = request.app.state.gitlab
    token = _token(gitlab, request)
    user = gitlab.state.users[token["user_id"]] if token else None
    # Who is unknown is told so before anything about the project.
    if user is None and access is not Access.READ:
        raise ApiError(*UNAUTHORIZED)
    if token and access in (Access.WRITE, Access.MANAGE) and "api" not in token["scopes"]:
        raise ApiError(*INSUFFICIENT_SCOPE)
    project = _project(gitlab, request, user)
    if gitlab.state.level(user) < access.value and user is not None:
        raise ApiError(*FORBIDDEN)
    # Whoever forwards a hook's header joins its chain, and GitLab sends no hook for what they do then.
    gitlab.webhooks.join_chain(request.headers.get("x-gitlab-event-uuid"))
    return Call(gitlab, request, user, token, project, await _parameters(request))


def _token(gitlab: GitLab, request: Request) -> Json | None:
    secret = request.headers.get("private-token") or request.query_params.get("private_token")
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if secret is None and scheme.lower() == "bearer":
        secret = value
    if secret is None:
        return None
    token = gitlab.state.token(secret)
    if token is None:
        raise ApiError(*UNAUTHORIZED)
    return token


def _project(gitlab: GitLab, request: Request, user: Json | None) -> Json:
    if "id" not in request.path_params:
        return {}
    project = gitlab.state.project(unquote(request.path_params["id"]))
    if project is None or (user is None and project["visibility"] != "public"):
        # GitLab hides what the caller may not see.
        raise ApiError(404, "404 Project Not Found")
    return project


async def _parameters(request: Request) -> Json:
    values: Json = dict(request.query_params)
    body = await request.body()
    if not body:
        return values
    # Grape takes forms as well as JSON; the body wins over the query.
    if "json" not in request.headers.get("content-type", ""):
        return values | dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    try:
        posted = json.loads(body)
    except ValueError:
        raise ApiError(400, {"error": "The provided content-type 'application/json' is invalid."}) from None
    return values | posted if isinstance(posted, dict) else values


def window(call: Call) -> tuple[int, int]:
    """Return the page asked for and its size: 20 rows unless told, 100 at most."""
    # Larger pages are cut without a word (gitlab-api.md, "Pagination").
    return max(1, call.number("page", 1)), min(100, max(1, call.number("per_page", 20)))


def page(call: Call, rows: Sequence[object]) -> Response:
    """Answer one page of a list with GitLab's offset headers; totals only up to 10,000 rows."""
    number, size = window(call)
    total = len(rows) if len(rows) <= 10_000 else None
    return part(call, rows[(number - 1) * size : number * size], more=len(rows) > number * size, total=total)


def part(call: Call, shown: Sequence[object], *, more: bool, total: int | None) -> Response:
    """Answer a page already cut out; commit lists know no total."""
    number, size = window(call)
    headers = {
        "X-Page": str(number),
        "X-Per-Page": str(size),
        "X-Prev-Page": str(number - 1) if number > 1 else "",
        # Empty on the last page, not absent.
        "X-Next-Page": str(number + 1) if more else "",
    }
    links = (
        {"first": 1} | ({"prev": number - 1} if number > 1 else {}) | ({"next": number + 1} if more else {})
    )
    if total is not None:
        last = max(1, -(-total // size))
        headers |= {"X-Total": str(total), "X-Total-Pages": str(last)}
        links["last"] = last
    headers["Link"] = ", ".join(_link(call, rel, {"page": at, "per_page": size}) for rel, at in links.items())
    return answer(list(shown), headers=headers)


def keyset_page(call: Call, rows: Sequence[Json], key: str) -> Response:
    """Answer one keyset page: the next one is known only by its Link."""
    size = min(100, max(1, call.number("per_page", 20)))
    token = call.text("page_token")
    keys = [str(row[key]) for row in rows]
    start = keys.index(token) + 1 if token in keys else 0
    shown = rows[start : start + size]
    headers = {}
    if start + size < len(rows):
        headers["Link"] = _link(call, "next", {"page_token": str(shown[-1][key]), "per_page": size})
    return answer(list(shown), headers=headers)


def _link(call: Call, rel: str, changed: dict[str, Any]) -> str:
    query = dict(call.request.query_params) | {name: str(value) for name, value in changed.items()}
    # A token in the address must not travel on in a header that proxies log.
    query.pop("private_token", None)
    base = call.request.base_url.replace(path=call.request.url.path)
    return f'<{base}?{urlencode(query)}>; rel="{rel}"'
