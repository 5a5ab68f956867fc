"""Roll back by itself where the Environment says so: one decision for each promotion that went bad.

Level-triggered like the engine: the tables say what went bad, and looking twice does nothing twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from promotions import operations
from promotions.choices import (
    OPEN_STATUSES,
    AutomaticState,
    PromotionKind,
    PromotionStatus,
    RollbackCause,
    StepName,
)
from promotions.manifests import Change
from promotions.models import AutomaticRollback, Environment, ImageVersion, Promotion, Stage, StageState
from promotions.notifications import tell_everywhere
from promotions.operations import Preview
from promotions.policy import Refusal, Refused, stopping
from promotions.policy.access import is_system, system_account
from promotions.policy.gathering import proven_here
from promotions.policy.governance import when
from promotions.policy.rules import RollbackRules, Rules
from promotions.workflow import StaleState, announce_promotion, person_name, record

State = AutomaticState
# An outage of the manifest repository looks like a change that can't be computed; it may pass.
_MAY_PASS = ("change",)


def stages() -> list[Stage]:
    """Return the Stages whose Environment asks for automatic roll-backs."""
    wanted = [
        environment.pk
        for environment in Environment.objects.all()
        if Rules.of(environment.policy).rollback.automatic
    ]
    found = Stage.objects.filter(environment__in=wanted, promotable=True)
    return list(
        found.select_related(
            "application__source_connection", "environment", "image", "manifest_connection", "state"
        )
    )


def look_at(stage: Stage) -> None:
    """See whether what was promoted last went bad, and ask for the version before if so."""
    rules = Rules.of(stage.environment.policy).rollback
    landed = stage.promotions.exclude(target_commit="").for_pages()
    promotion = landed.order_by("-status_at", "-pk").first()
    if promotion is None or promotion.is_open:
        return
    cause = _cause(promotion, rules, timezone.now())
    if cause is None:
        _lapse(promotion)
        return
    row, _new = AutomaticRollback.objects.get_or_create(promotion=promotion, defaults={"cause": cause})
    if row.state == State.WAITING:
        _decide(row, promotion, rules)


def _cause(promotion: Promotion, rules: RollbackRules, now: datetime) -> RollbackCause | None:
    ended = promotion.finished_at
    if ended is None:
        return None
    if promotion.status == PromotionStatus.FAILED and promotion.step == StepName.VERIFY:
        fresh = now - ended <= rules.watch
        return RollbackCause.VERIFICATION if fresh and RollbackCause.VERIFICATION in rules.automatic else None
    arrived = promotion.status == PromotionStatus.SUCCEEDED
    stuck = promotion.status == PromotionStatus.FAILED and promotion.step == StepName.ARRIVE
    if RollbackCause.DEGRADED in rules.automatic and (arrived or stuck):
        return RollbackCause.DEGRADED if _is_degraded(promotion, ended, rules, now) else None
    return None


def _is_degraded(promotion: Promotion, ended: datetime, rules: RollbackRules, now: datetime) -> bool:
    """Degraded since soon after it ended, for long enough, and the last look still said so."""
    state = StageState.objects.filter(stage=promotion.stage_id).first()
    if state is None or state.degraded_since is None or state.running_seen_at is None:
        return False
    since = max(state.degraded_since, ended)
    lasted = state.running_seen_at - since
    return (
        state.running_version_id in (None, promotion.version_id)
        and state.degraded_since <= ended + rules.watch
        # An old picture proves nothing about now; and what has been broken for long is known to people.
        and rules.degraded_for <= lasted
        and now - since <= rules.degraded_for + rules.watch
    )


def _lapse(promotion: Promotion) -> None:
    """There is no cause any more: it recovered, or it took too long until something could be asked for."""
    row = AutomaticRollback.objects.filter(promotion=promotion, state=State.WAITING).first()
    if row is None:
        return
    still_bad = promotion.status == PromotionStatus.FAILED
    if row.cause == RollbackCause.DEGRADED:
        still_bad = StageState.objects.filter(stage=promotion.stage_id, degraded_since__isnull=False).exists()
    if still_bad:
        _settle(row, promotion, row.message or _("It took too long."))
    else:
        # Should it go bad again, that is news.
        row.delete()


def _decide(row: AutomaticRollback, promotion: Promotion, rules: RollbackRules) -> None:
    stage, target = promotion.stage, last_good(promotion)
    if why := _people_s(row, promotion, target):
        _settle(row, promotion, why)
        return
    assert target is not None
    by = system_account()
    seen = operations.preview(stage, target, by, rolling_back=True)
    if why := _edited_since(promotion, seen.change):
        _settle(row, promotion, why)
        return
    if refused := stopping(seen.refusals):
        _put_off(row, promotion, refused, rules.watch)
        return
    try:
        _request(promotion, target, row, seen)
    except Refused as error:
        _put_off(row, promotion, error.refusals, rules.watch)
        return
    except StaleState:
        # Somebody was faster, or the manifests moved: the next look sees which.
        return
    _settle(row, promotion, "")


def _request(promotion: Promotion, target: ImageVersion, row: AutomaticRollback, seen: Preview) -> None:
    assert seen.change is not None
    operations.request_promotion(
        promotion.stage,
        target,
        by=system_account(),
        reason=_("Rolled back automatically: %(why)s") % {"why": _why(row, promotion)},
        seen_hash=seen.change.hash,
        rollback_of=promotion,
        kind=PromotionKind.ROLLBACK,
        gives_way=True,
    )


def _why(row: AutomaticRollback, promotion: Promotion) -> str:
    words = {"version": promotion.version.label, "number": promotion.pk, "message": promotion.message}
    if row.cause == RollbackCause.VERIFICATION:
        return _("verification of %(version)s failed (promotion #%(number)d). %(message)s") % words
    state = StageState.objects.filter(stage=promotion.stage_id).first()
    since = when(state.degraded_since) if state and state.degraded_since else "?"
    told = {**words, "since": since, "message": state.running_problem if state else ""}
    sentence = _("%(version)s is degraded since %(since)s (promotion #%(number)d). %(message)s")
    return (sentence % told).strip()


def last_good(promotion: Promotion) -> ImageVersion | None:
    """Return the version that last succeeded here before this one; else what it replaced."""
    before = (
        promotion.stage.promotions.filter(status=PromotionStatus.SUCCEEDED)
        .exclude(version=promotion.version_id)
        .filter(finished_at__lt=promotion.finished_at)
        .select_related("version__image")
        .order_by("-finished_at")
        .first()
    )
    return before.version if before is not None else promotion.from_version


def _people_s(row: AutomaticRollback, promotion: Promotion, target: ImageVersion | None) -> str:
    """Return why this is for people to decide, "" where Slipway may."""
    stage = promotion.stage
    asked_by = promotion.requested_by
    if promotion.kind == PromotionKind.ROLLBACK and asked_by is not None and is_system(asked_by):
        return _("It was itself an automatic roll-back.")
    if (acts := _who_acts(row, promotion)) is not None:
        words = {"person": acts.requested_by_name, "number": acts.pk}
        return _("%(person)s acts already: promotion #%(number)d.") % words
    if target is None or target.pk == promotion.version_id or target.image_id != stage.image_id:
        return _("No other version succeeded here before.")
    if not proven_here(stage, target, None):
        return _("%(version)s, which was here before, was bad, too.") % {"version": target.label}
    return ""


def _who_acts(row: AutomaticRollback, promotion: Promotion) -> Promotion | None:
    """Return what a person asked for since it went bad, or before and it is still open.

    What Slipway itself asked for gives way to the roll-back, unless it runs already.
    """
    trouble = promotion.finished_at
    if row.cause == RollbackCause.DEGRADED:
        state = StageState.objects.filter(stage=promotion.stage_id).first()
        trouble = (state.degraded_since if state else None) or trouble
    ours = Q(requested_by=system_account()) & (Q(rollback_of=promotion) | ~Q(status=PromotionStatus.RUNNING))
    others = promotion.stage.promotions.exclude(pk=promotion.pk).exclude(ours)
    return others.filter(Q(requested_at__gt=trouble) | Q(status__in=OPEN_STATUSES)).first()


def _edited_since(promotion: Promotion, change: Change | None) -> str:
    """Somebody may have acted in Git itself: then what stands there is not what the promotion wrote."""
    if change is None:
        return ""
    written = {(str(edit["file"]), str(edit["key"])): edit["new"] for edit in promotion.edits}
    differs = any(
        written.get((edit.file, edit.key), edit.old) != edit.old for edit in change.edits if written
    )
    if differs or not change.edits:
        return _("Somebody changed the manifests since.")
    return ""


def _put_off(
    row: AutomaticRollback, promotion: Promotion, refused: list[Refusal], patience: timedelta
) -> None:
    """What waiting can open is waited for, for a while; anything else is for people."""
    sentence = " ".join(refusal.message for refusal in refused)
    waits = all(refusal.waits or refusal.gate in _MAY_PASS for refusal in refused)
    if not waits or timezone.now() - row.seen_at > patience:
        _settle(row, promotion, sentence)
    elif row.message != sentence:
        AutomaticRollback.objects.filter(pk=row.pk, state=State.WAITING).update(message=sentence)
        announce_promotion(promotion)


def _settle(row: AutomaticRollback, promotion: Promotion, why_not: str) -> None:
    """Decide once. What was asked for counts, whatever a second worker found in its way."""
    with transaction.atomic():
        held = AutomaticRollback.objects.select_for_update().filter(pk=row.pk, state=State.WAITING).first()
        if held is None:
            return
        rollback = promotion.rollbacks.filter(requested_by=system_account()).select_related("version").first()
        if rollback is None and not why_not:
            return
        held.rollback, held.decided_at = rollback, timezone.now()
        held.state = State.REQUESTED if rollback else State.LEFT
        held.message = _outcome(held, why_not)
        held.save()
        record(
            f"rollback.{held.state}",
            subject=promotion,
            by=None,
            promotion=promotion,
            message=held.message,
            cause=held.cause,
            rollback=rollback.pk if rollback else None,
        )
        announce_promotion(promotion)
        if rollback is not None:
            announce_promotion(rollback)
        else:
            # Something is broken, and somebody counts on Slipway to mend it.
            title = _("%(stage)s: not rolled back automatically") % {"stage": promotion.stage}
            by = person_name(None)
            tell_everywhere(promotion, title, by=by, message=held.message)


def _outcome(held: AutomaticRollback, why_not: str) -> str:
    cause = RollbackCause(held.cause).label
    if held.rollback is None:
        return _("Not rolled back automatically (%(cause)s): %(why)s") % {"cause": cause, "why": why_not}
    words = {"version": held.rollback.version.label, "number": held.rollback.pk, "cause": cause}
    return _("Rolled back automatically to %(version)s by promotion #%(number)d: %(cause)s.") % words
