"""What people do to promotions. Each is one call from a view or the API: checked, recorded, announced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.errors import IntegrationError
from promotions import changes, comparisons, emergency, engine, evidence, scheduling
from promotions.choices import Decision, PromotionKind, PromotionStatus, Role
from promotions.emergency import Glass
from promotions.manifests import Change
from promotions.models import Approval, ImageVersion, Promotion, Stage, StageState, StepResult
from promotions.notifications import tell
from promotions.policy import Act, Facts, Refusal, Refused, gather, lacking, refusals, stopping
from promotions.policy.access import holds
from promotions.policy.releases import RELEASE
from promotions.policy.schedule import When
from promotions.rendering import Rendered, rendered
from promotions.steps.guard import act_of
from promotions.workflow import StaleState, announce_promotion, person_name, record, transition

Status = PromotionStatus
_LOST = ("lock", "approvals")


@dataclass(frozen=True, slots=True)
class Preview:
    """What a promotion would do, and why it may not go. `change` is None when it can't be computed.

    `choices` and `disagreement` are as in `changes.Look`.
    """

    base_commit: str
    change: Change | None
    refusals: list[Refusal]
    rendered: Rendered
    approvals_needed: int = 0
    choices: tuple[changes.Choice, ...] = ()
    disagreement: str = ""


def preview(
    stage: Stage,
    version: ImageVersion,
    actor: User | None,
    *,
    rolling_back: bool = False,
    breaking: frozenset[str] = frozenset(),
) -> Preview:
    """Compute the Change at the branch's tip and ask every gate. Writes nothing.

    `rolling_back` asks by the rules for roll-backs; `breaking` names the gates glass would be broken for.
    """
    seen = changes.look(stage, version)
    change = seen.change
    built = rendered(stage, seen.commit, change) if change is not None and change.edits else Rendered()
    evidence.look_at_build_quietly(stage, version)
    facts = gather(
        stage,
        version,
        actor,
        change_problem=seen.problem or built.problem,
        change_is_empty=change is not None and not change.edits,
        rolling_back=rolling_back,
        breaking=breaking,
    )
    return Preview(
        seen.commit,
        change,
        refusals(Act.REQUEST, facts),
        built,
        facts.required_approvals,
        seen.choices,
        seen.disagreement,
    )


def request_promotion(
    stage: Stage,
    version: ImageVersion,
    *,
    by: User,
    reason: str,
    seen_hash: str | None = None,
    rollback_of: Promotion | None = None,
    kind: PromotionKind = PromotionKind.PROMOTION,
    when: When | None = None,
    glass: Glass | None = None,
    gives_way: bool = False,
) -> Promotion:
    """Ask for `version` to be brought to `stage`, breaking the glass where `glass` says so.

    `seen_hash` is the hash of the change the person confirmed: when it differs now, StaleState is raised
    and nothing is asked for. An open request for another version that has not begun is superseded; with
    `gives_way` somebody else's is not, and raises StaleState. The second of two equal clicks gets the
    promotion of the first.
    With `when` it begins at that time, if the gates let it then. Raises Refused.
    """
    if (same := _same_request(stage, version, by, when)) is not None:
        return _with_glass(same, glass, by, seen_hash)
    breaking = emergency.allowed(stage, glass, by) if glass is not None else frozenset()
    rolling_back = kind == PromotionKind.ROLLBACK
    seen = preview(stage, version, by, rolling_back=rolling_back, breaking=breaking)
    if (refused := stopping(seen.refusals)) or seen.change is None:
        # The first of two clicks may have committed while the second looked at the gates.
        if (same := _same_request(stage, version, by, when)) is not None:
            return _with_glass(same, glass, by, seen_hash)
        raise Refused(refused)
    if seen_hash is not None and seen_hash != seen.change.hash:
        raise StaleState(_("The manifests changed since you saw this change. Look at it again."))
    with transaction.atomic():
        # One request at a time per Stage: the second of two at the same moment sees what the first made.
        Stage.objects.select_for_update(no_key=True).get(pk=stage.pk)
        if (same := _same_request(stage, version, by, when)) is not None:
            return _with_glass(same, glass, by, seen_hash)
        facts = gather(stage, version, by, rolling_back=rolling_back, breaking=breaking)
        if refused := stopping(refusals(Act.REQUEST, facts)):
            raise Refused(refused)
        supersede_waiting(stage, by, gives_way=gives_way)
        promotion = create(stage, version, seen, by, reason, kind, when=when, rollback_of=rollback_of)
        if glass is not None:
            emergency.keep(promotion, glass, by)
        let_go(promotion)
    engine.wake(promotion)
    return promotion


def _with_glass(same: Promotion, glass: Glass | None, by: User, seen_hash: str | None) -> Promotion:
    if glass is not None:
        emergency.break_glass(same, glass, by=by, change_hash=seen_hash or same.change_hash)
    return same


def _same_request(stage: Stage, version: ImageVersion, by: User, when: When | None) -> Promotion | None:
    same = stage.promotions.open().filter(version=version, requested_by=by)
    at_that_time = Q(schedule__not_before=when.not_before) if when else Q(schedule=None)
    return same.filter(at_that_time, status__in=(Status.REQUESTED, Status.APPROVED)).first()


def supersede_waiting(stage: Stage, by: User, *, gives_way: bool = False) -> None:
    """Let the Stage's open promotion give way to a newer one. Raises StaleState when it can't any more."""
    message = _("A newer promotion to this stage was requested.")
    # The row's lock waits for a write under way; then what was in line has begun.
    for waiting in stage.promotions.open().select_for_update():
        if gives_way and waiting.requested_by_id != by.pk:
            raise StaleState(_("Promotion #%(number)d is open already.") % {"number": waiting.pk})
        if waiting.status == Status.RUNNING and not waiting.waits_in_line:
            raise StaleState(_("Promotion #%(number)d has just begun to write.") % {"number": waiting.pk})
        if waiting.release is not None:
            raise StaleState(
                _("%(stage)s is part of %(release)s: abort that first.")
                % {"stage": stage, "release": waiting.release}
            )
        transition(waiting, Status.SUPERSEDED, by=by, message=message, look_at=None)
        engine.close_open_steps(waiting, message)


def create(
    stage: Stage,
    version: ImageVersion,
    seen: Preview,
    by: User,
    reason: str,
    kind: PromotionKind,
    *,
    when: When | None = None,
    **fields: Any,
) -> Promotion:
    """Write down a request whose gates were asked; further fields are the promotion's own."""
    assert seen.change is not None
    state = StageState.objects.filter(stage=stage).first()
    promotion = Promotion.objects.create(
        stage=stage,
        version=version,
        from_version=state.desired_version if state else None,
        kind=kind,
        reason=reason.strip(),
        requested_by=by,
        requested_by_name=person_name(by),
        base_commit=seen.base_commit,
        rendered_diff=seen.rendered.diff,
        rendered_note=seen.rendered.note,
        **change_fields(seen.change),
        **fields,
    )
    record("promotion.requested", subject=promotion, by=by, promotion=promotion, reason=reason.strip())
    if when is not None:
        scheduling.keep(promotion, when, by=by)
    announce_promotion(promotion)
    if promotion.from_version is not None:
        # Approvers read what is in it; who wrote it may be barred from approving.
        comparisons.want(stage.application, promotion.from_version.commit, version.commit)
    return promotion


