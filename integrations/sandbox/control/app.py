"""The control API, and one page over it that works without JavaScript."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from integrations.sandbox.control import page
from integrations.sandbox.control.menu import PLAYS
from integrations.sandbox.control.picture import picture
from integrations.sandbox.control.plays import CannotPlay, Json, Stage, next_version
from integrations.sandbox.gitlab.app import GitLab
from integrations.sandbox.gitlab.web import blocking
from integrations.sandbox.scenarios.a import SOURCE

if TYPE_CHECKING:
    from integrations.sandbox.world import World

_MESSAGES_KEPT = 100
STATIC = Path(__file__).parent / "static"
POLICY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'"
}


class Control:
    """The seventh part: whoever sits in front of the sandbox. `peers` are the other vendors by name."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.peers: dict[str, Any] = {}
        self.app = Starlette(
            routes=[
                Route("/", self.index),
                Route("/fragment", self.fragment),
                Route("/play/{action}", self.play_form, methods=["POST"]),
                Route("/api/play/{action}", self.play_json, methods=["POST"]),
                Route("/api/faults", self.faults, methods=["GET", "PUT"]),
                Route("/api/hook-base", self.hook_base, methods=["GET", "PUT"]),
                Route("/api/state", self.state),
                Route("/chat/{room}", self.chat, methods=["GET", "POST"]),
                Route("/healthz", self.healthz),
                Mount("/static", StaticFiles(directory=STATIC)),
            ],
            exception_handlers={CannotPlay: _cannot},
        )

    def start(self) -> None:
        """Nothing is under way here."""

    @property
    def gitlab(self) -> GitLab:
        """Return the simulated GitLab."""
        if not isinstance(self.world.git, GitLab):
            raise TypeError("the control page plays with the simulated GitLab")
        return self.world.git

    async def chat(self, request: Request) -> Response:
        """POST /chat/:room: a message in Apprise's JSON form; GET: what the room heard, oldest first."""
        rooms = self.world.store("chat")
        room: list[Json] = rooms.setdefault(request.path_params["room"], [])
        if request.method == "POST":
            said = await _body(request)
            room.append({"title": str(said.get("title", "")), "message": str(said.get("message", ""))})
            # A demo may run for days.
            del room[:-_MESSAGES_KEPT]
            self.world.touch()
        return JSONResponse(room)

    async def index(self, request: Request) -> Response:
        """GET /: the page, with what the last button did."""
        state = await picture(self.world, self.gitlab, self.peers)
        source = self.gitlab.state.project(SOURCE)
        version = await blocking(next_version, self.gitlab, source) if source else ""
        notes = {name: request.query_params.get(name, "") for name in ("done", "refused")}
        return HTMLResponse(page.index(state, version, notes), headers=POLICY)

    async def fragment(self, request: Request) -> Response:
        """GET /fragment: the state alone, for the script that keeps the page fresh."""
        del request
        return HTMLResponse(page.state(await picture(self.world, self.gitlab, self.peers)), headers=POLICY)

    async def play_form(self, request: Request) -> Response:
        """POST /play/:action from a form: do it, then back to the page."""
        # Empty inputs are left out, so that a play takes its default.
        given = dict(parse_qsl((await request.body()).decode()))
        try:
            done = await self._play(request, given)
            note = {"done": f"{PLAYS[request.path_params['action']].label}: {page.summary(done)}"}
        except CannotPlay as refusal:
            # 303: a reload of the page must not play it again.
            note = {"refused": str(refusal)}
        return RedirectResponse(f"/?{urlencode(note)}", status_code=303)

    async def play_json(self, request: Request) -> Response:
        """POST /api/play/:action with JSON parameters: answers what it did; 409 when it makes no sense."""
        return JSONResponse(await self._play(request, await _body(request)))

    async def _play(self, request: Request, given: Json) -> Json:
        _same_origin(request)
        play = PLAYS.get(request.path_params["action"])
        if play is None:
            raise CannotPlay(f"There is no play “{request.path_params['action']}”.")
        done = await play.run(Stage(self.world, self.gitlab, given))
        self.world.touch()
        return done

    async def faults(self, request: Request) -> Response:
        """GET or PUT /api/faults: the whole of world.faults (see faults.py)."""
        if request.method == "PUT":
            _same_origin(request)
            wanted = await _body(request)
            # The same object stays: every vendor holds it.
            self.world.faults.clear()
            self.world.faults.update(wanted)
        return JSONResponse(self.world.faults)

    async def hook_base(self, request: Request) -> Response:
        """GET or PUT /api/hook-base {"url": ...}: where Slipway listens."""
        if request.method == "PUT":
            _same_origin(request)
            self.world.hook_base = str((await _body(request)).get("url") or "").rstrip("/")
        return JSONResponse({"url": self.world.hook_base})

    async def state(self, request: Request) -> Response:
        """GET /api/state."""
        del request
        return JSONResponse(await picture(self.world, self.gitlab, self.peers))

    async def healthz(self, request: Request) -> Response:
        """GET /healthz."""
        del request
        return JSONResponse({"status": "ok", "urls": self.world.urls})


async def _body(request: Request) -> Json:
    body = await request.body()
    try:
        found = json.loads(body) if body else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise CannotPlay("The body is not a JSON object.")
    return found


def _same_origin(request: Request) -> None:
    """Refuse other sites' pages: this port is open to every page the newcomer has open."""
    origin = request.headers.get("origin")
    if origin and urlsplit(origin).netloc != request.headers.get("host"):
        raise CannotPlay("This request comes from another site.")


async def _cannot(request: Request, error: Exception) -> Response:
    del request
    return JSONResponse({"message": str(error)}, status_code=409)
