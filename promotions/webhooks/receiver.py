"""Take webhooks: a plain ASGI route in front of Django (reference measurements.md, "Webhook insert").

Size cap, then verification on the raw bytes, then one row per delivery committed before the 2xx. Nothing
is parsed here: whatever an authenticated sender posts is kept and answered 2xx, because vendors stop
sending to, or retry for ever at, a receiver that answers anything else.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
import structlog

from integrations.gitlab import webhooks as gitlab
from integrations.hints import WebhookSecrets
from integrations.registry import webhooks as registry
from promotions.secrets import SecretMissing, resolve
from promotions.webhooks.writer import BatchWriter, Full, Receipt, Source

log = structlog.get_logger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PATH = re.compile(r"/webhooks/(gitlab|harbor|distribution)/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/?")
MODULES = {"gitlab": gitlab, "harbor": registry, "distribution": registry}
# GitLab's own limit is 25 MiB; the others send a few KB (reference webhook-security.md).
LARGEST = {"gitlab": 25 * 2**20, "harbor": 2**20, "distribution": 3 * 2**20}
_KEPT_HEADERS = ("content-type", "user-agent", "x-gitlab-event", "idempotency-key", "x-gitlab-instance")
_KEPT_PREFIXES = ("x-gitlab-event-", "x-gitlab-webhook-", "webhook-id", "webhook-timestamp", "ce-")
_SLOWEST_BODY = 20.0
# All bodies held at one moment, verified or not: senders together must not exhaust the memory.
_MOST_HELD = 256 * 2**20
_REFUSALS_PER_MINUTE = 120


class TooLarge(Exception):
    """The body exceeds the cap of its vendor."""


class TooSlow(Exception):
    """The body did not come in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()


# The rest of a body that was not read must not be taken for the next request.
_CLOSE = (b"connection", b"close")
ACCEPTED, REFUSED = Answer(202), Answer(401)
NOT_FOUND, TOO_LARGE = Answer(404, (_CLOSE,)), Answer(413, (_CLOSE,))
TOO_SLOW, ENCODED = Answer(408, (_CLOSE,)), Answer(415, (_CLOSE,))
NOT_POST = Answer(405, ((b"allow", b"POST"), _CLOSE))
FLOODED = Answer(429, ((b"retry-after", b"60"), _CLOSE))
BUSY = Answer(503, ((b"retry-after", b"5"), _CLOSE))


class Receiver:
    """The ASGI application under /webhooks/. `writer` is started with the first delivery.

    `slowest_body` is in seconds, `most_held` in bytes.
    """

    def __init__(
        self,
        database: dict[str, Any],
        *,
        writer: BatchWriter | None = None,
        slowest_body: float = _SLOWEST_BODY,
        most_held: int = _MOST_HELD,
    ) -> None:
        self.writer = writer or BatchWriter(database)
        self._slowest_body, self._most_held = slowest_body, most_held
        self.held = 0
        self._refused: dict[str, tuple[float, int]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; bodies are empty, as GitLab keeps what we say."""
        try:
            answer = await self._answer(scope, receive)
        except TooLarge:
            answer = TOO_LARGE
        except TooSlow:
            answer = TOO_SLOW
        except psycopg.errors.ForeignKeyViolation:
            answer = NOT_FOUND  # the source was removed a moment ago
        except (Full, psycopg.Error, OSError) as error:
            log.error("a webhook could not be kept", error=type(error).__name__)
            answer = BUSY
        headers = [(b"content-length", b"0"), *answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        match = PATH.fullmatch(scope["path"])
        if match is None:
            return NOT_FOUND
        if scope["method"] != "POST":
            return NOT_POST
        vendor, source_id = match.groups()
        if self._is_flooding(source_id):
            return FLOODED
        source = await self.writer.source(source_id)
        if source is None or source.vendor != vendor:
            return NOT_FOUND
        headers = {_text(name).lower(): _text(value) for name, value in scope["headers"]}
        if headers.get("content-encoding", "identity") != "identity":
            return ENCODED
        parts: list[bytes] = []
        try:
            await self._read(headers, receive, LARGEST[vendor], parts)
            return await self._take(source, headers, b"".join(parts))
        finally:
            self.held -= sum(len(part) for part in parts)

    async def _read(self, headers: dict[str, str], receive: Receive, largest: int, into: list[bytes]) -> None:
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > largest:
            raise TooLarge
        try:
            async with asyncio.timeout(self._slowest_body):
                await self._read_parts(receive, largest, into)
        except TimeoutError as error:
            raise TooSlow from error

    async def _read_parts(self, receive: Receive, largest: int, into: list[bytes]) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError("the sender hung up")
            part = message.get("body", b"")
            size += len(part)
            if size > largest:
                raise TooLarge
            if self.held + len(part) > self._most_held:
                raise Full
            self.held += len(part)
            into.append(part)
            more = message.get("more_body", False)

    async def _take(self, source: Source, headers: dict[str, str], body: bytes) -> Answer:
        module = MODULES[source.vendor]
        if not module.verify(headers, body, _secrets(source), datetime.now(UTC)):
            self._count_refusal(source.id)
            await self.writer.refused(source.id)
            log.warning("a webhook with a wrong secret", source=source.id, vendor=source.vendor)
            return REFUSED
        key, kept = module.dedupe_key(headers, body), module.redact(headers, body)
        await self.writer.keep(Receipt(source.id, key, _kept(headers), kept))
        return ACCEPTED

    def _is_flooding(self, source_id: str) -> bool:
        """Somebody guesses secrets: stop reading bodies for the rest of the minute."""
        since, count = self._refused.get(source_id, (0.0, 0))
        return count >= _REFUSALS_PER_MINUTE and time.monotonic() - since < 60

    def _count_refusal(self, source_id: str) -> None:
        since, count = self._refused.get(source_id, (0.0, 0))
        if time.monotonic() - since >= 60:
            since, count = time.monotonic(), 0
        self._refused[source_id] = (since, count + 1)


def _text(value: bytes) -> str:
    """Return a header as its sender meant it: GitLab sends a secret outside ASCII as UTF-8."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _secrets(source: Source) -> WebhookSecrets:
    return WebhookSecrets(tokens=_resolved(source.tokens), signing_tokens=_resolved(source.signing_tokens))


def _resolved(references: tuple[str, ...]) -> list[str]:
    values = []
    for reference in references:
        try:
            values.append(resolve(reference))
        except SecretMissing as error:
            log.error("a webhook secret is missing", reason=str(error))
    return [value for value in values if value]


def _kept(headers: dict[str, str]) -> dict[str, str]:
    """Keep what processing and people need; never a credential."""
    return {
        name: value
        for name, value in headers.items()
        if name in _KEPT_HEADERS or name.startswith(_KEPT_PREFIXES)
    }
