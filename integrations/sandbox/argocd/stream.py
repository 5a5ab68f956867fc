"""The watch stream: JSON lines or server-sent events (reference argocd-api.md section 4)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Send

from integrations.sandbox.argocd.applications import BUFFER, Applications
from integrations.sandbox.argocd.fields import select
from integrations.sandbox.argocd.transport import Refused
from integrations.sandbox.faults import stream_fault, take

Object = dict[str, Any]
Event = tuple[str, Object]
KEEPALIVE_SECONDS = 15.0
TICK = 0.2


class LateHeaders(StreamingResponse):
    """A stream whose status line goes out with its first message, as the gateway sends it."""

    async def stream_response(self, send: Send) -> None:
        chunks = self.body_iterator.__aiter__()
        try:
            first = await chunks.__anext__()
        except StopAsyncIteration:
            first = b""
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send(start)
        await send({"type": "http.response.body", "body": first, "more_body": True})
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Frames:
    """How one client gets its frames."""

    def __init__(self, accept: str) -> None:
        # The whole header is compared: a list that also names it gets JSON lines.
        self.sse = accept == "text/event-stream"
        self.media_type = "text/event-stream" if self.sse else "application/json"

    def encode(self, body: Object) -> bytes:
        text = json.dumps(body, separators=(",", ":"))
        # The gateway adds one newline to the two that end an event.
        return f"data: {text} \n\n\n".encode() if self.sse else f"{text}\n".encode()

    def encode_last(self, body: Object) -> bytes:
        """An error frame ends the stream; as a JSON line it has no newline."""
        return self.encode(body) if self.sse else json.dumps(body, separators=(",", ":")).encode()


def refusal(frames: Frames, error: Refused) -> StreamingResponse:
    """Return the answer when the first thing on the stream is an error: its status is the error's."""

    async def only() -> AsyncIterator[bytes]:
        yield frames.encode_last(error.frame())

    return StreamingResponse(only(), error.frame()["error"]["http_code"], media_type=frames.media_type)


class Watch:
    """One client's subscription to the Applications its filter matches."""

    def __init__(
        self, apps: Applications, frames: Frames, matches: Callable[[Object], bool], fields: str
    ) -> None:
        self.apps = apps
        self.world = apps.world
        self.frames = frames
        self.matches = matches
        self.fields = fields
        self.last: dict[str, bytes] = {}

    def response(self, *, since: str, initial: bool) -> StreamingResponse:
        """Answer with the initial set (if `initial`) and then everything newer than version `since`."""
        return LateHeaders(self._chunks(since, initial), media_type=self.frames.media_type)

    async def _chunks(self, since: str, initial: bool) -> AsyncGenerator[bytes, None]:
        if initial:
            for item in self.apps.all():
                if self.matches(item):
                    yield self._frame("ADDED", item)
        # Subscribed only now: what happened since the list above is lost, as on the real server.
        queue: asyncio.Queue[Event | None] = asyncio.Queue(maxsize=BUFFER)
        self.apps.watchers.add(queue)
        try:
            async for chunk in self._live(queue, int(since) if since.isdigit() else 0):
                yield chunk
        finally:
            self.apps.watchers.discard(queue)

    async def _live(self, queue: asyncio.Queue[Event | None], since: int) -> AsyncIterator[bytes]:
        started = False
        due = time.monotonic() + KEEPALIVE_SECONDS / self.world.speed
        while True:
            fault = stream_fault(self.world, "argocd")
            if fault in ("drop", "refuse"):
                return
            if take(self.world, "argocd", "error_frames"):
                yield self.frames.encode_last(Refused(14, "error reading from server: EOF").frame())
                return
            if fault == "stall":
                await asyncio.sleep(TICK)
                continue
            # Keepalives are for SSE alone, and only after the first frame.
            if (started or self.last) and self.frames.sse and time.monotonic() >= due:
                due = time.monotonic() + KEEPALIVE_SECONDS / self.world.speed
                yield b":\n"
            try:
                event = await asyncio.wait_for(queue.get(), TICK)
            except TimeoutError:
                continue
            if event is None:
                return
            if (chunk := self._chunk(event, since)) is not None:
                started = True
                yield chunk

    def _chunk(self, event: Event, since: int) -> bytes | None:
        type_, item = event
        # A filter, not a replay: older events are dropped, missed ones are not sent again.
        if not self.matches(item) or int(item["metadata"]["resourceVersion"]) < since:
            return None
        name, before = item["metadata"]["name"], self.last.get(item["metadata"]["name"])
        chunk = self._frame(type_, item)
        # Identical frames of one Application are sent once.
        return chunk if type_ == "DELETED" or self.last[name] != before else None

    def _frame(self, type_: str, item: Object) -> bytes:
        shown = select(item, self.fields, "result.application.") if self.fields else item
        chunk = self.frames.encode({"result": {"type": type_, "application": shown}})
        self.last[item["metadata"]["name"]] = json.dumps(shown, sort_keys=True).encode()
        return chunk
