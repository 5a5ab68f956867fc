"""Tell people what happened to promotions: after the fact is committed, and never in its way."""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from integrations import notify
from integrations.errors import IntegrationError
from promotions.choices import PromotionKind, PromotionStatus
from promotions.models import Notification, NotificationChannel, Promotion
from promotions.secrets import SecretMissing, resolve

log = structlog.get_logger(__name__)

# "approved" is told, "running" follows from it within seconds.
EVENTS = tuple(status.value for status in PromotionStatus if status != PromotionStatus.RUNNING)
_SEND_LOCK = 7_305_012
_MOST_TRIES = 8
_LONGEST_PAUSE = 900.0
_MOST_EDITS = 5


def tell(promotion: Promotion, event: str, *, by: str, message: str = "") -> None:
    """Put a message for every channel that wants it into the outbox, in the current transaction."""
    channels = [c for c in NotificationChannel.objects.all() if c.wants(event, promotion)]
    for channel in channels:
        Notification.objects.get_or_create(
            channel=channel,
            promotion=promotion,
            event=event,
            attempt=promotion.attempt,
            defaults={"title": _title(promotion, event)[:250], "body": _body(promotion, by, message)},
        )
    if channels:
        transaction.on_commit(_wake)


def _wake() -> None:
    try:
        app.configure_task("promotions.notify", queueing_lock="notify").defer()
    except AlreadyEnqueued:
        log.debug("sending is queued already")


def _title(promotion: Promotion, event: str) -> str:
    stage = promotion.stage
    word = str(PromotionStatus(event).label)
    if promotion.kind == PromotionKind.ROLLBACK:
        word = _("roll-back %(word)s") % {"word": word}
    return _("%(application)s to %(version)s in %(environment)s: %(word)s") % {
        "application": stage.application.name,
        "version": promotion.version.label,
        "environment": stage.environment.name,
        "word": word,
    }


def _body(promotion: Promotion, by: str, message: str) -> str:
    """Say who, why, what changes and where to look."""
    lines = [_("By %(person)s.") % {"person": by}]
    lines += [message] if message else []
    lines += [_("Why: %(reason)s") % {"reason": promotion.reason[:500]}] if promotion.reason else []
    for edit in promotion.edits[:_MOST_EDITS]:
        lines.append(f"{edit['file']}: {edit['old'] or '-'} → {edit['new'] or '-'}")
    lines.append(settings.BASE_URL.rstrip("/") + promotion.get_absolute_url())
    return "\n".join(lines)


def send_due() -> int:
    """Send every message that is due, oldest first; return how many were sent."""
    sent = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            # One sender at a time, or a room would hear "approved" before "requested".
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_SEND_LOCK])
            due = (
                Notification.objects.select_for_update(skip_locked=True, of=("self",))
                .select_related("channel")
                .filter(due_at__lte=timezone.now())
                .first()
            )
            if due is None:
                return sent
            sent += _send(due)


def _send(notification: Notification) -> bool:
    notification.tries += 1
    try:
        notify.send(resolve(notification.channel.url), title=notification.title, body=notification.body)
    except (IntegrationError, SecretMissing) as error:
        pause = min(_LONGEST_PAUSE, 2.0**notification.tries)
        notification.problem = str(error)
        notification.due_at = timezone.now() + timedelta(seconds=pause)
        if notification.tries >= _MOST_TRIES:
            notification.due_at = None
            log.error("a notification was given up", channel=str(notification.channel), problem=str(error))
    else:
        notification.problem, notification.due_at = "", None
        notification.sent_at = timezone.now()
    notification.save(update_fields=["tries", "problem", "due_at", "sent_at"])
    return notification.sent_at is not None
