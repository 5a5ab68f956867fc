"""Put into the outbox what people are to hear, in the transaction of what it tells.

`telling` sends it afterwards: nobody is told what was rolled back, and no channel delays a promotion.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from promotions.choices import Event, PromotionKind
from promotions.models import Connection, Notification, NotificationChannel, Promotion, Stage, Subscription

log = structlog.get_logger(__name__)

# What the catalogue may name.
EVENTS = tuple(event.value for event in Event if event != Event.REACHABLE)
_MOST_EDITS = 5
_LONGEST_VALUE = 90
_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class News:
    """What happened. `compose` gives title and body in the language that is active when it is called."""

    event: Event
    key: str
    compose: Callable[[], tuple[str, str]]
    path: str
    stages: tuple[Stage, ...]
    promotion: Promotion | None = None
    connection: Connection | None = None


def tell(promotion: Promotion, event: str, *, by: str, message: str = "") -> None:
    """Tell rooms, and the people who asked for it, that a promotion's status is another one now.

    Whose approval it waits for is told to these people alone: `telling.watching` finds out who they are.
    """
    if event not in Event.values:
        # A status that nobody can ask to hear of, such as running.
        return
    news = of_promotion(promotion, _event(promotion, event), by=by, message=message)
    if news.event == Event.REQUESTED:
        put(news, rooms(news), ())
        transaction.on_commit(wake, robust=True)
    else:
        put(news, rooms(news), subscribers(news))


def tell_everywhere(promotion: Promotion, title: str, *, by: str, message: str) -> None:
    """Tell every room of the promotion's place, whatever it asked for, and those who want to hear of it.

    Nobody may say later that they did not hear. Each call is told.
    """
    news = of_promotion(promotion, Event.URGENT, by=by, message=message, since=timezone.now())
    news = replace(news, compose=lambda: (title, _body(promotion, by, message)))
    put(news, rooms(news), subscribers(news))


def _event(promotion: Promotion, status: str) -> Event:
    if status == Event.SUCCEEDED and promotion.kind == PromotionKind.ROLLBACK:
        return Event.ROLLED_BACK
    return Event(status)


def rooms(news: News) -> list[NotificationChannel]:
    return [room for room in NotificationChannel.objects.rooms() if room.wants(news.event, news.stages)]


def subscribers(news: News) -> list[Subscription]:
    slugs = {stage.application.slug for stage in news.stages}
    found = Subscription.objects.filter(events__overlap=list(news.event.wishes), user__is_active=True)
    return [each for each in found.select_related("channel", "user") if each.wants(news.event, slugs)]


def put(news: News, to: Iterable[NotificationChannel], people: Iterable[Subscription]) -> None:
    """Write the messages; whoever was told the same before is left out by the table's constraints."""
    with translation.override(settings.LANGUAGE_CODE):
        rows = [_row(news, room, None) for room in to]
    for each in people:
        with translation.override(each.language or settings.LANGUAGE_CODE):
            rows.append(_row(news, each.channel, each))
    if rows:
        Notification.objects.bulk_create(rows, ignore_conflicts=True)
        transaction.on_commit(wake, robust=True)


def _row(news: News, channel: NotificationChannel, asked: Subscription | None) -> Notification:
    title, body = news.compose()
    return Notification(
        channel=channel,
        recipient=asked.user if asked else None,
        promotion=news.promotion,
        connection=news.connection,
        event=news.event,
        key=news.key,
        title=shortened(title, 250),
        body=body,
        link=settings.BASE_URL.rstrip("/") + news.path,
    )


def wake() -> None:
    """Have what is due sent now."""
    try:
        app.configure_task("promotions.notify", queueing_lock="notify").defer()
    except AlreadyEnqueued:
        log.debug("sending is queued already")


def of_promotion(
    promotion: Promotion, event: Event, *, by: str = "", message: str = "", since: datetime | None = None
) -> News:
    """Return what is told of a promotion. Its key changes when what people must look at does."""
    at = (since or promotion.status_at).strftime("%Y%m%dT%H%M%S.%f")
    key = f"promotion:{promotion.pk}:{event}:{at}"
    if event == Event.REQUESTED:
        key += f":{promotion.change_hash[:16]}"
    return News(
        event,
        key,
        lambda: (_title(promotion, event), _body(promotion, by, message)),
        promotion.get_absolute_url(),
        (promotion.stage,),
        promotion=promotion,
    )


def _title(promotion: Promotion, event: Event) -> str:
    stage = promotion.stage
    word = str(event.label)
    if promotion.kind == PromotionKind.ROLLBACK and event != Event.ROLLED_BACK:
        word = _("roll-back %(word)s") % {"word": word}
    return _("%(application)s to %(version)s in %(environment)s: %(word)s") % {
        "application": stage.application.name,
        "version": promotion.version.label,
        "environment": stage.environment.name,
        "word": word,
    }


def _body(promotion: Promotion, by: str, message: str) -> str:
    """Say who, why and what changes, each on a line of its own whatever people wrote."""
    lines = [_("By %(person)s.") % {"person": shortened(by, 100)}] if by else []
    lines += [shortened(message, _LONGEST_REASON)] if message else []
    if promotion.reason:
        lines += [_("Why: %(reason)s") % {"reason": shortened(promotion.reason, _LONGEST_REASON)}]
    return "\n".join([*lines, *_summary(promotion)])


def _summary(promotion: Promotion) -> list[str]:
    lines = []
    for edit in promotion.edits[:_MOST_EDITS]:
        file, key, old, new = (_tail(edit[name] or "–") for name in ("file", "key", "old", "new"))
        lines.append(f"{file} {key}: {old} → {new}")
    further = len(promotion.edits) - len(lines)
    if further > 0:
        lines.append(ngettext("and %(n)d more key", "and %(n)d more keys", further) % {"n": further})
    return lines


def _tail(value: object) -> str:
    """Keep the end of what is too long: it is where keys and images differ."""
    text = plain(str(value))
    return text if len(text) <= _LONGEST_VALUE else "…" + text[1 - _LONGEST_VALUE :]


def shortened(text: str, longest: int) -> str:
    """Return the text on one line and bounded."""
    line = plain(text)
    return line if len(line) <= longest else line[: longest - 1] + "…"


def plain(text: str) -> str:
    """Return the text on one line, without control characters and those that turn the writing round.

    Else a reason could look like a line of ours, or like a link that leads elsewhere.
    """
    line = re.sub(r"\s+", " ", text).strip()
    return "".join(each for each in line if unicodedata.category(each) not in ("Cc", "Cf", "Co", "Cs"))
