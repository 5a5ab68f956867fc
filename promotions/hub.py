"""One hub per web process: hears announcements, renders each changed fragment once, hands it to sockets.

Measured against channels' group_send (reference measurements.md, "Live fan-out"): the hub delivers all
messages at a fraction of the CPU, where the channel layers dropped most of them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import psycopg
import structlog
from asgiref.sync import sync_to_async
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Max
from django.utils import translation

from promotions import fragments
from promotions.live import CHANNEL, latest_number, oldest_number
from promotions.models import Announcement
from promotions.policy import one_look

log = structlog.get_logger(__name__)

# Several changes of one row within a tick become one message.
TICK = 0.1
_LONGEST_SILENCE = 5.0
# Renderings kept for those who come later, after a restart or a break of many lines at once.
_MOST_KEPT = 500


@dataclass(frozen=True, slots=True)
class Change:
    """One announced change; `application` is None for what belongs to the whole site."""

    number: int
    application: int | None
    fragment: str
    key: str


@dataclass(frozen=True, slots=True)
class Wants:
    """What a page shows: "cell" is every cell, "log:5" is key 5 and everything below it."""

    words: frozenset[str]

    def __contains__(self, change: object) -> bool:
        if not isinstance(change, Change):
            return False
        names = {change.fragment, f"{change.fragment}:{change.key}"}
        names.add(f"{change.fragment}:{change.key.partition('/')[0]}")
        return not names.isdisjoint(self.words)


class Subscriber(Protocol):
    """A socket, as the hub sees it."""

    language: str

    def accepts(self, change: Change) -> bool:
        """Tell whether the page shows it and the person may see it."""

    def deliver(self, number: int, html: str) -> None:
        """Queue a message; never blocks. A socket that is too slow closes itself and catches up later."""


@dataclass
class Hub:
    """Begins with the first subscriber; `number` is the last announcement it has passed on.

    Turns and catch-ups go one after the other, so that nobody gets an older rendering after a newer one.
    """

    database: dict[str, Any]
    subscribers: set[Subscriber] = field(default_factory=set)
    number: int = 0
    _task: asyncio.Task[None] | None = None
    _turns: asyncio.Lock = field(default_factory=asyncio.Lock)
    # (fragment, key, language) -> (number of the change, HTML), the longest unused first.
    _rendered: OrderedDict[tuple[str, str, str], tuple[int, str]] = field(default_factory=OrderedDict)

    async def join(self, subscriber: Subscriber) -> None:
        """Have the subscriber told of everything from now on."""
        async with self._turns:
            if self._task is None or self._task.done():
                self.number = await sync_to_async(_latest, thread_sensitive=False)()
                self._task = asyncio.create_task(self._run(), name="live hub")
            self.subscribers.add(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        self.subscribers.discard(subscriber)

    async def catch_up(self, subscriber: Subscriber, since: int) -> bool:
        """Send what the subscriber missed: the state now of everything that changed after `since`.

        False when that is no longer known, so that the page must be loaded again.
        """
        async with self._turns:
            changes = await sync_to_async(_changes_since, thread_sensitive=False)(since, is_catching_up=True)
            if changes is None:
                return False
            await self._pass_on([subscriber], changes)
            return True

    async def _run(self) -> None:
        """The hub's outermost loop: whatever goes wrong, listen again; numbers make it catch up."""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, DatabaseError, InterfaceError, OSError) as error:
                log.warning("the live hub lost the database", error=str(error))
            except Exception:
                log.exception("the live hub failed")
            await asyncio.sleep(1)

    async def _listen(self) -> None:
        listener = await psycopg.AsyncConnection.connect(**self.database, autocommit=True)
        try:
            await listener.execute(f"LISTEN {CHANNEL}")
            while True:
                await self._turn()
                # All that came at once are one reason: a pause for each would add up to seconds.
                if [notice async for notice in listener.notifies(timeout=_LONGEST_SILENCE, stop_after=1)]:
                    await asyncio.sleep(TICK)
        finally:
            # Not awaited: a task that is cancelled while it closes would leave the connection open.
            listener.pgconn.finish()

    async def _turn(self) -> None:
        async with self._turns:
            changes = await sync_to_async(_changes_since, thread_sensitive=False)(self.number)
            if changes:
                await self._pass_on(list(self.subscribers), changes)
                # Only now: what could not be rendered for want of the database is rendered again.
                self.number = changes[-1].number

    async def _pass_on(self, subscribers: Iterable[Subscriber], changes: list[Change]) -> None:
        """Render what somebody wants, once per change and language; give each subscriber one message."""
        if not changes:
            return
        for subscriber in subscribers:
            wanted = [change for change in changes if subscriber.accepts(change)]
            html = [await self._html(change, subscriber.language) for change in wanted]
            subscriber.deliver(changes[-1].number, "".join(html))

    async def _html(self, change: Change, language: str) -> str:
        """Return what was rendered for this change before, however long ago the first one asked."""
        key = (change.fragment, change.key, language)
        number, html = self._rendered.get(key, (0, ""))
        if number != change.number:
            html = await sync_to_async(_render, thread_sensitive=False)(*key)
            self._rendered[key] = (change.number, html)
        self._rendered.move_to_end(key)
        while len(self._rendered) > _MOST_KEPT:
            self._rendered.popitem(last=False)
        return html


def _latest() -> int:
    try:
        return latest_number()
    finally:
        connection.close()


def _changes_since(number: int, *, is_catching_up: bool = False) -> list[Change] | None:
    """Return the last change of each fragment after `number`, oldest first; None when some were forgotten."""
    try:
        # A number from the future is that of another database: this one was restored or begun anew.
        if is_catching_up and not oldest_number() - 1 <= number <= latest_number():
            return None
        rows = (
            Announcement.objects.filter(id__gt=number)
            .order_by()
            .values_list("application_id", "fragment", "key")
            .annotate(number=Max("id"))
            .order_by("number")
        )
        return [Change(last, application, fragment, key) for application, fragment, key, last in rows]
    finally:
        connection.close()


def _render(fragment: str, key: str, language: str) -> str:
    try:
        with translation.override(language), one_look():
            return fragments.render(fragment, key)
    except (DatabaseError, InterfaceError):
        raise
    except Exception:
        # A fragment that can't be rendered must not take the others with it.
        log.exception("a fragment could not be rendered", fragment=fragment, key=key)
        return ""
    finally:
        connection.close()
