"""What people do to promotions. Each is one call from a view or the API: checked, recorded, announced."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.errors import IntegrationError
from promotions import changes, comparisons, engine, evidence
from promotions.choices import Decision, PromotionKind, PromotionStatus, Role
from promotions.manifests import Change
from promotions.models import Approval, ImageVersion, Promotion, Stage, StageState, StepResult
from promotions.notifications import tell
from promotions.policy import Act, Facts, Refusal, Refused, gather, refusals, stopping
from promotions.policy.access import holds
from promotions.policy.rules import Rules
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
    choices: tuple[changes.Choice, ...] = ()
    disagreement: str = ""


def preview(stage: Stage, version: ImageVersion, actor: User | None) -> Preview:
    """Compute the Change at the branch's tip and ask every gate. Writes nothing."""
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
    )
    why_not = refusals(Act.REQUEST, facts)
    return Preview(seen.commit, change, why_not, built, seen.choices, seen.disagreement)


def request_promotion(
    stage: Stage,
    version: ImageVersion,
    *,
    by: User,
    reason: str,
    seen_hash: str | None = None,
    rollback_of: Promotion | None = None,
    kind: PromotionKind = PromotionKind.PROMOTION,
) -> Promotion:
    """Ask for `version` to be brought to `stage`.

    `seen_hash` is the hash of the change the person confirmed: when it differs now, StaleState is raised
    and nothing is asked for. An open request for another version that has not begun is superseded. The
    second of two equal clicks gets the promotion of the first. Raises Refused.
    """
    if (same := _same_request(stage, version, by)) is not None:
        return same
    seen = preview(stage, version, by)
    if (refused := stopping(seen.refusals)) or seen.change is None:
        # The first of two clicks may have committed while the second looked at the gates.
        if (same := _same_request(stage, version, by)) is not None:
            return same
        raise Refused(refused)
    if seen_hash is not None and seen_hash != seen.change.hash:
        raise StaleState(_("The manifests changed since you saw this change. Look at it again."))
    with transaction.atomic():
        # One request at a time per Stage: the second of two at the same moment sees what the first made.
        Stage.objects.select_for_update(no_key=True).get(pk=stage.pk)
        if (same := _same_request(stage, version, by)) is not None:
            return same
        if refused := stopping(refusals(Act.REQUEST, gather(stage, version, by))):
            raise Refused(refused)
        _supersede_waiting(stage, by)
        promotion = _create(stage, version, seen, by, reason, kind, rollback_of)
    engine.wake(promotion)
    return promotion


def _same_request(stage: Stage, version: ImageVersion, by: User) -> Promotion | None:
    return (
        stage.promotions.open()
        .for_pages()
        .filter(version=version, requested_by=by, status__in=(Status.REQUESTED, Status.APPROVED))
        .first()
    )


def _supersede_waiting(stage: Stage, by: User) -> None:
    message = _("A newer promotion to this stage was requested.")
    # The row's lock waits for a write under way; then what was in line has begun.
    for waiting in stage.promotions.open().select_for_update():
        if waiting.status == Status.RUNNING and not waiting.waits_in_line:
            raise StaleState(_("Promotion #%(number)d has just begun to write.") % {"number": waiting.pk})
        transition(waiting, Status.SUPERSEDED, by=by, message=message, look_at=None)
        engine.close_open_steps(waiting, message)


def _create(
    stage: Stage,
    version: ImageVersion,
    seen: Preview,
    by: User,
    reason: str,
    kind: PromotionKind,
    rollback_of: Promotion | None,
) -> Promotion:
    assert seen.change is not None
    rules = Rules.of(stage.environment.policy)
    state = StageState.objects.filter(stage=stage).first()
    promotion = Promotion.objects.create(
        stage=stage,
        version=version,
        from_version=state.desired_version if state else None,
        kind=kind,
        rollback_of=rollback_of,
        reason=reason.strip(),
        requested_by=by,
        requested_by_name=person_name(by),
        base_commit=seen.base_commit,
        rendered_diff=seen.rendered.diff,
        rendered_note=seen.rendered.note,
        **change_fields(seen.change),
    )
    tell(promotion, Status.REQUESTED, by=person_name(by))
    record("promotion.requested", subject=promotion, by=by, promotion=promotion, reason=reason.strip())
    announce_promotion(promotion)
    if promotion.from_version is not None:
        # Approvers read what is in it; who wrote it may be barred from approving.
        comparisons.want(stage.application, promotion.from_version.commit, version.commit)
    if not stage.environment.required_approvals and not rules.approvals:
        transition(promotion, Status.APPROVED, by=None, message=_("This environment asks for no approval."))
    return promotion


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
    with transaction.atomic():
        held = _hold(promotion)
        if _has_said_so(held, by, Decision.APPROVED, change_hash):
            return
        _decide(held, by, Decision.APPROVED, change_hash, comment)
        facts = gather(held.stage, held.version, by, promotion=held)
        if not [refusal for refusal in refusals(Act.RUN, facts) if refusal.gate == "approvals"]:
            transition(held, Status.APPROVED, by=by, message=_("Approved; about to begin."))
    promotion.refresh_from_db()
    engine.wake(promotion)


def reject(promotion: Promotion, *, by: User, change_hash: str, comment: str) -> None:
    """Reject the change; the comment says why. A second equal click changes nothing. Raises as `approve`."""
    with transaction.atomic():
        held = _hold(promotion)
        if _has_said_so(held, by, Decision.REJECTED, change_hash):
            return
        _decide(held, by, Decision.REJECTED, change_hash, comment)
        message = _("%(person)s rejected it: %(comment)s") % {
            "person": person_name(by),
            "comment": comment.strip() or "–",
        }
        transition(held, Status.REJECTED, by=by, message=message)
    promotion.refresh_from_db()


def _hold(promotion: Promotion) -> Promotion:
    """Lock the promotion's row, so that of two decisions at one moment the second sees the first."""
    return (
        Promotion.objects.select_for_update(of=("self",))
        .select_related("stage__application", "stage__environment", "version__image")
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
    _must_act(promotion, by)
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
    _must_act(promotion, by)
    if not promotion.is_retryable:
        raise StaleState(
            _("Promotion #%(number)d can't be tried again: it is %(status)s.")
            % {"number": promotion.pk, "status": Status(promotion.status).label}
        )
    facts = gather(promotion.stage, promotion.version, by, promotion=promotion)
    if refused := [*hopeless(promotion, facts), *_other_is_open(promotion)]:
        raise Refused(refused)
    try:
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


def _must_act(promotion: Promotion, by: User) -> None:
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
