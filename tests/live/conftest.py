"""A real web process on the test's database, a quick one in this process, and pages that listen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import uvicorn
from channels.auth import AuthMiddlewareStack
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from promotions.bootstrap.stack import web_command
from promotions.consumers import LiveConsumer
from promotions.hub import Hub
from promotions.live import announce
from tests import cast
from tests.system import ROOT, NotInTime, free_port, wait_for

_NUMBER = re.compile(r'<output id="live-number"[^>]*data-number="(\d+)"')
_ROOT_ID = re.compile(r'<\w+[^>]*\bid="([\w-]+)" hx-swap-oob="true"')


@pytest.fixture
def catalogue(transactional_db: None) -> cast.Catalogue:
    # The newest announcement is never forgotten: tables that were just emptied are no state of the product.
    announce("nothing", "at all")
    return cast.make_catalogue(cast.make_people())


@pytest.fixture
def people(catalogue: cast.Catalogue) -> cast.People:
    names = ("requester", "approver", "viewer", "outsider", "admin")
    return cast.People(*(User.objects.get(username=name) for name in names))


@dataclass
class Web:
    """Where pages connect to."""

    port: int

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def database_parameters() -> dict[str, Any]:
    parameters = connection.get_connection_params()
    return {name: value for name, value in parameters.items() if type(value) in (str, int)}


@pytest.fixture(scope="package")
def web(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Web]:
    """The web process as the product starts it. It serves all tests here: announcements go on counting."""
    settings = connection.settings_dict
    made = Web(free_port())
    environ = {
        **os.environ,
        "DATABASE_URL": f"postgresql://{quote(settings['USER'])}@/{quote(settings['NAME'])}"
        f"?host={quote(settings['HOST'])}",
        "BASE_URL": made.base,
        "PYTHONPATH": str(ROOT),
    }
    log = tmp_path_factory.mktemp("web") / "log"
    with log.open("wb") as out:
        command = web_command("127.0.0.1", made.port)
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=out, stderr=out)
    try:
        wait_for(lambda: _is_healthy(made), bool, what="the web process's start")
        yield made
    finally:
        process.terminate()
        process.wait(timeout=15)
    assert "Traceback" not in log.read_text(), log.read_text()


def _is_healthy(web: Web) -> bool:
    try:
        return httpx.get(f"{web.base}/healthz", trust_env=False, verify=False).status_code == 200
    except httpx.TransportError:
        return False


@dataclass
class Quick(Web):
    """A web process's sockets in this process, with short terms; `hub` is its hub."""

    hub: Hub


@pytest.fixture
def quick(transactional_db: None) -> Iterator[Quick]:
    """The same consumer and hub, with a heartbeat of 0.3 s."""
    hub = Hub(database_parameters())
    consumer = type("QuickConsumer", (LiveConsumer,), {"hub": hub, "heartbeat": 0.3, "slowest_send": 1.0})
    application = AuthMiddlewareStack(consumer.as_asgi())
    config = uvicorn.Config(
        application, port=0, lifespan="off", log_config=None, ws_per_message_deflate=False
    )
    server = uvicorn.Server(config)
    # A short way out, so that a page that does not read is soon felt.
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        wait_for(lambda: server.started, bool, seconds=10, what="the server's start")
        yield Quick(listener.getsockname()[1], hub)
    finally:
        server.should_exit = True
        thread.join(15)
        listener.close()
        assert not thread.is_alive()


@dataclass
class Page:
    """A page that listens, as live.js does: it keeps the last fragment of each id and the last number."""

    connection: ClientConnection
    number: int = 0
    fragments: dict[str, str] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)
    messages: int = 0

    def hello(self, *wants: str, since: int | None = None, language: str = "en") -> Page:
        said = {"since": self.number if since is None else since, "wants": wants, "language": language}
        self.connection.send(json.dumps(said))
        return self

    def read(self, seconds: float = 10) -> str:
        text = str(self.connection.recv(timeout=seconds))
        found = _NUMBER.search(text)
        assert found, text[:200]
        self.number = int(found[1])
        self.numbers.append(self.number)
        self.messages += 1
        content = text[text.index("</output>") + len("</output>") :]
        starts = [*_ROOT_ID.finditer(content)]
        ends = [*(start.start() for start in starts[1:]), len(content)]
        for start, end in zip(starts, ends, strict=False):
            self.fragments[start[1]] = content[start.start() : end]
        return content

    def read_until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        for _ in range(10_000):
            if condition():
                return
            try:
                self.read(seconds)
            except TimeoutError:
                break
        raise NotInTime(f"it did not come; the page has {self.fragments} at {self.number}")

    def closed_with(self, seconds: float = 10) -> int:
        """Read until the server closes; return its code."""
        with contextlib.suppress(TimeoutError):
            for _ in range(10_000):
                try:
                    self.read(seconds)
                except ConnectionClosed as closed:
                    return closed.rcvd.code if closed.rcvd else 0
        raise NotInTime("the server did not close the socket")


OpenPage = Callable[..., Page]


def session_of(user: User) -> str:
    client = Client()
    client.force_login(user)
    return str(client.cookies["sessionid"].value)


@pytest.fixture
def open_page() -> Iterator[OpenPage]:
    """Open a socket as a person's page does: `open_page(web, user)`, or nobody's; closed after the test."""
    with contextlib.ExitStack() as stack:

        def opened(
            web: Web, user: User | None, *, session: str = "", origin: str | None = "", slow: bool = False
        ) -> Page:
            key = session or (session_of(user) if user else "")
            headers = {"Cookie": f"sessionid={key}"} if key else {}
            options: dict[str, Any] = {"additional_headers": headers, "compression": None, "proxy": None}
            if origin is not None:
                options["origin"] = origin or web.base
            if slow:
                raw = socket.socket()
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                raw.connect(("127.0.0.1", web.port))
                options |= {"sock": raw, "max_queue": 1, "close_timeout": 0.1}
            return Page(stack.enter_context(connect(f"ws://127.0.0.1:{web.port}/live/", **options)))

        yield opened
