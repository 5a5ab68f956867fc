"""The receiver behind a real HTTP server on the real PostgreSQL, and senders that know their secrets."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from promotions.choices import Vendor
from promotions.models import Connection, Delivery, WebhookSource
from promotions.webhooks.receiver import Receiver
from promotions.webhooks.writer import BatchWriter
from tests.system import wait_for

FIXTURES = Path(__file__).parents[1] / "fixtures"
SECRET = "s3cret-of-the-hook"
HEADER = {
    Vendor.GITLAB: "X-Gitlab-Token",
    Vendor.HARBOR: "Authorization",
    Vendor.DISTRIBUTION: "Authorization",
}
BODY = {
    Vendor.GITLAB: "gitlab/webhook-push-branch.json",
    Vendor.HARBOR: "harbor/push-artifact.default.by-tag.derived.json",
    Vendor.DISTRIBUTION: "registry/notification-push-tag.derived.json",
}
VENDORS = list(BODY)


def fixture_body(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def database_parameters() -> dict[str, object]:
    """What psycopg needs to reach this test's database without Django."""
    parameters = connection.get_connection_params()
    return {name: value for name, value in parameters.items() if type(value) in (str, int)}


@dataclass
class Served:
    """A receiver that listens; `writer` and `receiver` are its parts."""

    url: str
    port: int
    writer: BatchWriter
    receiver: Receiver


@contextlib.contextmanager
def serve(
    database: dict[str, object], *, writer: dict[str, object], receiver: dict[str, object]
) -> Iterator[Served]:
    """Run a receiver in uvicorn, in a thread of this process, until the test is over."""
    batch_writer = BatchWriter(database, **writer)  # type: ignore[arg-type]
    application = Receiver(database, writer=batch_writer, **receiver)  # type: ignore[arg-type]
    config = uvicorn.Config(application, port=0, lifespan="off", log_config=None, ws="none")
    server = uvicorn.Server(config)

    async def run() -> None:
        await server.serve()
        await batch_writer.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        wait_for(lambda: server.started, bool, seconds=10, what="the receiver's start")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Served(f"http://127.0.0.1:{port}", port, batch_writer, application)
    finally:
        server.should_exit = True
        thread.join(15)
        assert not thread.is_alive()


Serve = Callable[..., Served]


@pytest.fixture
def serving(transactional_db: None) -> Iterator[Serve]:
    """Start a receiver with other limits than the product's, or another way to the database."""
    with contextlib.ExitStack() as stack:

        def start(database: dict[str, object] | None = None, **options: object) -> Served:
            of_writer = {name: options.pop(name) for name in ("patience", "longest_queue") if name in options}
            made = serve(database or database_parameters(), writer=of_writer, receiver=options)
            return stack.enter_context(made)

        yield start


@pytest.fixture(scope="package")
def shared(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Served]:
    with django_db_blocker.unblock():
        parameters = database_parameters()
    with serve(parameters, writer={}, receiver={}) as made:
        yield made


@pytest.fixture
def served(shared: Served, transactional_db: None) -> Served:
    """A receiver as it runs in the product; it may serve several tests, whose sources differ."""
    return shared


def post(url: str, content: bytes, headers: dict[str, str | bytes]) -> httpx.Response:
    # Without TLS: reading the system's certificates takes ten times as long as all the rest.
    with httpx.Client(trust_env=False, verify=False, timeout=20) as client:
        return client.post(url, content=content, headers=headers)  # type: ignore[arg-type]


@dataclass
class Sender:
    """A vendor that posts to its source."""

    source: WebhookSource
    served: Served

    @property
    def vendor(self) -> Vendor:
        return Vendor(self.source.connection.vendor)

    @property
    def url(self) -> str:
        return self.served.url + self.source.path

    def post(
        self, body: bytes | None = None, *, secret: str | bytes | None = SECRET, **headers: str
    ) -> httpx.Response:
        """Post as the vendor does; keyword names become header names."""
        given: dict[str, str | bytes] = {name.replace("_", "-"): value for name, value in headers.items()}
        if secret is not None:
            given[HEADER[self.vendor]] = secret
        content = fixture_body(BODY[self.vendor]) if body is None else body
        return post(self.url, content, given)

    def deliveries(self) -> list[Delivery]:
        return list(Delivery.objects.filter(source=self.source).order_by("id"))


def make_source(vendor: Vendor, **fields: object) -> WebhookSource:
    made, _new = Connection.objects.get_or_create(
        slug=vendor.value,
        defaults={"vendor": vendor, "url": "http://127.0.0.1:9", "host": "harbor.centre.com"},
    )
    values: dict[str, object] = {"tokens": ["env:HOOK_SECRET"]}
    return WebhookSource.objects.create(connection=made, **{**values, **fields})


@pytest.fixture(autouse=True)
def hook_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)


@pytest.fixture
def gitlab(served: Served) -> Sender:
    return Sender(make_source(Vendor.GITLAB), served)


@pytest.fixture(params=VENDORS)
def sender(served: Served, request: pytest.FixtureRequest) -> Sender:
    """Each vendor in turn."""
    return Sender(make_source(request.param), served)


class Proxy:
    """Stands between the receiver and PostgreSQL, and can be cut or go silent like a network."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.is_cut = self.is_silent = False
        self._pairs: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                inner, _address = self._listener.accept()
                if self.is_cut:
                    inner.close()
                    continue
                outer = socket.socket(socket.AF_UNIX)
                outer.connect(self.target)
                self._pairs += [inner, outer]
                for one, other in ((inner, outer), (outer, inner)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                if not self.is_silent:
                    other.sendall(data)
            other.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """The server is gone: open connections break, new ones are refused."""
        self.is_cut = True
        self.break_connections()

    def break_connections(self) -> None:
        pairs, self._pairs = self._pairs, []
        for each in pairs:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def mend(self) -> None:
        self.is_cut = self.is_silent = False

    def stop(self) -> None:
        self.cut()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def parameters(self) -> dict[str, object]:
        return {**database_parameters(), "host": "127.0.0.1", "port": self.port, "sslmode": "disable"}


@pytest.fixture
def proxy(transactional_db: None) -> Iterator[Proxy]:
    parameters = database_parameters()
    made = Proxy(f"{parameters['host']}/.s.PGSQL.{parameters.get('port') or 5432}")
    yield made
    made.stop()


def nested(depth: int) -> bytes:
    return b'{"object_kind": "push", "x": ' + b"[" * depth + b"]" * depth + b"}"


def digest_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()
