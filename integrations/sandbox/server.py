"""Serve every simulated vendor from one event loop, each on its own loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import inspect
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp

from integrations.sandbox.faults import Faults
from integrations.sandbox.scenarios import chosen
from integrations.sandbox.world import World

log = structlog.get_logger(__name__)

# Vendor name, module, class; imported when the sandbox starts, so that a part may be missing.
VENDORS = (
    ("gitlab", "integrations.sandbox.gitlab", "GitLab"),
    ("registry", "integrations.sandbox.registry", "Registry"),
    ("argocd", "integrations.sandbox.argocd", "ArgoCD"),
    ("kubernetes", "integrations.sandbox.kubernetes", "Cluster"),
    ("control", "integrations.sandbox.control", "Control"),
)
# An open stream gets this long to end by itself when the sandbox stops.
GRACE_SECONDS = 1


class _Server(uvicorn.Server):
    """A uvicorn server that leaves the process's signals to its owner."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True)
class Options:
    """How to run the sandbox. `ports_file` remembers the ports for the next start.

    `scenario` names one scenario, several ("a,b") or "all"; all of them share one set of vendors.
    """

    data_dir: Path
    scenario: str = "a"
    speed: float = 1.0
    hook_base: str = ""
    seed: int | None = None
    ports_file: Path | None = None


class Sandbox:
    """All vendors of one world: `start`, then `stop`, in one event loop."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.world = World(options.data_dir, speed=options.speed, seed=options.seed)
        self.world.hook_base = options.hook_base
        self.world.scenarios = chosen(options.scenario)
        self.vendors: dict[str, Any] = {}
        self._servers: list[_Server] = []
        self._serving: list[asyncio.Task[None]] = []

    async def start(self) -> dict[str, str]:
        """Listen, seed the scenario, start the vendors; return their addresses by name."""
        sockets = self._listen()
        for name, module, attribute in VENDORS:
            if name in sockets:
                self.vendors[name] = getattr(importlib.import_module(module), attribute)(self.world)
        if "control" in self.vendors:
            self.vendors["control"].peers = self.vendors
        # Before the vendors start: their controllers find everything at rest and move nothing.
        await self._seed()
        for vendor in self.vendors.values():
            await _settle(vendor.start())
        for name, vendor in self.vendors.items():
            # The control page must answer while every vendor is told to fail.
            app = vendor.app if name == "control" else Faults(vendor.app, self.world, name)
            server = _server(app)
            self._servers.append(server)
            self._serving.append(asyncio.ensure_future(server.serve(sockets=[sockets[name]])))
        await self.world.wait_until(
            lambda: all(one.started for one in self._servers), seconds=10 * self.world.speed
        )
        return dict(self.world.urls)

    def _listen(self) -> dict[str, socket.socket]:
        wanted = self._known_ports()
        present = [name for name, module, _ in VENDORS if importlib.util.find_spec(module)]
        sockets = {name: _bound(wanted.get(name, 0)) for name in present}
        ports = {name: one.getsockname()[1] for name, one in sockets.items()}
        self.world.urls |= {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        if self.options.ports_file is not None:
            self.options.ports_file.write_text(json.dumps(ports))
        return sockets

    def _known_ports(self) -> dict[str, int]:
        path = self.options.ports_file
        if path is None or not path.exists():
            return {}
        return {str(name): int(port) for name, port in json.loads(path.read_text()).items()}

    async def _seed(self) -> None:
        package = "integrations.sandbox.scenarios"
        for name in self.world.scenarios:
            for module in (f"{package}.{name}", f"{package}.{name}_cluster"):
                if importlib.util.find_spec(module):
                    await _settle(importlib.import_module(module).seed(self.world))
        self.world.save()

    async def stop(self) -> None:
        """Stop listening, end open streams, write the state."""
        # Servers first, so that no request meets a vendor that is closed.
        for server in self._servers:
            server.should_exit = True
        for vendor in self.vendors.values():
            if hasattr(vendor, "close"):
                await _settle(vendor.close())
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self.world.close()


def _server(app: ASGIApp) -> _Server:
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return _Server(config)


async def _settle(result: object) -> None:
    """Await what a vendor's method returned, where it is a coroutine."""
    if inspect.isawaitable(result):
        await result


def _bound(port: int) -> socket.socket:
    """Bind a loopback port; a remembered one that somebody else took is replaced."""
    # asyncio switches Nagle's algorithm off only for sockets that name their protocol; with it every
    # answer would wait 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        if port == 0:
            raise
        log.warning("port taken, using another", port=port)
        listener.bind(("127.0.0.1", 0))
    return listener


class InThread:
    """Run a sandbox in a thread of its own loop, for tests and tools: `with InThread(options) as box:`."""

    def __init__(self, options: Options) -> None:
        self.sandbox = Sandbox(options)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="sandbox")

    @property
    def world(self) -> World:
        """Return the world. Change it through `call` where the loop must see it whole."""
        return self.sandbox.world

    @property
    def urls(self) -> dict[str, str]:
        """Return each vendor's address."""
        return self.sandbox.world.urls

    def call(self, work: Any, *, seconds: float = 30) -> Any:
        """Run a coroutine in the sandbox's loop and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(seconds)

    def __enter__(self) -> InThread:
        self._thread.start()
        self.call(self.sandbox.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.call(self.sandbox.stop())
        self.call(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
