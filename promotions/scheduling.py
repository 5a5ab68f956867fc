"""Promotions for a set time: kept until then, begun if the gates let them, else ended with the reason."""

from __future__ import annotations

import structlog
from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from promotions.choices import PromotionStatus
from promotions.models import Promotion, Schedule, Stage
from promotions.policy import Refusal, gather, lacking
from promotions.policy.rules import Rules
from promotions.policy.schedule import When, shown, understand
from promotions.workflow import StaleState, announce_promotion, record, transition

log = structlog.get_logger(__name__)
Status = PromotionStatus


def zone_of(stage: Stage) -> str:
    """Return the time zone that times for a Stage are read in when nobody says another."""
    return Rules.of(stage.environment.policy).time_zone or timezone.get_default_timezone_name()


def read(stage: Stage, not_before: str, until: str, time_zone: str) -> When | None:
    """Return the times that were asked for, None when none was. Raises BadTime."""
    if not not_before:
        return None
    return understand(not_before, until, time_zone or zone_of(stage), now=timezone.now())


def keep(promotion: Promotion, when: When, *, by: User) -> Schedule:
    """Have a promotion that was just asked for wait for its time."""
    made = Schedule.objects.create(
        promotion=promotion,
        not_before=when.not_before,
        until=when.until,
        time_zone=when.time_zone,
        note=when.note,
    )
    record("promotion.scheduled", subject=promotion, by=by, promotion=promotion, message=sentence(made))
    return made


def sentence(schedule: Schedule) -> str:
    """Return the times as people read them, with how they were understood."""
    words = {"begin": shown(schedule.not_before, schedule.time_zone), "zone": schedule.time_zone}
    if schedule.until is None:
        told = _("Begins at %(begin)s (%(zone)s), if every gate is open then.") % words
    else:
        words["end"] = shown(schedule.until, schedule.time_zone)
        told = _("Begins from %(begin)s to %(end)s (%(zone)s), as soon as every gate is open.") % words
    return f"{told} {schedule.note}".strip()


def release(promotion: Promotion) -> None:
    """A person wants it now: its time does not count any more."""
    Schedule.objects.filter(promotion=promotion, released_at=None).update(released_at=timezone.now())


def heed(promotion: Promotion, refused: list[Refusal]) -> list[Refusal]:
    """Deal with what keeps a scheduled, approved promotion back; return what is left to the engine.

    Before its time only lost approvals matter: there are people who can give them again. At its time any
    closed gate ends it, unless there is an `until`. Raises StaleState.
    """
    schedule = Schedule.objects.filter(promotion=promotion, released_at=None).first()
    if schedule is None:
        return refused
    own = [refusal for refusal in refused if refusal.gate == "schedule"]
    if own and own[0].waits:
        lost = [refusal for refusal in refused if refusal.gate == "approvals"]
        if not lost:
            _wait(promotion, schedule, own[0].message)
        return lost
    told = " ".join(refusal.message for refusal in refused)
    if own:
        _end(promotion, own[0].message)
        return []
    if schedule.until is None:
        words = {"begin": shown(schedule.not_before, schedule.time_zone), "refused": told}
        message = _("It was to begin at %(begin)s, and a gate was closed: %(refused)s") % words
        _end(promotion, message)
        return []
    Schedule.objects.filter(pk=schedule.pk).update(refused=told)
    return refused


def _wait(promotion: Promotion, schedule: Schedule, message: str) -> None:
    same = Promotion.objects.filter(pk=promotion.pk, status=Status.APPROVED)
    same.update(message=message, look_at=schedule.not_before)
    if promotion.message != message:
        announce_promotion(promotion)


def _end(promotion: Promotion, message: str) -> None:
    """An approved one can be tried again by a person; one that waits for approval must be asked for anew."""
    to = Status.ERRORED if promotion.status == Status.APPROVED else Status.ABORTED
    transition(promotion, to, by=None, message=message, look_at=None)


def look() -> None:
    """End every scheduled promotion whose time came while it still waited for approval."""
    now = timezone.now()
    passed = Q(schedule__until=None, schedule__not_before__lt=now) | Q(schedule__until__lt=now)
    late = Promotion.objects.filter(passed, status=Status.REQUESTED, schedule__released_at=None)
    for promotion in late.select_related(
        "stage__application", "stage__environment", "stage__image", "version__image", "schedule"
    ):
        facts = gather(promotion.stage, promotion.version, None, promotion=promotion)
        asked = " ".join(refusal.message for refusal in lacking(facts))
        last = promotion.schedule.until or promotion.schedule.not_before
        words = {"end": shown(last, promotion.schedule.time_zone), "lacking": asked}
        try:
            _end(promotion, _("It was not approved by %(end)s. %(lacking)s") % words)
        except StaleState:
            log.info("it was decided on at the last moment", promotion=promotion.pk)
