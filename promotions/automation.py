"""Promote automatically: look at a Stage, find the newest version that passes the gates, ask for it.

Level-triggered like the engine: a look may be had any number of times, by any worker. Automation only
asks; approvals, gates and steps are those of every promotion. It never goes back, and never against a
person: a pin, a roll-back, a promotion that failed or that somebody refused holds it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from integrations.errors import IntegrationError
from promotions import evidence, looks, operations, pins
from promotions.choices import AutomationState, EditStyle, PromoteMode, PromotionStatus
from promotions.models import Automation, ImageVersion, Promotion, Stage, StageState
from promotions.pins import build_of, ordering_of
from promotions.policy import Act, Refusal, Refused, gather, refusals
from promotions.policy.access import system_account
from promotions.policy.gathering import gives_way, pin_sentence
from promotions.policy.ordering import Build, By, Ranking, Why
from promotions.workflow import StaleState, announce_stage, transition

log = structlog.get_logger(__name__)
# A worker that dies while it looks keeps the others away for so long.
_LEASE = timedelta(minutes=2)
# After a vendor gave no answer, or the change can't be computed: asking costs a dozen requests.
_REST = timedelta(minutes=1)
# Older builds than these are no candidates, and after so many refused ones the others wait, too.
_MOST_BUILDS = 1000
_MOST_CANDIDATES = 10
_MOST_TRIED = 200
# Until the branch has surely been read again after a promotion's end.
_READING = timedelta(minutes=2)
_UNSUCCESSFUL = (
    PromotionStatus.FAILED,
    PromotionStatus.ERRORED,
    PromotionStatus.REJECTED,
    PromotionStatus.ABORTED,
)
_BY = {
    By.SEMVER: gettext_lazy("semver"),
    By.CALVER: gettext_lazy("calendar version"),
    By.NUMERIC: gettext_lazy("number"),
    By.LEXICAL: gettext_lazy("alphabet"),
    By.PUSHED: gettext_lazy("push time"),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a Stage stands. `is_ready` means: nothing keeps `version` from being asked for now."""

    state: AutomationState
    message: str
    version: ImageVersion | None = None
    until: datetime | None = None
    is_ready: bool = False
    rest: timedelta | None = None


def order_name(stage: Stage) -> str:
    """Return what "newest" means at a Stage, in a word for people."""
    return str(_BY[ordering_of(stage).by])


def sweep() -> int:
    """Queue a look at every Stage that promotes automatically. Return how many."""
    stages = Stage.objects.filter(promotable=True, promote=PromoteMode.AUTOMATICALLY)
    found = list(stages.values_list("pk", flat=True))
    for pk in found:
        looks.queue("promotions.look_at_stage", f"automation:{pk}", {"stage_id": pk}, one_at_a_time=True)
    return len(found)


def look_at(stage_id: int) -> None:
    """Look at one Stage: ask for what may go, and keep how it stands for its pages."""
    stage = _load(stage_id)
    if stage is None or not stage.promotes_automatically:
        return
    row, _new = Automation.objects.get_or_create(stage=stage)
    now = timezone.now()
    free = Automation.objects.filter(pk=row.pk).filter(Q(rests_until=None) | Q(rests_until__lte=now))
    # Compare and set: of two workers one looks.
    if not free.update(rests_until=now + _LEASE):
        return
    rest: timedelta | None = None
    try:
        found = _act(stage)
        rest = found.rest
        _keep(row, found)
    finally:
        Automation.objects.filter(pk=row.pk).update(rests_until=timezone.now() + rest if rest else None)


def poison(stage_id: int, error: Exception) -> None:
    """A defect of ours stopped a look: say so on the stage's card, and do not look again at once."""
    message = _("Slipway failed while it looked for a newer version: %(error)s. The log has the details.")
    Automation.objects.filter(stage=stage_id).update(
        state=AutomationState.WAITING,
        version=None,
        message=message % {"error": type(error).__name__},
        rests_until=timezone.now() + _REST,
    )


def _load(stage_id: int) -> Stage | None:
    joined = Stage.objects.select_related(
        "application__source_connection", "environment", "image__connection", "manifest_connection"
    )
    return joined.filter(pk=stage_id).first()


def _keep(row: Automation, found: Standing) -> None:
    version_id = found.version.pk if found.version else None
    before = (row.state, row.message, row.version_id, row.until)
    if before == (found.state, found.message, version_id, found.until):
        return
    row.state, row.message, row.version, row.until = found.state, found.message, found.version, found.until
    row.save(update_fields=["state", "message", "version", "until"])
    announce_stage(row.stage)


