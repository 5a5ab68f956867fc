"""The frames of Argo CD's application stream (reference argocd-api.md section 4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from integrations.argocd.reading import snapshot
from integrations.argocd.types import Keepalive, StreamEvent
from integrations.errors import IntegrationError, Rejected, Unavailable
from integrations.http import Vendor, error_for_status, parse_json
from integrations.shape import Json, dig, mapping, number, text

VENDOR = Vendor("argocd", "Argo CD")
# One Application with thousands of resources is a few MB; anything longer is not a frame.
MAX_FRAME = 64 * 1024 * 1024


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The complete lines of a byte stream. A line that never ends raises Rejected; half a line at the
    end of the stream is dropped, for the reconnect brings it again."""
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        if b"\n" in chunk:
            *complete, rest = bytes(buffer).split(b"\n")
            yield from complete
            buffer = bytearray(rest)
        if len(buffer) > MAX_FRAME:
            raise Rejected(f"{VENDOR.title} sent a frame without end", vendor=VENDOR.key)


def events(lines: Iterable[bytes], base_url: str) -> Iterator[StreamEvent | Keepalive]:
    """The events of SSE lines. Raises on an error frame of either shape and on one that is not JSON."""
    for line in lines:
        if line.startswith(b":"):
            yield Keepalive()
        elif line.startswith(b"data:"):
            frame = mapping(parse_json(VENDOR, line.removeprefix(b"data:")))
            yield event(frame, base_url)
        elif line.startswith(b"{"):
            # An error before the first message may come without SSE framing, as one line of JSON.
            yield event(mapping(parse_json(VENDOR, line)), base_url)


def event(frame: Json, base_url: str) -> StreamEvent:
    """One frame. Raises IntegrationError for an error frame."""
    if "error" in frame:
        raise frame_error(frame)
    result = mapping(frame.get("result"))
    kind = text(result.get("type"))
    if kind not in ("ADDED", "MODIFIED", "DELETED"):
        raise Unavailable(f"{VENDOR.title} sent a frame that cannot be read", vendor=VENDOR.key)
    return StreamEvent(kind, snapshot(mapping(result.get("application")), base_url))


def frame_error(frame: Json) -> IntegrationError:
    """The error of a stream frame ({"error": {grpc_code, http_code, ...}}) or of the unary shape
    ({"error": text, "code": n}); without an HTTP status it counts as a broken stream."""
    nested = mapping(frame.get("error"))
    status = number(nested.get("http_code")) or _HTTP_OF_GRPC.get(number(frame.get("code")) or 0, 503)
    message = text(nested.get("message")) or text(frame.get("message")) or text(dig(frame, "error"))
    return error_for_status(VENDOR, status, message)


# Section 1: what the gateway makes of gRPC codes.
_HTTP_OF_GRPC = {
    1: 408,
    2: 500,
    3: 400,
    4: 504,
    5: 404,
    6: 409,
    7: 403,
    8: 429,
    9: 400,
    10: 409,
    13: 500,
    16: 401,
}
