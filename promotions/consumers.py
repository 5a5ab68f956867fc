"""The page's websocket: what it wants, what it may see, and what it missed while it was away."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.utils import translation
from django.utils.html import format_html

from promotions.hub import Change, Hub, Wants
from promotions.policy.access import may_see_machinery, visible_applications

HEARTBEAT = 8.0
_MOST_WAITING = 200
_LONGEST_HELLO = 8192
CLOSE_SIGNED_OUT, CLOSE_TOO_SLOW, CLOSE_BAD_HELLO = 4401, 4408, 4400


@dataclass(frozen=True, slots=True)
class Sight:
    """What a person may see, as of a few seconds ago."""

    applications: frozenset[int] = frozenset()
    machinery: bool = False
    is_signed_in: bool = False


@dataclass(eq=False)
class _Page:
    """The hub's view of one socket."""

    language: str
    wants: Wants
    sight: Sight
    outbox: asyncio.Queue[tuple[int, str]] = field(default_factory=lambda: asyncio.Queue(_MOST_WAITING))
    too_slow: bool = False

    def accepts(self, change: Change) -> bool:
        if change not in self.wants:
            return False
        # How fresh each upstream is concerns everybody; what a webhook said does not.
        if change.application is None:
            return change.fragment == "upstreams" or self.sight.machinery
        return change.application in self.sight.applications

    def deliver(self, number: int, html: str) -> None:
        try:
            self.outbox.put_nowait((number, html))
        except asyncio.QueueFull:
            self.too_slow = True


class LiveConsumer(AsyncWebsocketConsumer):
    """Protocol: the page says {"since", "wants", "language"}; we answer numbered HTML fragments.

    A message comes at least every few seconds, so that a page knows a silent line from a dead one.
    """

    hub: Hub
    page: _Page | None = None
    _work: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Take signed-in people only; others are closed after the handshake, so that the page learns why."""
        await self.accept()
        if not (await self._sight()).is_signed_in:
            await self.close(CLOSE_SIGNED_OUT)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Begin, or begin again with other wants, at the page's hello."""
        hello = _hello(text_data)
        if hello is None:
            await self.close(CLOSE_BAD_HELLO)
            return
        since, wants, language = hello
        await self._stop()
        sight = await self._sight()
        if not sight.is_signed_in:
            await self.close(CLOSE_SIGNED_OUT)
            return
        self.page = _Page(language, wants, sight)
        await self.hub.join(self.page)
        await self.hub.catch_up(self.page, since)
        self._work = asyncio.create_task(self._send_for_ever(self.page, since), name="live socket")

    async def disconnect(self, code: int) -> None:
        await self._stop()

    async def _stop(self) -> None:
        if self.page is not None:
            self.hub.leave(self.page)
            self.page = None
        if self._work is not None:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work
            self._work = None

    async def _send_for_ever(self, page: _Page, since: int) -> None:
        number = max(since, self.hub.number)
        await self._send(number, "")
        beat = asyncio.get_running_loop().time() + HEARTBEAT
        while not page.too_slow:
            try:
                async with asyncio.timeout_at(beat):
                    new, html = await page.outbox.get()
                number = max(number, new)
                await self._send(number, html)
            except TimeoutError:
                page.sight = await self._sight()
                if not page.sight.is_signed_in:
                    break
                await self._send(number, "")
                beat = asyncio.get_running_loop().time() + HEARTBEAT
        self.hub.leave(page)
        await self.close(CLOSE_TOO_SLOW if page.too_slow else CLOSE_SIGNED_OUT)

    async def _send(self, number: int, html: str) -> None:
        mark = format_html(
            '<output id="live-number" hx-swap-oob="true" data-number="{}" hidden></output>', number
        )
        await self.send(text_data=mark + html)

    @database_sync_to_async
    def _sight(self) -> Sight:
        """Ask again who this is: a role that was taken away takes the view with it within seconds."""
        try:
            visitor = self.scope.get("user")
            user = User.objects.filter(pk=getattr(visitor, "pk", None) or 0, is_active=True).first()
            if user is None or not _session_lives(self.scope):
                return Sight()
            return Sight(
                applications=frozenset(visible_applications(user).values_list("pk", flat=True)),
                machinery=may_see_machinery(user),
                is_signed_in=True,
            )
        finally:
            connection.close()


def _session_lives(scope: Any) -> bool:
    session = scope.get("session")
    return bool(session and session.session_key and session.exists(session.session_key))


def _hello(text: str | None) -> tuple[int, Wants, str] | None:
    """Read the page's first words; None for anything that is not of that form."""
    if not text or len(text) > _LONGEST_HELLO:
        return None
    try:
        said = json.loads(text)
        since, wants = int(said["since"]), said["wants"]
        words = frozenset(word for word in wants if isinstance(word, str))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    language = str(said.get("language", ""))
    if language not in dict(settings.LANGUAGES):
        language = translation.get_supported_language_variant(settings.LANGUAGE_CODE)
    return max(0, since), Wants(words), language
