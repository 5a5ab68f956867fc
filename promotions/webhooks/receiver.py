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

PATH = re.compile(r"/webhooks/(gitlab|harbor|distribution)/([0-9a-f-]{36})/?")
MODULES = {"gitlab": gitlab, "harbor": registry, "distribution": registry}
# GitLab's own limit is 25 MiB; the others send a few KB (reference webhook-security.md).
LARGEST = {"gitlab": 26 * 2**20, "harbor": 2**20, "distribution": 3 * 2**20}
_KEPT_HEADERS = ("content-type", "user-agent", "x-gitlab-event", "idempotency-key", "x-gitlab-instance")
_KEPT_PREFIXES = ("x-gitlab-event-", "x-gitlab-webhook-", "webhook-id", "webhook-timestamp", "ce-")
_SLOWEST_BODY = 20.0
_REFUSALS_PER_MINUTE = 120


class TooLarge(Exception):
    """The body exceeds the cap of its vendor."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()


ACCEPTED, NOT_FOUND, REFUSED = Answer(202), Answer(404), Answer(401)
BUSY = Answer(503, ((b"retry-after", b"5"),))


class Receiver:
    """The ASGI application under /webhooks/. `writer` is started with the first delivery."""

    def __init__(self, database: dict[str, Any]) -> None:
        self.writer = BatchWriter(database)
        self._refused: dict[str, tuple[float, int]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; bodies are empty, as GitLab keeps what we say."""
        try:
            answer = await self._answer(scope, receive)
        except TooLarge:
            answer = Answer(413)
        except TimeoutError:
            answer = Answer(408)
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
            return Answer(405, ((b"allow", b"POST"),))
        vendor, source_id = match.groups()
        if self._is_flooding(source_id):
            return Answer(429, ((b"retry-after", b"60"),))
        source = await self.writer.source(source_id)
        if source is None or source.vendor != vendor:
            return NOT_FOUND
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        if headers.get("content-encoding", "identity") != "identity":
            return Answer(415)
        async with asyncio.timeout(_SLOWEST_BODY):
            body = await _read(headers, receive, LARGEST[vendor])
        return await self._take(source, headers, body)

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


async def _read(headers: dict[str, str], receive: Receive, largest: int) -> bytes:
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > largest:
        raise TooLarge
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise OSError("the sender hung up")
        part = message.get("body", b"")
        size += len(part)
        if size > largest:
            raise TooLarge
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


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
