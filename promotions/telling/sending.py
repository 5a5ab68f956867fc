"""Send what is due: in order to each room and person, again after a failure, and never in anybody's way."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from urllib.parse import quote

import structlog
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import F, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations import notify
from integrations.errors import IntegrationError
from promotions.choices import OPEN_STATUSES, Event, Personal, PromotionStatus
from promotions.models import Application, Notification, NotificationChannel
from promotions.policy.access import may_see_machinery, visible_applications
from promotions.secrets import SecretMissing, resolve
from promotions.telling.outages import stages_using

log = structlog.get_logger(__name__)

MOST_TRIES = 12
# Later than that it is no news.
NEWS_FOR = timedelta(hours=6)
_LONGEST_PAUSE = 900.0
_KEPT_FOR = timedelta(days=90)
# How long a worker may take over one message before another one takes it for dead.
_LEASE = timedelta(minutes=5)
# What completes an address must not end up as another part of it (a list of addresses, a room).
_NAME = re.compile(r"\w[\w.+-]*(@[\w.-]+)?")


class Unaddressable(Exception):
    """The person can't be reached through this channel; the sentence says why."""


def send_due() -> int:
    """Send every message that is due; return how many were taken."""
    sent = 0
    while (due := _claim()) is not None:
        try:
            sent += _send(due)
        except Exception as error:
            # The outermost loop: one message that we can't handle must not keep the others waiting.
            log.exception("a notification could not be sent", notification=due.pk)
            _failed(due, type(error).__name__)
    return sent


def forget_old() -> None:
    """Drop what was told long ago. While a wait lasts its messages stay, or it would be told again."""
    old = Notification.objects.filter(due_at=None, created_at__lt=timezone.now() - _KEPT_FOR)
    old.exclude(promotion__status__in=OPEN_STATUSES).delete()


def is_due() -> bool:
    return Notification.objects.filter(due_at__lte=timezone.now()).exists()


def _claim() -> Notification | None:
    """Take the oldest message that is due and heads its line; nobody else takes it for a while.

    A line is what waits for one room or person. A room that does not answer is so asked once per pause,
    not once per message, and hears of things in the order in which they happened.
    """
    heads = (
        Notification.objects.filter(due_at__isnull=False)
        .order_by("channel_id", "recipient_id", "id")
        .distinct("channel_id", "recipient_id")
    )
    now = timezone.now()
    for pk, due_at in sorted(heads.values_list("id", "due_at")):
        if due_at is None or due_at > now:
            continue
        # Compare and set: of two workers one sends it.
        free = Notification.objects.filter(pk=pk, due_at=due_at)
        if free.update(due_at=now + _LEASE, tries=F("tries") + 1, problem=""):
            return Notification.objects.select_related("channel", "recipient", "promotion").get(pk=pk)
    return None


def take_over() -> None:
    """Make due what a dead worker had taken, which holds up its whole line.

    What waits after a failure has a problem to tell, what was taken has none. Another worker's message of
    that moment may so be said twice: better than not for minutes. What was tried as often as may be waits for
    its lease all the same: workers may die of it.
    """
    taken = Notification.objects.filter(due_at__gt=timezone.now(), tries__gt=0, problem="")
    taken.filter(tries__lt=MOST_TRIES).update(due_at=timezone.now())


def _send(row: Notification) -> bool:
    if (moot := _moot(row)) != "":
        _done(row, problem=moot)
        return False
    try:
        notify.send(address(row.channel, row.recipient), notify.Message(row.title, row.body, row.link))
    except Unaddressable as error:
        _done(row, problem=str(error))
        return False
    except (IntegrationError, SecretMissing) as error:
        _failed(row, str(error))
        trouble = {"problem": str(error), "troubled_since": Coalesce("troubled_since", Value(timezone.now()))}
        NotificationChannel.objects.filter(pk=row.channel_id).update(**trouble)
        return False
    now = timezone.now()
    _done(row, sent_at=now)
    NotificationChannel.objects.filter(pk=row.channel_id).update(told_at=now, problem="", troubled_since=None)
    return True


def _moot(row: Notification) -> str:
    """Return why a person is not told after all: what was so when it was written may be so no more."""
    if row.recipient is None:
        return ""
    if not row.recipient.is_active or not _may_know(row, row.recipient):
        return _("The person may not see this any more.")
    if row.event == Event.REQUESTED and row.promotion and row.promotion.status != PromotionStatus.REQUESTED:
        return _("It did not wait any more.")
    return ""


def _may_know(row: Notification, person: User) -> bool:
    visible = visible_applications(person)
    if row.promotion is not None:
        return visible.filter(pk=row.promotion.stage.application_id).exists()
    if row.connection is None or may_see_machinery(person):
        return True
    used = Application.objects.filter(stages__in=stages_using(row.connection))
    return visible.filter(pk__in=used).exists()


def address(channel: NotificationChannel, person: User | None) -> str:
    """Return where to send: the channel's secret, completed for the person. Raises Unaddressable.

    Raises SecretMissing, and Rejected when a personal channel's address has no place for the person: its
    messages would go to a room.
    """
    url = resolve(channel.url)
    if not channel.personal or person is None:
        return url
    place = f"{{{channel.personal}}}"
    if place not in url:
        words = {"place": place}
        raise notify.Rejected(
            _("The channel's address has no %(place)s in it.") % words, vendor=notify.VENDOR
        )
    return url.replace(place, quote(whereabouts(channel, person), safe=""))


def whereabouts(channel: NotificationChannel, person: User) -> str:
    """Return the address or name by which a personal channel reaches somebody. Raises Unaddressable."""
    if channel.personal == Personal.USERNAME:
        if _NAME.fullmatch(person.username):
            return person.username
        raise Unaddressable(_("The user name can't be part of an address."))
    try:
        validate_email(person.email)
    except ValidationError as error:
        raise Unaddressable(_("No e-mail address is known; an administrator can enter it.")) from error
    if re.search(r"[\s,;\"<>]", person.email):
        raise Unaddressable(_("The e-mail address can't be used; an administrator can correct it."))
    return person.email


def _done(row: Notification, **fields: object) -> None:
    Notification.objects.filter(pk=row.pk).update(**{"due_at": None, "problem": "", **fields})


def _failed(row: Notification, problem: str) -> None:
    now = timezone.now()
    pause = timedelta(seconds=min(_LONGEST_PAUSE, 2.0**row.tries))
    due_at: datetime | None = now + pause
    if row.tries >= MOST_TRIES or now + pause - row.created_at > NEWS_FOR:
        due_at = None
        log.error("a notification was given up", channel=str(row.channel), problem=problem)
    Notification.objects.filter(pk=row.pk).update(due_at=due_at, problem=problem)
