"""A scripted HTTP server on loopback: real sockets, real time-outs, no mocks."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

FIXTURES = Path(__file__).parent.parent / "fixtures"


def fixture(name: str) -> object:
    """The parsed fixture, for example "gitlab/api-branch-get.json"."""
    return json.loads((FIXTURES / name).read_text())


def raw_fixture(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


@dataclass(frozen=True)
class Recorded:
    """One request as it arrived; `path` is still percent-encoded, `query` keeps the first value."""

    method: str
    path: str
    query: Mapping[str, str]
    queries: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        parsed = json.loads(self.body)
        assert isinstance(parsed, dict)
        return parsed


@dataclass(frozen=True)
class Answer:
    """A complete answer; a body that is not bytes is sent as JSON."""

    body: object = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Exchange:
    """One request in a handler that writes its answer by itself."""

    def __init__(self, handler: BaseHTTPRequestHandler, request: Recorded, gone: threading.Event) -> None:
        self._handler = handler
        self.request = request
        self.stopping = gone

    def answer(self, answer: Answer) -> None:
        """A complete answer after all."""
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **answer.headers}
        self._handler.send_response(answer.status)
        for name, value in headers.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()
        if self.request.method != "HEAD":
            self._handler.wfile.write(body)

    def start(self, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self._handler.send_response(status)
        for name, value in {"Transfer-Encoding": "chunked", **(headers or {})}.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()
        self._handler.wfile.flush()

    def send(self, data: bytes) -> None:
        self._handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self._handler.wfile.flush()

    def end(self) -> None:
        self._handler.wfile.write(b"0\r\n\r\n")
        self._handler.wfile.flush()

    def cut(self) -> None:
        """End the connection without ending the body."""
        self._handler.close_connection = True

    def stall(self, seconds: float = 30.0) -> None:
        """Say nothing until the server stops (or the bound is over), then cut."""
        self.stopping.wait(seconds)
        self.cut()


Reply = Answer | Callable[[Exchange], None]


class Loopback:
    """Routes are (method, regular expression for the encoded path); several replies are given one after
    the other, the last one for ever."""

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self._routes: list[tuple[str, re.Pattern[str], list[Reply]]] = []
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler_for(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    def on(self, method: str, path: str, *replies: Reply) -> None:
        self._routes.insert(0, (method, re.compile(path), list(replies)))

    def reply_to(self, request: Recorded) -> Reply:
        with self._lock:
            self.requests.append(request)
            for method, path, replies in self._routes:
                if method == request.method and path.fullmatch(request.path):
                    return replies.pop(0) if len(replies) > 1 else replies[0]
        return Answer({"message": f"no route for {request.method} {request.path}"}, status=404)

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests; anything else is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def _handler_for(loopback: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            parts = urlsplit(self.path)
            queries = parse_qs(parts.query, keep_blank_values=True)
            request = Recorded(
                method=self.command,
                path=parts.path,
                query={key: values[0] for key, values in queries.items()},
                queries=queries,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(size),
            )
            reply = loopback.reply_to(request)
            with contextlib.suppress(ConnectionError):
                exchange = Exchange(self, request, loopback.stopping)
                exchange.answer(reply) if isinstance(reply, Answer) else reply(exchange)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = handle_any

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextlib.contextmanager
def loopback() -> Iterator[Loopback]:
    server = Loopback()
    try:
        yield server
    finally:
        server.stop()
