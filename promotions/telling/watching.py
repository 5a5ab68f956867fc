"""Find what time and other people's acts make worth telling. Level-triggered: looking twice tells once."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from promotions.choices import OPEN_STATUSES, Event, PromotionStatus
from promotions.models import Notification, NotificationChannel, Promotion, Subscription
from promotions.notifications import News, of_promotion, put, rooms, subscribers
from promotions.policy import gather, refusals
from promotions.policy.awaiting import waits_for
from promotions.policy.rules import Rules
from promotions.steps.guard import act_of


def _open(*statuses: PromotionStatus) -> QuerySet[Promotion]:
    found = Promotion.objects.for_pages().filter(status__in=statuses or OPEN_STATUSES)
    return found.select_related("stage__image").prefetch_related("steps").order_by("id")


def tell_approvers() -> None:
    """Tell everybody whose decision is waited for, who wants to know and was not told of this very change.

    Who that is may change while it waits: a role is granted, the authors of the commits become known, an
    approval expires, the change becomes another one.
    """
    for promotion in _open(PromotionStatus.REQUESTED):
        news = of_promotion(
            promotion, Event.REQUESTED, by=promotion.requested_by_name, message=promotion.message
        )
        put(news, _untold_rooms(news), _untold_approvers(news, promotion))


def _told(news: News) -> set[tuple[int, int | None]]:
    return set(Notification.objects.filter(key=news.key).values_list("channel_id", "recipient_id"))


def _untold_rooms(news: News) -> list[NotificationChannel]:
    told = _told(news)
    return [room for room in rooms(news) if (room.pk, None) not in told]


def _untold_approvers(news: News, promotion: Promotion) -> list[Subscription]:
    asked = subscribers(news)
    told = _told(news) if asked else set()
    untold = [each for each in asked if (each.channel_id, each.user_id) not in told]
    needed = {each.user_id for each in untold if waits_for(promotion, each.user)}
    return [each for each in untold if each.user_id in needed]


def tell_stuck() -> None:
    """Tell of every promotion that has waited for too long without a known end, once for each wait."""
    for promotion in _open():
        since, patience = promotion.waits_since, Rules.of(promotion.stage.environment.policy).stuck_after
        if patience is None or since is None or timezone.now() - since < patience:
            continue
        news = of_promotion(promotion, Event.STUCK, message=_waits(promotion), since=since)
        to, people = rooms(news), subscribers(news)
        if not (to or people) or Notification.objects.filter(key=news.key).exists():
            continue
        if not _ends_by_itself(promotion):
            put(news, to, people)


def _waits(promotion: Promotion) -> str:
    since = promotion.waits_since or promotion.status_at
    words = {"since": date_format(timezone.localtime(since), "DATETIME_FORMAT"), "why": promotion.message}
    return _("It has waited since %(since)s. %(why)s") % words


def _ends_by_itself(promotion: Promotion) -> bool:
    """A freeze or a soak whose end is known is a plan, not a promotion that is stuck."""
    facts = gather(promotion.stage, promotion.version, None, promotion=promotion)
    found = refusals(act_of(promotion), facts)
    return bool(found) and all(each.until is not None and each.until > timezone.now() for each in found)