def _act(stage: Stage) -> Standing:
    found = assess(stage)
    if found.state == AutomationState.HELD:
        _withdraw(stage, found.message)
    if not found.is_ready or found.version is None:
        return found
    try:
        made = operations.request_promotion(
            stage,
            found.version,
            by=system_account(),
            reason=_("automatic: newest by %(order)s") % {"order": order_name(stage)},
        )
    except Refused as refused:
        return _waits_for(found.version, refused.refusals, rest=_REST)
    except (StaleState, IntegrationError) as error:
        return Standing(AutomationState.WAITING, str(error), found.version, rest=_REST)
    made.refresh_from_db()
    return _under_way(made)


def _withdraw(stage: Stage, why: str) -> None:
    """What Slipway asked for and nobody has decided on must not be approved against a pin by mistake."""
    for promotion in stage.promotions.open().for_pages():
        if not gives_way(promotion):
            continue
        message = _("Slipway withdrew it: %(why)s") % {"why": why}
        try:
            transition(promotion, PromotionStatus.SUPERSEDED, by=None, message=message, look_at=None)
        except StaleState:
            log.info("somebody decided on it at the same moment", promotion=promotion.pk)


def assess(stage: Stage) -> Standing:
    """Find what would be asked for now, or what keeps it back. Asks for nothing."""
    waiting = stage.promotions.open().select_related("version", "requested_by").first()
    # First what is open, then pins: a roll-back that ends in between is pinned, and found.
    pin = pins.standing(stage) or pins.keep_roll_back(stage)
    if pin is not None:
        return _held(pin_sentence(pin), pin.version)
    if waiting is not None and not gives_way(waiting):
        return _under_way(waiting)
    current = _current(stage, waiting)
    if isinstance(current, Standing):
        return current
    ranking = _ranking(stage, current)
    spent = _spent(stage, current)
    candidates = _above(stage, ranking, spent)
    if not candidates and waiting is not None:
        return _under_way(waiting)
    if not candidates:
        return _not_again(spent) if spent is not None else _up_to_date(stage, ranking)
    chosen = _first_that_passes(stage, candidates)
    return chosen if chosen.is_ready or waiting is None else _under_way(waiting)


def _above(stage: Stage, ranking: Ranking, spent: Promotion | None) -> list[int]:
    """Leave out what is not newer than the last one that came to nothing: people would refuse them one by
    one, or they would take back half of what was written."""
    floor, order = build_of(stage, spent.version) if spent else None, ordering_of(stage)
    return [
        each.build.ident for each in ranking.ranked if floor is None or order.compare(each.build, floor) == 1
    ]


def _held(message: str, version: ImageVersion | None = None) -> Standing:
    return Standing(AutomationState.HELD, message, version)


def _under_way(promotion: Promotion) -> Standing:
    words = {
        "number": promotion.pk,
        "version": promotion.version.label,
        "person": promotion.requested_by_name,
        "status": PromotionStatus(promotion.status).label,
    }
    if pins.is_by_person(promotion):
        message = _("Promotion #%(number)d of %(version)s by %(person)s is open: %(status)s.")
    else:
        message = _("Promotion #%(number)d of %(version)s: %(status)s.")
    return Standing(AutomationState.UNDER_WAY, message % words, promotion.version)


def _current(stage: Stage, waiting: Promotion | None) -> Build | Standing:
    """Return what a candidate must be newer than, or why that can't be told."""
    if waiting is not None:
        return build_of(stage, waiting.version)
    state = StageState.objects.filter(stage=stage).select_related("desired_version").first()
    if state is None or state.desired_seen_at is None:
        return _wait(_("What Git asks for has not been read yet."))
    if state.desired_problem:
        return _wait(state.desired_problem)
    current = _desired(stage, state)
    if ordering_of(stage).compare(current, current) is None:
        words = {"reference": state.desired_tag or state.desired_digest, "order": order_name(stage)}
        message = _(
            "Git asks for %(reference)s, which has no place in the order by %(order)s:"
            " a person must promote a version first."
        )
        return _held(message % words)
    return _set_back(stage, current) or current


def _wait(message: str, version: ImageVersion | None = None) -> Standing:
    return Standing(AutomationState.WAITING, message, version)


