"""What the simulated vendors share: data on disk, the pace of time, faults, background work."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import structlog

log = structlog.get_logger(__name__)

Handler = Callable[..., Awaitable[None]]


class GitHost(Protocol):
    """What the other vendors may ask of the simulated GitLab."""

    def repository(self, project: str) -> Path:
        """Return the bare repository's folder of `project` ("group/name")."""

    def tip(self, project: str, branch: str) -> str | None:
        """Return the branch's commit id, or None where it does not exist."""

    def files(self, project: str, revision: str, folder: str = "") -> dict[str, bytes]:
        """Return every file below `folder` at `revision`, by its path in the repository."""

    async def push_edit(
        self, project: str, branch: str, path: str, edit: Callable[[str], str], *, message: str, username: str
    ) -> str:
        """Push an edit of one file as a user; return the commit. KeyError where something is missing."""


class ImageStore(Protocol):
    """What the other vendors may ask of the simulated registry."""

    def push(self, repository: str, tag: str, *, revision: str, source: str = "") -> str:
        """Store a new image under the tag, emit `image.pushed`, and return its digest."""

    def digest(self, repository: str, reference: str) -> str | None:
        """Return the digest a tag (or digest) stands for, or None."""


class Deliverer(Protocol):
    """What the other vendors may ask of the simulated Argo CD."""

    def request_sync(self, application: str) -> None:
        """Queue a sync of the application's target revision, as `argocd app sync` does."""

    def verdict(self, application: str) -> tuple[str, str]:
        """Return (sync status, health status), for a task that waits as `argocd app wait` does."""

    def apply(self, application: dict[str, Any]) -> None:
        """Create an Application or bring an existing one to the manifest's spec and labels."""


class Orchestrator(Protocol):
    """What the scenarios may ask of the simulated cluster."""

    def apply(self, manifest: dict[str, Any]) -> None:
        """Create or change an object, as `kubectl apply` does."""


class World:
    """One run of the sandbox.

    `speed` divides every simulated duration: 1 is the pace of a demonstration, tests use 20 or more.
    `urls` names each vendor's base address once its server listens: gitlab, kubernetes, argocd,
    registry, control. `hook_base` is where Slipway listens; webhooks go nowhere while it is "".
    `scenarios` are the names of the loaded ones, in their order.
    `faults` is written by the control API and read by every vendor: see control/faults.
    """

    git: GitHost
    images: ImageStore
    argocd: Deliverer
    cluster: Orchestrator

    def __init__(self, data_dir: Path, *, speed: float = 1.0, seed: int | None = None) -> None:
        self.data_dir = data_dir
        self.speed = speed
        # Kept, so that a run with accidents can be made once more.
        self.seed = seed if seed is not None else random.SystemRandom().randrange(2**32)
        self.random = random.Random(self.seed)
        self.urls: dict[str, str] = {}
        self.hook_base = ""
        self.scenarios: tuple[str, ...] = ()
        self.faults: dict[str, Any] = {}
        self._handlers: dict[str, list[Handler]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stores: dict[str, dict[str, Any]] = {}
        self._save_due: asyncio.TimerHandle | None = None
        self._save_took = 0.0
        data_dir.mkdir(parents=True, exist_ok=True)

    def now(self) -> datetime:
        """Return the wall clock, in UTC: vendors' timestamps are real even when work is sped up."""
        return datetime.now(UTC)

    async def pause(self, seconds: float) -> None:
        """Wait a simulated duration."""
        await asyncio.sleep(seconds / self.speed)

    async def wait_until(self, condition: Callable[[], bool], *, seconds: float) -> bool:
        """Poll a condition for at most a simulated duration; tell whether it came true."""
        deadline = time.monotonic() + seconds / self.speed
        while not condition():
            if time.monotonic() >= deadline:
                return False
            # Real time: a condition is looked at often enough however fast the world runs.
            await asyncio.sleep(0.02)
        return True

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run work in the background; its failure is logged, its end is awaited by `close`."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        # asyncio keeps only weak references: a task nobody holds may vanish half-way.
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work failed", task=task.get_name(), exc_info=error)

    def on(self, event: str, handler: Handler) -> None:
        """Call `handler(**data)` for each `emit(event, **data)`.

        Events: `git.pushed` (project, ref, before, after, user), `merge_request.changed` (project, iid,
        action), `image.pushed` (repository, tag, digest), `image.deleted` (repository, digest).
        """
        self._handlers.setdefault(event, []).append(handler)

    def emit(self, event: str, **data: Any) -> None:
        """Tell the event to its handlers, each in its own background task."""
        for handler in self._handlers.get(event, []):
            self.spawn(self._call(handler, data), name=f"{event} -> {handler!r}")

    async def _call(self, handler: Handler, data: dict[str, Any]) -> None:
        await handler(**data)

    def store(self, name: str) -> dict[str, Any]:
        """Return a vendor's JSON-like state, as the last run left it; call `touch` after changing it."""
        if name not in self._stores:
            path = self._path(name)
            self._stores[name] = json.loads(path.read_text()) if path.exists() else {}
        return self._stores[name]

    def touch(self) -> None:
        """Have every store written to disk within a fifth of a second, or a few while much is kept."""
        # Many changes come together; one write serves them all. After hours of play a write takes long:
        # it may have a fiftieth of the time, for every vendor waits for it.
        if self._save_due is None:
            delay = max(0.2, 50 * self._save_took)
            self._save_due = asyncio.get_running_loop().call_later(delay, self.save)

    def save(self) -> None:
        """Write every store, each file replaced at once so that a kill leaves the old or the new one."""
        if self._save_due is not None:
            self._save_due.cancel()
            self._save_due = None
        begun = time.thread_time()
        # All of them: a play may change several vendors, and half of it on disk would be a lie.
        for name, state in self._stores.items():
            draft = self._path(name).with_suffix(".new")
            draft.write_text(json.dumps(state))
            draft.replace(self._path(name))
        self._save_took = time.thread_time() - begun

    def _path(self, name: str) -> Path:
        return self.data_dir / f"{name}.json"

    async def close(self) -> None:
        """Stop the background work and write what is not yet on disk."""
        # Asked again until they are gone: Python 3.11's wait_for forgets a cancellation that meets its
        # result, and work that is ending may spawn more.
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(list(self._tasks), timeout=0.2)
        self.save()
