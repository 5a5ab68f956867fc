"""What each person wants to hear of, and through which of the personal channels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction

from promotions.choices import Event
from promotions.models import Notification, NotificationChannel, Subscription
from promotions.telling.sending import Unaddressable, whereabouts
from promotions.workflow import record

OFFERED = tuple(event for event in Event if event != Event.REACHABLE)


@dataclass(frozen=True, slots=True)
class Offer:
    """A personal channel as one person sees it. `where` it would reach them, or the `problem` why not.

    `failed` is why the last message did not arrive, "" when it did.
    """

    channel: NotificationChannel
    where: str
    problem: str
    chosen: Subscription | None
    failed: str


def offers(user: User) -> list[Offer]:
    """Return every channel that the catalogue offers to people, as it stands for this person."""
    chosen = {row.channel_id: row for row in Subscription.objects.filter(user=user)}
    return [
        _offer(channel, user, chosen.get(channel.pk)) for channel in NotificationChannel.objects.offered()
    ]


def _offer(channel: NotificationChannel, user: User, chosen: Subscription | None) -> Offer:
    where = problem = ""
    try:
        where = whereabouts(channel, user)
    except Unaddressable as error:
        problem = str(error)
    last = Notification.objects.filter(channel=channel, recipient=user, tries__gt=0).last()
    failed = last.problem if last and last.sent_at is None else ""
    return Offer(channel, where, problem, chosen, failed)


def choose(
    user: User,
    channel: NotificationChannel,
    *,
    events: Iterable[str],
    applications: Iterable[str],
    language: str,
) -> None:
    """Keep what the person wants to hear of through a channel. No event: nothing, and they are forgotten."""
    wanted = {"events": sorted(events), "applications": sorted(applications), "language": language}
    with transaction.atomic():
        before = Subscription.objects.filter(user=user, channel=channel).first()
        if not wanted["events"]:
            Subscription.objects.filter(user=user, channel=channel).delete()
        else:
            Subscription.objects.update_or_create(user=user, channel=channel, defaults=wanted)
        old, new = _told(vars(before)) if before else "–", _told(wanted)
        if old != new:
            subject = f"notifications of {user}"
            record(
                "notifications.chosen", subject=subject, by=user, channel=channel.slug, before=old, after=new
            )


def _told(wanted: Mapping[str, object]) -> str:
    """Return it as the audit trail shows it."""
    events, applications = wanted["events"], wanted["applications"]
    assert isinstance(events, list)
    assert isinstance(applications, list)
    if not events:
        return "–"
    return ", ".join(events) + (f" ({', '.join(applications)})" if applications else "")