def let_go(promotion: Promotion) -> None:
    """What needs nobody's approval goes on at once."""
    facts = gather(promotion.stage, promotion.version, None, promotion=promotion)
    if lacking(facts):
        tell(promotion, Status.REQUESTED, by=promotion.requested_by_name)
        return
    message = _("This environment asks for no approval.")
    if "approvals" in facts.skipped:
        message = _("The glass is broken: no approval is waited for.")
    elif promotion.stage.environment.required_approvals:
        message = _("This environment asks for no approval of roll-backs.")
    transition(promotion, Status.APPROVED, by=None, message=message)


def change_fields(change: Change) -> dict[str, object]:
    """Return a Change as the Promotion's fields."""
    return {
        "change_hash": change.hash,
        "diff": change.diff,
        "edits": [
            {"file": edit.file, "key": edit.key, "old": edit.old, "new": edit.new} for edit in change.edits
        ],
    }


def approve(promotion: Promotion, *, by: User, change_hash: str, comment: str = "") -> None:
    """Approve exactly the change with this hash.

    With the last approval that the environment asks for, the promotion goes on. The second of two equal
    clicks changes nothing. Raises Refused, and StaleState when the promotion or its change is no longer
    what the person saw.
    """
    _goes_alone(promotion)
    with transaction.atomic():
        held = hold(promotion)
        if _has_said_so(held, by, Decision.APPROVED, change_hash):
            return
        approve_held(held, by, change_hash, comment)
    promotion.refresh_from_db()
    engine.wake(promotion)


