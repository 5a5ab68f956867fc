"""What a Release asks of each of its promotions: its turn, and that nothing before it went wrong."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from promotions.choices import PromotionStatus
from promotions.models import Promotion, StageState, companions
from promotions.policy.governance import when
from promotions.policy.looking import once_a_look
from promotions.policy.terms import Facts, Refusal, ReleaseFact, Weight

RELEASE = "release"
_HEALTHY = ("Healthy", "")


@once_a_look
def turn_of(promotion: Promotion, now: datetime) -> ReleaseFact:
    """Gather what the other promotions of the Release say."""
    release = promotion.release
    assert release is not None
    members = release.members()
    others = [each for each in members if each.pk != promotion.pk]
    together = {each.pk for each in companions(promotion)}
    # What has begun waits only for those that share its commit: the rest was approved when it began.
    asked = (
        [each for each in others if each.pk in together]
        if promotion.status == PromotionStatus.RUNNING
        else others
    )
    earlier = [each for each in others if each.wave < promotion.wave]
    return ReleaseFact(
        number=release.pk,
        stopped=tuple(
            (_told(each), each.message)
            for each in others
            if not each.is_open and each.status != PromotionStatus.SUCCEEDED
        ),
        unapproved=tuple(_told(each) for each in asked if each.status == PromotionStatus.REQUESTED),
        ahead=tuple(_told(each) for each in _ahead(promotion, others, together)),
        unhealthy=_unhealthy(earlier),
        resumes=_resumes(earlier, timedelta(minutes=release.pause), now),
    )


def _told(promotion: Promotion) -> str:
    return f"#{promotion.pk} {promotion.stage}"


def _ahead(promotion: Promotion, others: list[Promotion], together: set[int]) -> list[Promotion]:
    """Earlier waves have to be through; of the same wave, the repositories before have to be written."""
    found = []
    for each in others:
        if each.pk in together or not each.is_open:
            continue
        first_of_wave = each.wave == promotion.wave and each.pk < min(together)
        if each.wave < promotion.wave or (first_of_wave and not each.target_commit):
            found.append(each)
    return found


def _unhealthy(earlier: list[Promotion]) -> tuple[tuple[str, str], ...]:
    states = StageState.objects.filter(stage__in=[each.stage_id for each in earlier])
    sick = states.exclude(health_status__in=_HEALTHY).select_related(
        "stage__application", "stage__environment"
    )
    return tuple((str(state.stage), state.health_status) for state in sick)


def _resumes(earlier: list[Promotion], pause: timedelta, now: datetime) -> datetime | None:
    ended = [each.finished_at for each in earlier if each.finished_at is not None]
    if not ended or len(ended) < len(earlier):
        return None
    resumes = max(ended) + pause
    return resumes if resumes > now else None


def in_turn(facts: Facts) -> Refusal | None:
    """The gate: stop at the first failure, go together, wave by wave."""
    fact = facts.release
    if fact is None:
        return None
    developer = _("a developer, by trying it again or aborting the release")
    if fact.stopped:
        name, why = fact.stopped[0]
        message = _("Release #%(number)d has stopped: %(promotion)s did not succeed. %(why)s")
        return _held(message % {"number": fact.number, "promotion": name, "why": why}, developer)
    if fact.unapproved:
        told = ", ".join(fact.unapproved)
        message = _("Release #%(number)d goes together, and this is not approved yet: %(promotions)s.")
        return _held(message % {"number": fact.number, "promotions": told}, _("its approvers"))
    if fact.ahead:
        told = ", ".join(fact.ahead)
        message = _("In release #%(number)d this goes first: %(promotions)s.")
        return _held(message % {"number": fact.number, "promotions": told}, _("nobody needs to"))
    if fact.unhealthy:
        stage, health = fact.unhealthy[0]
        message = _("Release #%(number)d goes on when %(stage)s is healthy again: it is %(health)s.")
        words = {"number": fact.number, "stage": stage, "health": health}
        return _held(message % words, developer)
    if fact.resumes is not None:
        message = _("Release #%(number)d pauses between two waves until %(until)s.")
        told = message % {"number": fact.number, "until": when(fact.resumes)}
        return _held(told, _("nobody needs to"), fact.resumes)
    return None


def _held(message: str, fix: str, until: datetime | None = None) -> Refusal:
    return Refusal(RELEASE, message, fix, Weight.HOLDS, until)
