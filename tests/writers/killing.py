"""Workers that die at one exact call to the outside, and a proxy that knows when."""

from __future__ import annotations

import http.client
import http.server
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import urlsplit

from tests.system import ROOT

# Forks a worker for each promotion named on standard input: an interpreter's start takes seconds, a fork
# takes milliseconds, if all that a worker imports on its way is there. It opens no connection itself, so that
# its children share none.
_NURSERY = """
import gc, os, sys, time
import django
django.setup()
import gitlab.v4.objects, httpcore, httpx
import integrations.gitlab.client, integrations.git, integrations.registry, promotions.urls
from promotions import engine
from promotions.models import Promotion
gc.freeze()
for line in sys.stdin:
    child = os.fork()
    if not child:
        try:
            while True:
                engine.advance(int(line))
                if not Promotion.objects.get(pk=int(line)).is_open:
                    os._exit(0)
                time.sleep(0.02)
        finally:
            os._exit(1)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Nursery:
    """Makes workers that advance one promotion each, with the environment of a real one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _NURSERY],
            cwd=ROOT,
            env={**environ, "DJANGO_SETTINGS_MODULE": "promotions.settings", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=30)

    def work_on(self, promotion_id: int, proxy: Proxy) -> bool:
        """Have a worker advance the promotion to its end; tell whether it got there alive."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(promotion_id, file=self._process.stdin, flush=True)
        proxy.victim = int(self._process.stdout.readline())
        proxy.victim_is_known.set()
        status = int(self._process.stdout.readline())
        proxy.victim_is_known.clear()
        assert status in (0, signal.SIGKILL), f"the worker ended with {status}"
        return status == 0


@dataclass
class Proxy:
    """Passes every request on, and kills the worker before or after the one that is named.

    `calls` are the requests since the last `arm`, as "METHOD path".
    """

    url: str
    calls: list[str] = field(default_factory=list)
    victim: int = 0
    victim_is_known: threading.Event = field(default_factory=threading.Event)
    _at: int = -1
    _phase: str = ""

    def arm(self, at: int, phase: str) -> None:
        """Kill at call number `at` (from 0), "before" it is passed on or "after" it was answered."""
        self.calls.clear()
        self._at, self._phase = at, phase

    def disarm(self) -> None:
        self._at = -1

    def is_fatal(self, number: int, phase: str) -> bool:
        return number == self._at and phase == self._phase

    def kill(self) -> None:
        assert self.victim_is_known.wait(10)
        os.kill(self.victim, signal.SIGKILL)
        self.disarm()


@contextmanager
def proxy_to(target: str) -> Iterator[Proxy]:
    """Serve a proxy on a free port."""
    host = urlsplit(target).netloc

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            number = len(proxy.calls)
            proxy.calls.append(f"{self.command} {self.path}")
            if proxy.is_fatal(number, "before"):
                proxy.kill()
                self.close_connection = True
                return
            status, headers, content = self._pass_on(body)
            if proxy.is_fatal(number, "after"):
                proxy.kill()
                self.close_connection = True
                return
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value.replace(f"http://{host}", proxy.url))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any

        def _pass_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            onward = http.client.HTTPConnection(host, timeout=30)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            onward.request(self.command, self.path, body or None, headers)
            answer = onward.getresponse()
            content = answer.read()
            onward.close()
            return answer.status, answer.getheaders(), content

        def log_message(self, *arguments: object) -> None:
            """Stay quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy = Proxy(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