def approve_held(held: Promotion, by: User, change_hash: str, comment: str) -> None:
    """Approve a promotion whose row is held; with the last approval it is about to begin."""
    _decide(held, by, Decision.APPROVED, change_hash, comment)
    facts = gather(held.stage, held.version, by, promotion=held)
    if not lacking(facts):
        transition(held, Status.APPROVED, by=by, message=_("Approved; about to begin."))


def _goes_alone(promotion: Promotion) -> None:
    """What belongs to a Release that has not ended is decided, stopped and tried again with it."""
    if promotion.release is not None:
        message = _("Promotion #%(number)d goes with %(release)s: act on the release.")
        words = {"number": promotion.pk, "release": promotion.release}
        raise Refused([Refusal(RELEASE, message % words, _("you, on the release's page"))])


def reject(promotion: Promotion, *, by: User, change_hash: str, comment: str) -> None:
    """Reject the change; the comment says why. A second equal click changes nothing. Raises as `approve`."""
    _goes_alone(promotion)
    with transaction.atomic():
        held = hold(promotion)
        if _has_said_so(held, by, Decision.REJECTED, change_hash):
            return
        reject_held(held, by, change_hash, comment)
    promotion.refresh_from_db()


def reject_held(held: Promotion, by: User, change_hash: str, comment: str) -> None:
    """Reject a promotion whose row is held."""
    _decide(held, by, Decision.REJECTED, change_hash, comment)
    message = _("%(person)s rejected it: %(comment)s") % {
        "person": person_name(by),
        "comment": comment.strip() or "–",
    }
    transition(held, Status.REJECTED, by=by, message=message)


def hold(promotion: Promotion) -> Promotion:
    """Lock the promotion's row, so that of two decisions at one moment the second sees the first."""
    return (
        Promotion.objects.select_for_update(of=("self",))
        .select_related("stage__application", "stage__environment", "version__image", "release")
        .get(pk=promotion.pk)
    )


def _has_said_so(held: Promotion, by: User, decision: Decision, change_hash: str) -> bool:
    return held.approvals.filter(
        person=by, decision=decision, change_hash=change_hash, fallen_at=None
    ).exists()


def _decide(held: Promotion, by: User, decision: Decision, change_hash: str, comment: str) -> None:
    engine.let_old_approvals_fall(held)
    facts = gather(held.stage, held.version, by, promotion=held)
    if refused := refusals(Act.APPROVE, facts):
        raise Refused(refused)
    if held.status != Status.REQUESTED:
        raise StaleState(
            _("Promotion #%(number)d is not waiting for approval: it is %(status)s.")
            % {"number": held.pk, "status": Status(held.status).label}
        )
    if change_hash != held.change_hash:
        raise StaleState(_("The change is no longer the one you saw. Look at the new difference first."))
    Approval.objects.create(
        promotion=held,
        person=by,
        person_name=person_name(by),
        decision=decision,
        comment=comment.strip(),
        change_hash=change_hash,
    )
    record(f"approval.{decision}", subject=held, by=by, promotion=held, comment=comment.strip())
    announce_promotion(held)


def abort(promotion: Promotion, *, by: User, reason: str) -> None:
    """Stop a promotion before its next outside effect. What was already written stays written."""
    _goes_alone(promotion)
    must_act(promotion, by)
    stop(promotion, by, reason)


def stop(promotion: Promotion, by: User, reason: str) -> None:
    """Abort an open promotion. Raises StaleState when it has ended."""
    if not promotion.is_open:
        raise StaleState(_("Promotion #%(number)d has already ended.") % {"number": promotion.pk})
    message = _("%(person)s aborted it: %(reason)s") % {
        "person": person_name(by),
        "reason": reason.strip() or "–",
    }
    with transaction.atomic():
        transition(promotion, Status.ABORTED, by=by, message=message)
        engine.close_open_steps(promotion, message)


