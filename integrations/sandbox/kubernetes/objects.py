"""The cluster's objects: one rising version, a history of changes to watch, owners and their children."""

from __future__ import annotations

import asyncio
import copy
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from integrations.sandbox.kubernetes import answers
from integrations.sandbox.kubernetes.kinds import KINDS, NAMESPACE, Kind
from integrations.sandbox.world import World

Object = dict[str, Any]
# etcd keeps about five minutes; a watch from before that must list anew.
HISTORY = 2000
# Kubernetes leaves out vowels and look-alikes, so that a generated name spells no word.
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True)
class Change:
    """One event of the history: the object after it, and before it where there was one."""

    version: int
    kind: Kind
    type: str
    object: Object
    before: Object | None


Listener = Callable[[Change], None]


def timestamp(moment: datetime) -> str:
    """Return a Kubernetes time: UTC, whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Objects:
    """What etcd holds, kept in the world's store so that a restart finds it again.

    The history lives in memory: a watch from before a restart gets 410, as after a compaction.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.state = world.store("kubernetes")
        self.state.setdefault("version", 300_000)
        self.state.setdefault("objects", {})
        self.history: deque[Change] = deque(maxlen=HISTORY)
        self.oldest: int = self.state["version"]
        self.listeners: list[Listener] = []
        self.closed = False
        self._signal = asyncio.Event()

    @property
    def version(self) -> int:
        return int(self.state["version"])

    # Reading

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Return a copy of one object; raise a 404 Status where there is none."""
        found = self._table(kind).get(_key(kind, namespace, name))
        if found is None:
            raise answers.not_found(kind, name)
        return copy.deepcopy(found)

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return a copy of one object, or None."""
        found = self._table(kind).get(_key(kind, namespace, name))
        return copy.deepcopy(found) if found is not None else None

    def all(self, kind: Kind, namespace: str = "") -> list[Object]:
        """Return the objects themselves (not copies), by namespace and name: for reading only."""
        items = sorted(self._table(kind).items())
        return [item for key, item in items if not namespace or key.startswith(namespace + "/")]

    def since(self, version: int) -> list[Change]:
        """Return the changes after a version; raise a 410 Status where they are not kept any more."""
        if version < self.oldest:
            raise answers.too_old(version, self.oldest)
        return [change for change in self.history if change.version > version]

    # Writing

    def create(
        self,
        kind: Kind,
        namespace: str,
        manifest: Object,
        *,
        dry_run: bool = False,
        created: datetime | None = None,
    ) -> Object:
        """Store a new object as the API server does: name, uid, times and version are its own."""
        item = copy.deepcopy(manifest)
        metadata = item.setdefault("metadata", {})
        if not metadata.get("name"):
            # Five random letters may meet: then this is a 409, which clients try again.
            metadata["name"] = self._generate_name(kind, metadata.get("generateName", ""))
        name = metadata["name"]
        if _key(kind, namespace, name) in self._table(kind):
            raise answers.already_exists(kind, name)
        item["apiVersion"], item["kind"] = kind.api_version, kind.kind
        if kind.namespaced:
            metadata["namespace"] = namespace
        metadata["uid"] = str(uuid.uuid4())
        metadata["generation"] = 1
        metadata["creationTimestamp"] = timestamp(created or self.world.now())
        return item if dry_run else self._write(kind, "ADDED", item, None)

    def update(self, kind: Kind, item: Object, *, dry_run: bool = False) -> Object:
        """Replace an object; raise 409 Conflict when it carries a version that is not the current one."""
        metadata = item["metadata"]
        before = self.get(kind, metadata.get("namespace", ""), metadata["name"])
        # Who sends no version overwrites whatever is there: that is the API's rule.
        if metadata.get("resourceVersion") not in (None, before["metadata"]["resourceVersion"]):
            raise answers.conflict(kind, metadata["name"])
        for field in ("uid", "creationTimestamp", "generation", "resourceVersion", "namespace"):
            if field in before["metadata"]:
                metadata[field] = before["metadata"][field]
        # Nothing changed: no new version, no event.
        if item == before:
            return before
        if item.get("spec") != before.get("spec"):
            # The spec's own counter; a status may change for ever without it.
            metadata["generation"] += 1
        return item if dry_run else self._write(kind, "MODIFIED", item, before)

    def remove(self, kind: Kind, namespace: str, name: str, *, orphan: bool = False) -> Object:
        """Delete an object and, unless they are orphaned, everything it owns."""
        item = self.get(kind, namespace, name)
        del self._table(kind)[_key(kind, namespace, name)]
        self._write(kind, "DELETED", item, copy.deepcopy(item))
        if not orphan:
            # The garbage collector's work, done at once instead of some seconds later.
            for child_kind, child in self._owned_by(item["metadata"]["uid"]):
                metadata = child["metadata"]
                self.remove(child_kind, metadata.get("namespace", ""), metadata["name"])
        if kind is NAMESPACE:
            self._empty_namespace(name)
        return item

    def apply(self, kind: Kind, namespace: str, manifest: Object) -> Object:
        """Create the object or bring an existing one to the manifest's spec, labels and annotations."""
        found = self.find(kind, namespace, manifest["metadata"]["name"])
        if found is None:
            return self.create(kind, namespace, manifest)
        for field in ("labels", "annotations"):
            if field in manifest["metadata"]:
                found["metadata"][field] = manifest["metadata"][field]
        found.update({k: v for k, v in manifest.items() if k not in ("metadata", "apiVersion", "kind")})
        return self.update(kind, found)

    # Following

    async def wait(self, seconds: float) -> None:
        """Return at the next change, or after a time on the clock."""
        try:
            await asyncio.wait_for(self._signal.wait(), seconds)
        except TimeoutError:
            return

    def close(self) -> None:
        """End every watch: the server is stopping."""
        self.closed = True
        self._signal.set()

    def compact(self) -> None:
        """Forget the history, as etcd does every five minutes: older versions now answer 410."""
        self.history.clear()
        self.oldest = self.version

    # Inner parts

    def _table(self, kind: Kind) -> dict[str, Object]:
        table: dict[str, Object] = self.state["objects"].setdefault(kind.qualified, {})
        return table

    def _generate_name(self, kind: Kind, prefix: str) -> str:
        if not prefix:
            raise answers.invalid(
                kind, "", "metadata.name", "Required value: name or generateName is required"
            )
        return prefix + "".join(self.world.random.choices(SUFFIX_ALPHABET, k=5))

    def _write(self, kind: Kind, type_: str, item: Object, before: Object | None) -> Object:
        # Also for a deletion: DELETED carries a version of its own (kubernetes-watch.md section 1).
        self.state["version"] += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        if type_ != "DELETED":
            metadata = item["metadata"]
            self._table(kind)[_key(kind, metadata.get("namespace", ""), metadata["name"])] = item
        self._record(Change(self.version, kind, type_, copy.deepcopy(item), before))
        return copy.deepcopy(item)

    def _record(self, change: Change) -> None:
        if len(self.history) == self.history.maxlen:
            # What falls out of the buffer can't be resumed from any more.
            self.oldest = self.history[0].version
        self.history.append(change)
        self.world.touch()
        for listener in self.listeners:
            listener(change)
        if not self.closed:
            signal, self._signal = self._signal, asyncio.Event()
            signal.set()

    def _owned_by(self, uid: str) -> list[tuple[Kind, Object]]:
        return [
            (kind, item)
            for kind in KINDS
            for item in self.all(kind)
            if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", []))
        ]

    def _empty_namespace(self, name: str) -> None:
        for kind in KINDS:
            for item in self.all(kind, name) if kind.namespaced else []:
                if self.find(kind, name, item["metadata"]["name"]) is not None:
                    self.remove(kind, name, item["metadata"]["name"])


def _key(kind: Kind, namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if kind.namespaced else name
