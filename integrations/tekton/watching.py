"""The list and watch loop of reference kubernetes-watch.md section 4, for one collection."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic

from integrations.errors import IntegrationError, Unauthorized, Unavailable
from integrations.http import parse_json, shut_down_on
from integrations.shape import Json, dig, mapping, sequence, text
from integrations.tekton.cluster import PAGE, VENDOR, Cluster, Query, lines, socket_of, status_error
from integrations.tekton.types import Alive, Changed, Deleted, Listed, Run, Troubled

# A watch that ends sooner than this without a word counts as a failure, else it would spin.
_SHORT = 1.0
_MAX_PAGES = 200


@dataclass(frozen=True, slots=True)
class Pace:
    """Durations in seconds. A watch is ended by the server after `watch` to 1.25 `watch`; silence for
    `slack` longer means that the connection is lost. One minute keeps what the page shows fresh, for
    bookmarks are not promised; the reference's 240 to 300 s would leave a dead connection unseen longer.
    `lasting` is the pause after an error that time alone will hardly cure."""

    watch: float = 60.0
    slack: float = 15.0
    first_pause: float = 1.0
    longest_pause: float = 30.0
    lasting: float = 60.0

    def pause(self, error: IntegrationError, failures: int) -> float:
        """How long to wait after this many failures in a row."""
        if not isinstance(error, Unavailable) and error.status != 410:
            return self.lasting
        longest: float = min(self.longest_pause, self.first_pause * 2 ** min(failures - 1, 10))
        return max(longest * random.uniform(0.5, 1.0), min(error.retry_after or 0.0, self.lasting))


class _Malformed(Unavailable):
    """A line nobody can read: what it said is only found again by a new list."""


@dataclass
class Watcher(Generic[Run]):
    """Lists, watches, relists. `read` makes a value of an object."""

    cluster: Cluster
    plural: str
    read: Callable[[Json], Run]
    relist_every: float
    pace: Pace = field(default_factory=Pace)
    clock: Callable[[], float] = time.monotonic
    _version: str = ""
    _known: dict[str, str] = field(default_factory=dict)
    _relist_at: float = 0.0

    def events(
        self, stop: threading.Event
    ) -> Iterator[Listed[Run] | Changed[Run] | Deleted[Run] | Alive | Troubled]:
        """What happens, until `stop`. Raises Unauthorized (401 and 403: watch is a right of its own);
        everything else is told as Troubled and tried again."""
        failures = 0
        while not stop.is_set():
            try:
                for event in self._round(stop):
                    # A list alone is no recovery: a watch that always fails would spin.
                    failures = failures if isinstance(event, Listed) else 0
                    yield event
            except Unauthorized:
                raise
            except IntegrationError as error:
                if stop.is_set():
                    return
                failures += 1
                if error.status == 410 or isinstance(error, _Malformed):
                    self._version = ""
                    if failures == 1:
                        continue  # too old is everyday business: list again at once
                pause = self.pace.pause(error, failures)
                yield Troubled(error, pause)
                stop.wait(pause)

    def _round(self, stop: threading.Event) -> Iterator[Listed[Run] | Changed[Run] | Deleted[Run] | Alive]:
        if not self._version or self.clock() >= self._relist_at:
            yield self._list()
        began = self.clock()
        for line in self._lines(stop):
            event = self._event(line)
            if event is not None:
                yield event
        if stop.is_set():
            return
        if self.clock() - began < _SHORT:
            raise Unavailable(f"{VENDOR.title} ends the watch at once", vendor=VENDOR.key)
        yield Alive()

    def _lines(self, stop: threading.Event) -> Iterator[bytes]:
        seconds = max(1, round(self.pace.watch * random.uniform(1.0, 1.25)))
        query: Query = {
            "watch": True,
            "resourceVersion": self._version,
            "allowWatchBookmarks": True,
            "timeoutSeconds": seconds,
        }
        # Without a client side time-out a silently lost connection blocks for ever (pitfall 16).
        with (
            self.cluster.watch(self.plural, query, read_timeout=seconds + self.pace.slack) as answer,
            shut_down_on(stop, socket_of(answer)),
        ):
            yield from lines(answer)

    def _list(self) -> Listed[Run]:
        items, version = list_all(self.cluster, self.plural)
        self._known = {text(dig(item, "metadata", "uid")): _version_of(item) for item in items}
        self._version = version
        self._relist_at = self.clock() + self.relist_every
        return Listed(tuple(self.read(item) for item in items), version)

    def _event(self, line: bytes) -> Changed[Run] | Deleted[Run] | Alive | None:
        if not line.strip():
            return None
        try:
            frame = mapping(parse_json(VENDOR, line))
        except Unavailable as error:
            raise _Malformed(error.message, vendor=VENDOR.key) from None
        kind, item = frame.get("type"), mapping(frame.get("object"))
        if kind == "ERROR":
            raise status_error(item)
        version, uid = _version_of(item), text(dig(item, "metadata", "uid"))
        if kind == "BOOKMARK" and version:
            self._version = version
            return Alive()
        if kind not in ("ADDED", "MODIFIED", "DELETED") or not version or not uid:
            raise _Malformed(f"{VENDOR.title} sent a watch event that cannot be read", vendor=VENDOR.key)
        self._version = version
        if kind == "DELETED":
            self._known.pop(uid, None)
            return Deleted(self.read(item))
        if self._known.get(uid) == version:  # sent again after a reconnect
            return None
        self._known[uid] = version
        return Changed(self.read(item))


def list_all(cluster: Cluster, plural: str) -> tuple[list[Json], str]:
    """All pages and the version they share. An expired continue token (410) starts over, once."""
    try:
        return _pages(cluster, plural)
    except IntegrationError as error:
        if error.status != 410:
            raise
        return _pages(cluster, plural)


def _pages(cluster: Cluster, plural: str) -> tuple[list[Json], str]:
    items: list[Json] = []
    version = token = ""
    for _ in range(_MAX_PAGES):
        page = cluster.get(plural, query={"limit": PAGE, "continue": token or None})
        if not isinstance(page.get("items"), list):
            raise Unavailable(f"{VENDOR.title} sent a list without items", vendor=VENDOR.key)
        items += [mapping(item) for item in sequence(page.get("items"))]
        version = version or text(dig(page, "metadata", "resourceVersion"))
        token = text(dig(page, "metadata", "continue"))
        if not token:
            return items, version
    raise Unavailable(f"{VENDOR.title} sends a list without end", vendor=VENDOR.key)


def _version_of(item: Json) -> str:
    return text(dig(item, "metadata", "resourceVersion"))
