"""`watch=1`: the history as chunked JSON lines (reference kubernetes-watch.md sections 1 and 5).

Faults of its own, in `world.faults["watch"]`: {"cut": n, "duplicate": n, "gone": "http"}:
the next n events are cut in the middle of the line (and the stream ends), or sent twice; an expired start
answers HTTP 410 instead of an ERROR event.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams
from starlette.responses import StreamingResponse

from integrations.sandbox.faults import stream_fault, take
from integrations.sandbox.kubernetes import answers, tables
from integrations.sandbox.kubernetes.answers import ApiError
from integrations.sandbox.kubernetes.kinds import Kind
from integrations.sandbox.kubernetes.objects import Change, Objects
from integrations.sandbox.kubernetes.selectors import Test

Object = dict[str, Any]
BOOKMARK_SECONDS = 60.0
# Without timeoutSeconds the server picks half an hour to an hour by itself.
MIN_REQUEST_TIMEOUT = 1800
TICK = 0.2


@dataclass(frozen=True)
class Request:
    """What one watch asked for."""

    kind: Kind
    namespace: str
    matches: Test
    start: str
    timeout: float
    bookmarks: bool
    initial_events: bool
    as_table: bool
    include: str


def request(kind: Kind, namespace: str, matches: Test, query: QueryParams, accept: str) -> Request:
    # Refused rather than ignored (kubernetes-watch.md section 1).
    if query.get("limit") or query.get("continue"):
        raise answers.bad_request("limit and continue are not supported when watching")
    return Request(
        kind=kind,
        namespace=namespace,
        matches=matches,
        start=query.get("resourceVersion", ""),
        timeout=float(query.get("timeoutSeconds") or MIN_REQUEST_TIMEOUT),
        bookmarks=query.get("allowWatchBookmarks") in ("true", "1", "True"),
        initial_events=query.get("sendInitialEvents") in ("true", "1"),
        as_table=tables.wanted(accept),
        include=query.get("includeObject", "Metadata"),
    )


class Watch:
    """One open watch."""

    def __init__(self, objects: Objects, asked: Request) -> None:
        self.objects = objects
        self.asked = asked
        self.position = objects.version
        # Without a version the state comes first, as events that are in no order.
        self.initial = asked.start in ("", "0") or asked.initial_events
        if not self.initial:
            self.position = self._resume(asked.start)

    def response(self) -> StreamingResponse:
        # The status line and headers go out at once, before any event.
        return StreamingResponse(self._lines(), media_type="application/json")

    def _resume(self, start: str) -> int:
        if not start.isdigit():
            raise answers.bad_request(
                f"Invalid value: {json.dumps(start)}: strconv.ParseUint: invalid syntax"
            )
        if int(start) > self.objects.version:
            raise answers.too_large(int(start), self.objects.version)
        if self.objects.world.faults.get("watch", {}).get("gone") == "http":
            self.objects.since(int(start))
        return int(start)

    async def _lines(self) -> AsyncIterator[bytes]:
        world = self.objects.world
        ends = time.monotonic() + self.asked.timeout
        bookmark_due = time.monotonic() + BOOKMARK_SECONDS / world.speed
        for line in self._initial_lines():
            yield line
        while time.monotonic() < ends and not self.objects.closed:
            fault = stream_fault(world, "kubernetes")
            if fault in ("drop", "refuse"):
                return
            if fault is None:
                for line, last in self._new_lines():
                    yield line
                    if last:
                        return
                if self.asked.bookmarks and time.monotonic() >= bookmark_due:
                    bookmark_due = time.monotonic() + BOOKMARK_SECONDS / world.speed
                    yield self._bookmark()
            await self.objects.wait(min(TICK, max(0.0, ends - time.monotonic())))
        if self.asked.bookmarks and not self.objects.closed:
            yield self._bookmark()

    def _initial_lines(self) -> list[bytes]:
        if not self.initial:
            return []
        found = self.objects.all(self.asked.kind, self.asked.namespace)
        items = [item for item in found if self.asked.matches(item)]
        # Synthetic ADDED events come in no order of version: the trap of reference section 2 (#819).
        self.objects.world.random.shuffle(items)
        lines = [self._line("ADDED", item) for item in items]
        if self.asked.initial_events:
            lines.append(self._bookmark({"k8s.io/initial-events-end": "true"}))
        return lines

    def _new_lines(self) -> list[tuple[bytes, bool]]:
        """Return the lines not yet sent; True marks one after which the stream ends."""
        try:
            changes = self.objects.since(self.position)
        except ApiError as gone:
            return [(_encode({"type": "ERROR", "object": gone.body}), True)]
        lines: list[tuple[bytes, bool]] = []
        for change in changes:
            self.position = change.version
            if (type_ := self._type_for_watcher(change)) is not None:
                lines += self._spoiled(self._line(type_, change.object))
        return lines

    def _type_for_watcher(self, change: Change) -> str | None:
        if change.kind is not self.asked.kind:
            return None
        if self.asked.namespace and change.object["metadata"].get("namespace") != self.asked.namespace:
            return None
        before = change.before is not None and self.asked.matches(change.before)
        after = change.type != "DELETED" and self.asked.matches(change.object)
        # An object that stops matching the selector is DELETED for this watcher, though it still exists.
        return {(False, True): "ADDED", (True, True): "MODIFIED", (True, False): "DELETED"}.get(
            (before, after)
        )

    def _spoiled(self, line: bytes) -> list[tuple[bytes, bool]]:
        """Return the line as the "watch" faults have it: cut in the middle, sent twice, or as it is."""
        if take(self.objects.world, "watch", "cut"):
            return [(line[: len(line) // 2], True)]
        return [(line, False)] * (2 if take(self.objects.world, "watch", "duplicate") else 1)

    def _line(self, type_: str, item: Object) -> bytes:
        if self.asked.as_table:
            version = item["metadata"]["resourceVersion"]
            item = tables.table(self.asked.kind, [item], version, include=self.asked.include)
        return _encode({"type": type_, "object": item})

    def _bookmark(self, annotations: dict[str, str] | None = None) -> bytes:
        metadata: Object = {"resourceVersion": str(self.position), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        kind = self.asked.kind
        item = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
        if self.asked.as_table:
            item = tables.table(kind, [], str(self.position))
        return _encode({"type": "BOOKMARK", "object": item})


def _encode(event: Object) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"
