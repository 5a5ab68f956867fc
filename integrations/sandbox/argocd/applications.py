"""The Application objects: one rising version, every change told to the watchers."""

from __future__ import annotations

import asyncio
import copy
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from integrations.sandbox.world import World

Object = dict[str, Any]
# The server's buffer per watcher; what does not fit is dropped without a word to the client.
BUFFER = 1000
NAMESPACE = "argocd"


def timestamp(moment: datetime) -> str:
    """Return a Kubernetes time: UTC, whole seconds."""
    # Whole seconds: two comparisons within one second can't be told apart by time.
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Applications:
    """The store of Applications, their Kubernetes events, and who watches them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.state = world.store("argocd")
        self.state.setdefault("version", 184_000)
        self.items: dict[str, Object] = self.state.setdefault("applications", {})
        self.events: dict[str, list[Object]] = self.state.setdefault("events", {})
        self.watchers: set[asyncio.Queue[tuple[str, Object] | None]] = set()
        self._signal = asyncio.Event()

    @property
    def version(self) -> int:
        return int(self.state["version"])

    def now(self) -> str:
        return timestamp(self.world.now())

    def get(self, name: str) -> Object | None:
        """Return a copy of an Application, or None."""
        found = self.items.get(name)
        return copy.deepcopy(found) if found is not None else None

    def all(self) -> list[Object]:
        """Return copies of all Applications, sorted by name."""
        return [copy.deepcopy(self.items[name]) for name in sorted(self.items)]

    def apply(self, manifest: Object) -> bool:
        """Create the Application or bring its spec, labels and annotations up to date; tell if it is new."""
        name = manifest["metadata"]["name"]
        if name in self.items:
            with self.editing(name) as item:
                item["spec"] = copy.deepcopy(manifest["spec"])
                item["metadata"]["labels"] = manifest["metadata"].get("labels", {})
            return False
        # A new Application has a status before it was compared: Unknown, with no health at all.
        created: Object = {"status": {"health": {}, "sync": {"status": "Unknown"}}, **copy.deepcopy(manifest)}
        created["metadata"] |= {
            "namespace": NAMESPACE,
            "uid": str(uuid.uuid4()),
            "generation": 0,
            "creationTimestamp": self.now(),
        }
        self._save(name, created, "ADDED")
        return True

    @contextmanager
    def editing(self, name: str) -> Iterator[Object]:
        """Give a copy to change; it is stored and told only when it differs at the end."""
        item = copy.deepcopy(self.items[name])
        yield item
        # An update that changes nothing makes no event, as in Kubernetes.
        if item != self.items.get(name):
            self._save(name, item, "MODIFIED")

    def delete(self, name: str) -> None:
        # Watchers get the last state with DELETED (argocd-api.md section 4).
        item = self.items.pop(name)
        self._tell("DELETED", item)

    def record(self, name: str, reason: str, message: str) -> None:
        """Keep a Kubernetes event about the Application."""
        held = self.events.setdefault(name, [])
        item, now = self.items[name]["metadata"], self.now()
        number = len(held) + 1
        involved = {"kind": "Application", "namespace": NAMESPACE, "name": name, "uid": item["uid"]}
        held.append(
            {
                "metadata": {
                    "name": f"{name}.{number}",
                    "namespace": NAMESPACE,
                    "uid": str(uuid.uuid4()),
                    "creationTimestamp": now,
                },
                "involvedObject": involved
                | {"apiVersion": "argoproj.io/v1alpha1", "resourceVersion": item["resourceVersion"]},
                "reason": reason,
                "message": message,
                "source": {},
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": 1,
                "type": "Normal",
                "eventTime": None,
                "reportingComponent": "argocd-application-controller",
                "reportingInstance": "",
            }
        )
        # Kubernetes forgets events after an hour; here the newest hundred stay.
        del held[:-100]
        self.world.touch()

    async def changed(self, seconds: float) -> None:
        """Return at the next change of any Application, or after a time on the clock."""
        try:
            await asyncio.wait_for(self._signal.wait(), seconds)
        except TimeoutError:
            return

    def close(self) -> None:
        """End every watch."""
        for watcher in self.watchers:
            _offer(watcher, None)

    def _save(self, name: str, item: Object, type_: str) -> None:
        # One sequence for all Applications: a list's version is comparable with an event's.
        self.state["version"] += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        item["metadata"]["generation"] += 1
        self.items[name] = item
        self._tell(type_, item)

    def _tell(self, type_: str, item: Object) -> None:
        self.world.touch()
        for watcher in self.watchers:
            _offer(watcher, (type_, copy.deepcopy(item)))
        signal, self._signal = self._signal, asyncio.Event()
        signal.set()


def _offer(watcher: asyncio.Queue[tuple[str, Object] | None], event: tuple[str, Object] | None) -> None:
    # No error and no gap is told: hence the full list every few minutes (section 4).
    if not watcher.full():
        watcher.put_nowait(event)