def _desired(stage: Stage, state: StageState) -> Build:
    """A version that nobody recorded has no push time: by that nothing can be told of it."""
    version = state.desired_version
    if version is not None:
        by_digest = stage.edit_style == EditStyle.DIGEST
        tags = tuple(version.tags) if by_digest else (state.desired_tag or version.tag,)
        return Build(version.pk, tags, version.created_at)
    tags = () if ordering_of(stage).by == By.PUSHED else (state.desired_tag,)
    return Build(0, tuple(tag for tag in tags if tag), timezone.now())


def _set_back(stage: Stage, current: Build) -> Standing | None:
    """Git asks for something older than what Slipway brought there: somebody had a reason."""
    last = pins.last_in_git(stage)
    if last is None or ordering_of(stage).compare(current, build_of(stage, last.version)) != -1:
        return None
    if timezone.now() - last.status_at < _READING:
        return _wait(
            _("The manifest branch is being read after promotion #%(number)d.") % {"number": last.pk}
        )
    words = {"version": last.version.label, "number": last.pk}
    return _held(
        _(
            "Git asks for something older than %(version)s, which promotion #%(number)d brought:"
            " somebody set it back outside of Slipway. A person must promote a version, or pin one."
        )
        % words
    )


def _ranking(stage: Stage, current: Build) -> Ranking:
    """Order what is newer than `current`."""
    order = ordering_of(stage)
    versions = ImageVersion.objects.filter(image=stage.image_id, missing_since=None)
    ranking = order.rank(build_of(stage, version) for version in versions[:_MOST_BUILDS])
    newer = tuple(each for each in ranking.ranked if order.compare(each.build, current) == 1)
    return Ranking(newer, ranking.skipped)


def _up_to_date(stage: Stage, ranking: Ranking) -> Standing:
    message = _("Nothing newer is known by %(order)s.") % {"order": order_name(stage)}
    unread = [each.tag for each in ranking.skipped if each.why in (Why.UNREADABLE, Why.NO_EXTRACT)]
    if unread:
        told = ngettext(
            "%(count)d build has no place in that order: %(tag)s.",
            "%(count)d builds have no place in that order, for example %(tag)s.",
            len(unread),
        )
        message += " " + told % {"count": len(unread), "tag": unread[0]}
    return Standing(AutomationState.IDLE, message)


def _spent(stage: Stage, current: Build) -> Promotion | None:
    """Return the newest of what was tried here, or refused by people, and did not succeed since.

    What is older than `current` is of the past.
    """
    latest: dict[int, Promotion] = {}
    tried = stage.promotions.exclude(status=PromotionStatus.SUPERSEDED).select_related("version")
    texts = ("diff", "previous_diff", "rendered_diff", "edits")
    for promotion in tried.defer(*texts).order_by("-status_at", "-pk")[:_MOST_TRIED]:
        latest.setdefault(promotion.version_id, promotion)
    ended = {pk: found for pk, found in latest.items() if found.status in _UNSUCCESSFUL}
    ranking = ordering_of(stage).rank(build_of(stage, found.version) for found in ended.values())
    if ranking.newest is None or ordering_of(stage).compare(ranking.newest.build, current) == -1:
        return None
    return ended[ranking.newest.build.ident]


def _not_again(spent: Promotion) -> Standing:
    words = {
        "version": spent.version.label,
        "number": spent.pk,
        "status": PromotionStatus(spent.status).label,
        "message": spent.message,
    }
    message = _(
        "promotion #%(number)d of %(version)s ended %(status)s: %(message)s Slipway does not ask for it"
        " again; a person can, or the next newer version takes over."
    )
    return _held(message % words, spent.version)


def _first_that_passes(stage: Stage, candidates: Iterable[int]) -> Standing:
    """Ask the gates about each, newest first. Where none passes, the newest is what is waited for."""
    first: Standing | None = None
    for pk in list(candidates)[:_MOST_CANDIDATES]:
        version = ImageVersion.objects.select_related("image__connection", "image__application").get(pk=pk)
        evidence.look_at_build_quietly(stage, version)
        refused = refusals(Act.REQUEST, gather(stage, version, system_account()))
        if not refused:
            return Standing(AutomationState.WAITING, "", version, is_ready=True)
        first = first or _waits_for(version, refused)
    assert first is not None
    return first


def _waits_for(version: ImageVersion, refused: list[Refusal], *, rest: timedelta | None = None) -> Standing:
    ends = [refusal.until for refusal in refused if refusal.until is not None]
    return Standing(
        AutomationState.WAITING,
        " ".join(refusal.message for refusal in refused),
        version,
        max(ends) if ends and len(ends) == len(refused) else None,
        rest=rest,
    )
