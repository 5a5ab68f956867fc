"""The simulated cluster, Argo CD and registry, running on free loopback ports in a thread of their own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import uvicorn

from integrations.sandbox.argocd import ArgoCD
from integrations.sandbox.kubernetes import Cluster
from integrations.sandbox.registry import Registry
from integrations.sandbox.world import World
from tests.integrations.sandbox.localgit import LocalGit

T = TypeVar("T")


class Sandbox:
    """A running world: `call` and `run` act inside its loop."""

    def __init__(self, data_dir: Path, *, speed: float = 50, git_dir: Path | None = None) -> None:
        self.world = World(data_dir, speed=speed, seed=7)
        self.git = LocalGit(git_dir or data_dir / "git")
        self.world.git = self.git
        self.registry = Registry(self.world)
        self.argocd = ArgoCD(self.world)
        self.cluster = Cluster(self.world)
        self.loop = asyncio.new_event_loop()
        self.sockets: dict[str, socket.socket] = {}
        self.servers: list[uvicorn.Server] = []
        self.ready = threading.Event()
        self.stopping: asyncio.Event | None = None
        self.thread = threading.Thread(target=self._main, daemon=True)

    def __enter__(self) -> Sandbox:
        apps = {"registry": self.registry, "argocd": self.argocd, "kubernetes": self.cluster}
        for name in apps:
            listening = socket.socket()
            listening.bind(("127.0.0.1", 0))
            self.sockets[name] = listening
            self.world.urls[name] = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.thread.start()
        assert self.ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.loop.call_soon_threadsafe(self._stop)
        self.thread.join(15)
        assert not self.thread.is_alive(), "the sandbox did not stop"

    def _stop(self) -> None:
        assert self.stopping is not None
        self.stopping.set()

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._serve())
        self.loop.close()

    async def _serve(self) -> None:
        self.stopping = asyncio.Event()
        vendors = {"registry": self.registry, "argocd": self.argocd, "kubernetes": self.cluster}
        for name, vendor in vendors.items():
            config = uvicorn.Config(
                vendor.app, log_config=None, lifespan="off", access_log=False, timeout_graceful_shutdown=2
            )
            server = uvicorn.Server(config)
            server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
            self.servers.append(server)
            await vendor.start()
            self.world.spawn(server.serve([self.sockets[name]]), name=f"server {name}")
        assert await self.world.wait_until(lambda: all(s.started for s in self.servers), seconds=500)
        self.ready.set()
        await self.stopping.wait()
        await self._shut_down()

    async def _shut_down(self) -> None:
        for vendor in (self.cluster, self.argocd, self.registry):
            await vendor.close()
        for server in self.servers:
            server.should_exit = True
        await self.world.wait_until(
            lambda: not any(server.server_state.connections for server in self.servers), seconds=250
        )
        await self.world.close()

    def call(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Call a function inside the loop, as the vendors themselves would."""

        async def work() -> T:
            return function(*arguments, **named)

        return self.run(work())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)


def until(condition: Callable[[], T], *, seconds: float = 15) -> T:
    """Return the condition's first true value; fail after a time on the clock."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.02)
    return value