def retry(promotion: Promotion, *, by: User) -> None:
    """Resume a failed or errored promotion at the step that ended it. Raises Refused and StaleState."""
    _goes_alone(promotion)
    resume(promotion, by)


def resume(promotion: Promotion, by: User) -> None:
    """Try again, alone or with a Release. Raises Refused and StaleState."""
    must_act(promotion, by)
    if not promotion.is_retryable:
        raise StaleState(
            _("Promotion #%(number)d can't be tried again: it is %(status)s.")
            % {"number": promotion.pk, "status": Status(promotion.status).label}
        )
    facts = gather(promotion.stage, promotion.version, by, promotion=promotion)
    if refused := [*hopeless(promotion, facts), *_other_is_open(promotion)]:
        raise Refused(refused)
    try:
        with transaction.atomic():
            scheduling.release(promotion)
            transition(
                promotion,
                # One that ended before its first step has none to resume: it begins.
                Status.RUNNING if promotion.step else Status.APPROVED,
                by=by,
                message=_("Tried again."),
                attempt=promotion.attempt + 1,
                look_at=timezone.now(),
                # A merge request that somebody closed is not opened again: another one takes its place.
                **({"merge_request_iid": None, "merge_request_url": ""} if promotion.step == "merge" else {}),
            )
    except IntegrityError as error:
        raise StaleState(_("Another promotion to this stage was requested at the same moment.")) from error
    engine.wake(promotion)


def hopeless(promotion: Promotion, facts: Facts) -> list[Refusal]:
    """Return why an ended promotion can't be tried again: what it could wait for does not count.

    An approval can't be given to one that has ended; a locked place takes nothing that does not run.
    """
    found = refusals(act_of(promotion), facts)
    return [refusal for refusal in found if not refusal.waits or refusal.gate in _LOST]


def _other_is_open(promotion: Promotion) -> list[Refusal]:
    other = promotion.stage.promotions.open().exclude(pk=promotion.pk).first()
    if other is None:
        return []
    return [
        Refusal(
            "in-progress",
            _("Promotion #%(number)d to this stage is open.") % {"number": other.pk},
            other.requested_by_name,
        )
    ]


def must_act(promotion: Promotion, by: User) -> None:
    """Raise Refused for who is no developer of the Stage."""
    if not holds(by, Role.DEVELOPER, promotion.stage):
        facts = gather(promotion.stage, promotion.version, by, promotion=promotion)
        raise Refused([refusal for refusal in refusals(Act.REQUEST, facts) if refusal.gate == "role"])


def rollback_target(promotion: Promotion) -> ImageVersion | None:
    """Return the version the Stage was promoted from, which a roll-back would bring back."""
    return promotion.from_version


def roll_back(promotion: Promotion, *, by: User, reason: str, seen_hash: str | None = None) -> Promotion:
    """Request the promotion of the version this one replaced: a promotion with its own diff and approval."""
    target = rollback_target(promotion)
    if target is None:
        raise Refused(
            [
                Refusal(
                    "rollback",
                    _("What ran before promotion #%(number)d is not a known version.")
                    % {"number": promotion.pk},
                    _("a developer, by promoting a version"),
                )
            ]
        )
    return request_promotion(
        promotion.stage,
        target,
        by=by,
        reason=reason,
        seen_hash=seen_hash,
        rollback_of=promotion,
        kind=PromotionKind.ROLLBACK,
    )


def refresh_change(promotion: Promotion) -> str:
    """Compute a waiting promotion's change at the tip again; return the problem, or "".

    When it differs, the approvals given to the old one fall (design.md section 4). Called when the
    branch moved, so that approvers see today's difference.
    """
    try:
        commit = changes.tip(promotion.stage)
        change = changes.compute(promotion.stage, promotion.version, commit=commit)
    except (changes.NoChange, IntegrationError) as error:
        return str(error)
    engine.replace_change(promotion, commit, change)
    return ""


def latest_step(promotion: Promotion) -> StepResult | None:
    return promotion.steps.last()
