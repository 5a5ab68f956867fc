"""The page's websocket: what it wants, what it may see, and what it missed while it was away."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from importlib import import_module

import structlog
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase
from django.db import DatabaseError, InterfaceError, connection
from django.utils import translation
from django.utils.crypto import constant_time_compare

from promotions.hub import Change, Hub, Wants
from promotions.policy.access import may_see_machinery, visible_applications

log = structlog.get_logger(__name__)

_MOST_WAITING = 200
_LONGEST_HELLO = 8192
_LARGEST_NUMBER = 2**63 - 1
# After the last one the page must be loaded again: what it missed is no longer known.
CLOSE_SIGNED_OUT, CLOSE_TOO_SLOW, CLOSE_BAD_HELLO, CLOSE_TOO_OLD = 4401, 4408, 4400, 4410
CLOSE_FAILED = 1011


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

    async def next(self, *, until: float) -> tuple[int, str] | None:
        """Return the next message; None when none has come by then (in the event loop's time)."""
        try:
            async with asyncio.timeout_at(until):
                return await self.outbox.get()
        except TimeoutError:
            return None


class LiveConsumer(AsyncWebsocketConsumer):
    """Protocol: the page says {"since", "wants", "language"}; we answer numbered HTML fragments.

    A message comes at least every few seconds, so that a page knows a silent line from a dead one.
    """

    hub: Hub
    # In seconds. The second bounds how long a message may wait for a reader: no sight is asked then.
    heartbeat, slowest_send = 8.0, 10.0
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
        self.page = page = _Page(language, wants, sight)
        try:
            await self.hub.join(page)
            if await self.hub.catch_up(page, since):
                self._work = asyncio.create_task(self._send_for_ever(page, since), name="live socket")
                return
        except (DatabaseError, InterfaceError, OSError) as error:
            log.warning("a page could not catch up", error=str(error))
            await self._end(CLOSE_FAILED)
            return
        await self._end(CLOSE_TOO_OLD)

    async def disconnect(self, code: int) -> None:
        await self._stop()

    async def _stop(self) -> None:
        if self.page is not None:
            self.hub.leave(self.page)
            self.page = None
        work, self._work = self._work, None
        if work is not None and work is not asyncio.current_task():
            work.cancel()
            await asyncio.wait([work])

    async def _end(self, code: int) -> None:
        await self._stop()
        # The other side may have gone first.
        with contextlib.suppress(OSError, RuntimeError):
            await self.close(code)

    async def _send_for_ever(self, page: _Page, since: int) -> None:
        """The socket's outermost loop: however it ends, the hub forgets the page and the page learns why."""
        code = CLOSE_FAILED
        try:
            code = await self._talk(page, since)
        except TimeoutError:
            code = CLOSE_TOO_SLOW
        except (DatabaseError, InterfaceError, OSError) as error:
            log.info("a live socket ended", error=str(error))
        except Exception:
            log.exception("a live socket failed")
        await self._end(code)

    async def _talk(self, page: _Page, number: int) -> int:
        """Send what comes until the socket must be closed; return the code that says why.

        A number is only said with or after everything up to it: a page that breaks off asks for the rest.
        """
        now = asyncio.get_running_loop().time
        await self._send(number, "")
        beat = now() + self.heartbeat
        while not page.too_slow:
            if now() >= beat:
                page.sight = await self._sight()
                if not page.sight.is_signed_in:
                    return CLOSE_SIGNED_OUT
                await self._send(number, "")
                beat = now() + self.heartbeat
            new, html = await page.next(until=beat) or (number, "")
            number = max(number, new)
            # What does not concern this page is only counted; the next message or beat says the number.
            if html:
                await self._send(number, html)
        return CLOSE_TOO_SLOW

    async def _send(self, number: int, html: str) -> None:
        mark = f'<output id="live-number" hx-swap-oob="true" data-number="{number}" hidden></output>'
        async with asyncio.timeout(self.slowest_send):
            await self.send(text_data=mark + html)

    @database_sync_to_async
    def _sight(self) -> Sight:
        """Ask again who this is: a role that was taken away takes the view with it within seconds."""
        try:
            user = _signed_in(self.scope.get("session"))
            if user is None:
                return Sight()
            return Sight(
                applications=frozenset(visible_applications(user).values_list("pk", flat=True)),
                machinery=may_see_machinery(user),
                is_signed_in=True,
            )
        finally:
            connection.close()


def _signed_in(session: SessionBase | None) -> User | None:
    """Return whose session it is now: signed out, expired and ended by a new password all mean nobody's."""
    if session is None or not session.session_key:
        return None
    # Read anew: the session object of the scope is what it was when the socket opened.
    data = import_module(settings.SESSION_ENGINE).SessionStore(session.session_key).load()
    user = User.objects.filter(pk=data.get(SESSION_KEY) or 0, is_active=True).first()
    if user is None:
        return None
    valid = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    given = str(data.get(HASH_SESSION_KEY, ""))
    return user if any(constant_time_compare(given, each) for each in valid) else None


def _hello(text: str | None) -> tuple[int, Wants, str] | None:
    """Read the page's first words; None for anything that is not of that form."""
    if not text or len(text) > _LONGEST_HELLO:
        return None
    try:
        said = json.loads(text)
        since, wants = int(said["since"]), said["wants"]
        words = frozenset(word for word in wants if isinstance(word, str))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    language = str(said.get("language", ""))
    if language not in dict(settings.LANGUAGES):
        language = translation.get_supported_language_variant(settings.LANGUAGE_CODE)
    return min(max(0, since), _LARGEST_NUMBER), Wants(words), language
