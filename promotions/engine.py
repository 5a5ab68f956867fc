"""Advance promotions. Level-triggered: "look at promotion 7" may be said any number of times.

Everything it knows stands in the tables, so any worker can go on where a killed one stopped. Nothing
sleeps here: waiting is a result with a time to look again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from integrations.errors import IntegrationError, Unavailable
from promotions import changes, evidence, looks, scheduling
from promotions.choices import Decision, PromotionStatus, StepName, StepStatus
from promotions.manifests import Change
from promotions.models import Promotion, StageState, StepResult, companions
from promotions.policy import Act, Refusal, gather, lacking, refusals
from promotions.policy.releases import RELEASE
from promotions.policy.rules import Rules
from promotions.steps import STEPS, Again, Differs, Done, Failed, Outcome, Waiting, plan
from promotions.steps.guard import Held, act_of
from promotions.steps.turns import next_in_line
from promotions.steps.write import branch_name
from promotions.workflow import StaleState, announce_promotion, record, transition

log = structlog.get_logger(__name__)
Status = PromotionStatus

_MOST_STEPS_A_LOOK = 20
_LONGEST_BACK_OFF = 60.0
# How long an unreachable vendor is waited for before the promotion ends errored (it can be retried).
_OUTAGE_PATIENCE = timedelta(minutes=30)
# How long a closed gate (a lock, a freeze, a pending check) is waited for before it ends errored.
_GATE_PATIENCE = timedelta(days=14)
_GATE_LOOKS = 30.0
# What was seen outside (image, scan, pipeline, GitLab's freezes) counts so long at the moment of the write.
_FRESH_FOR = 10.0


def wake(promotion: Promotion) -> None:
    """Have the promotion looked at now, once the current transaction has committed."""
    pk, stage_id = promotion.pk, promotion.stage_id
    # Robust: what was committed is done, and the sweep finds what was not queued.
    transaction.on_commit(lambda: _defer(pk, stage_id, wait=0), robust=True)


def _defer(pk: int, stage_id: int, *, wait: float) -> None:
    """Queue a look. A later look must never keep an immediate one away.

    So it has a queueing lock of its own, and a lower priority: procrastinate lets jobs of one lock
    overtake only those of lower priority, also while these wait for their time.
    """
    job = app.configure_task(
        "promotions.advance",
        lock=f"stage:{stage_id}",
        queueing_lock=f"promotion:{pk}" if wait <= 0 else f"promotion-later:{pk}",
        schedule_at=timezone.now() + timedelta(seconds=wait) if wait > 0 else None,
        priority=0 if wait <= 0 else -1,
    )
    try:
        job.defer(promotion_id=pk)
    except AlreadyEnqueued:
        log.debug("a look is queued already", promotion=pk)


def advance(promotion_id: int) -> None:
    """Look at one promotion: begin it when it may, run its steps until one waits or it ends."""
    for _turn in range(_MOST_STEPS_A_LOOK):
        promotion = _load(promotion_id)
        try:
            if promotion.status == Status.APPROVED:
                if not _begin(promotion):
                    return
            elif promotion.status == Status.REQUESTED:
                if not _let_begin(promotion):
                    return
            elif promotion.status != Status.RUNNING or not _take_step(promotion):
                return
        except StaleState as stale:
            log.info("someone else moved it on", promotion=promotion_id, reason=str(stale))
    wake(_load(promotion_id))


def _load(promotion_id: int) -> Promotion:
    # What else a step needs it reads: joined here it took the database longer than all other questions.
    return Promotion.objects.with_stage().get(pk=promotion_id)


def _begin(promotion: Promotion) -> bool:
    """Take the first step if every gate lets it; tell whether to go on at once."""
    facts = gather(promotion.stage, promotion.version, None, promotion=promotion)
    if refused := refusals(Act.RUN, facts):
        if left := scheduling.heed(promotion, refused):
            _stay_back(promotion, left)
        return False
    first = plan(promotion.stage)[0]
    transition(promotion, Status.RUNNING, by=None, message=_("Begun."), step=first, look_at=timezone.now())
    return True


def _let_begin(promotion: Promotion) -> bool:
    """Approve what waits although its quorum is there; tell whether it was so."""
    facts = gather(promotion.stage, promotion.version, None, promotion=promotion)
    if not facts.approved_by or lacking(facts):
        return False
    transition(promotion, Status.APPROVED, by=None, message=_("Approved; about to begin."))
    return True


def _stay_back(promotion: Promotion, refused: list[Refusal]) -> None:
    """What time or people can still give is waited for; anything else ends it, to be tried again."""
    sentence = _sentence(refused)
    overdue = timezone.now() - promotion.status_at > _GATE_PATIENCE
    # Before its turn in a release the other gates may still change their minds: what goes first opens them.
    early = [refusal for refusal in refused if refusal.gate == RELEASE]
    if overdue or not all(refusal.waits for refusal in early or refused):
        transition(promotion, Status.ERRORED, by=None, message=sentence, look_at=None)
    elif _lacks_approvals(refused):
        _ask_approvers_again(promotion, sentence)
    else:
        sentence = _sentence(early) or sentence
        look_at = timezone.now() + timedelta(seconds=_pause(refused))
        same = Promotion.objects.filter(pk=promotion.pk, status=Status.APPROVED)
        same.update(message=sentence, look_at=look_at)
        if promotion.message != sentence:
            announce_promotion(promotion)


def _sentence(refused: list[Refusal]) -> str:
    return " ".join(refusal.message for refusal in refused)


def _lacks_approvals(refused: list[Refusal]) -> bool:
    return any(refusal.gate == "approvals" for refusal in refused)


def _pause(refused: list[Refusal]) -> float:
    """Look again when the last known end has come, and now and then in between: a gate may open early."""
    ends = [refusal.until for refusal in refused if refusal.until is not None]
    left = (max(ends) - timezone.now()).total_seconds() if ends else _GATE_LOOKS
    return min(max(left, 1.0), _GATE_LOOKS)


def _ask_approvers_again(promotion: Promotion, sentence: str) -> None:
    """An approval ceased to count before the change reached its branch: wait for another one."""
    message = _("%(why)s It waits for approval again.") % {"why": sentence}
    with transaction.atomic():
        let_old_approvals_fall(promotion)
        close_open_steps(promotion, message)
        attempt = promotion.attempt + (1 if promotion.step else 0)
        transition(
            promotion, Status.REQUESTED, by=None, message=message, step="", look_at=None, attempt=attempt
        )


def let_old_approvals_fall(promotion: Promotion) -> None:
    """Take expired approvals out of the way, so that their people can approve again."""
    expire = Rules.of(promotion.stage.environment.policy).approvals_expire
    if expire is None:
        return
    old = promotion.approvals.filter(
        fallen_at=None, decision=Decision.APPROVED, at__lte=timezone.now() - expire
    )
    because = _("It was given too long ago.")
    if old.update(fallen_at=timezone.now(), fallen_because=because):
        record("approval.fallen", subject=promotion, by=None, promotion=promotion, message=because)


def _take_step(promotion: Promotion) -> bool:
    """Run the current step once; tell whether to go on at once."""
    step = STEPS[StepName(promotion.step)]
    result, _new = StepResult.objects.get_or_create(
        promotion=promotion, step=promotion.step, attempt=promotion.attempt
    )
    try:
        # Who waits for others to write is asked when its turn comes: then nothing else may be in the way.
        if not _stands_in_line(promotion, result):
            if promotion.step == StepName.WRITE:
                _look_afresh(promotion, result)
            facts = gather(promotion.stage, promotion.version, None, promotion=promotion)
            if refused := refusals(act_of(promotion), facts):
                return _halt(promotion, result, refused)
        _go_on(result)
        outcome = step.run(promotion, result)
    except Held as held:
        return _halt(promotion, result, held.refusals)
    except Unavailable as error:
        return _back_off(promotion, result, error)
    except (IntegrationError, changes.NoChange) as error:
        _end(promotion, result, Status.ERRORED, str(error))
        return False
    waited = timezone.now() - result.started_at - timedelta(seconds=result.data.get("held", 0))
    if isinstance(outcome, Waiting) and waited > step.patience:
        outcome = Failed(_("Waited too long. %(last)s") % {"last": outcome.message}, link=outcome.link)
    return _apply(promotion, result, outcome)


def _stands_in_line(promotion: Promotion, result: StepResult) -> bool:
    if promotion.step != StepName.WRITE or not result.data.get("lane"):
        return False
    first = next_in_line(promotion.stage, branch_name(promotion))
    return first is not None and first.pk != promotion.pk


def _look_afresh(promotion: Promotion, result: StepResult) -> None:
    """See what may have changed outside since the approval."""
    now = timezone.now().timestamp()
    if now - result.data.get("looked_afresh_at", 0) < _FRESH_FOR:
        return
    for each in companions(promotion):
        evidence.before_writing(each.stage, each.version)
    result.data["looked_afresh_at"] = now


def _halt(promotion: Promotion, result: StepResult, refused: list[Refusal]) -> bool:
    """A gate closed before the step's next outside effect: wait for it, if waiting can help."""
    if not all(refusal.waits for refusal in refused):
        _end(promotion, result, Status.ERRORED, _sentence(refused))
        return False
    if _lacks_approvals(refused):
        _ask_approvers_again(promotion, _sentence(refused))
        return False
    since = result.data.get("held_since") or timezone.now().timestamp()
    if timezone.now().timestamp() - since > _GATE_PATIENCE.total_seconds():
        _end(promotion, result, Status.ERRORED, _sentence(refused))
        return False
    # What holds it may have been seen outside: the next look sees it anew.
    data = {"held_since": since, "looked_afresh_at": 0}
    held = Waiting(_sentence(refused), look_in=_pause(refused), data=data)
    return _wait(promotion, result, held)


def _go_on(result: StepResult) -> None:
    """The time a gate held the step does not count against its patience."""
    if since := result.data.pop("held_since", None):
        result.data["held"] = result.data.get("held", 0) + timezone.now().timestamp() - since


def _apply(promotion: Promotion, result: StepResult, outcome: Outcome) -> bool:
    match outcome:
        case Done():
            return _finish_step(promotion, result, outcome)
        case Waiting():
            return _wait(promotion, result, outcome)
        case Failed():
            _end(promotion, result, Status.FAILED, outcome.message, outcome.link)
            return False
        case Differs():
            replace_change(outcome.whose, outcome.base_commit, outcome.change)
            # Of a release somebody else's approvals fell: this one now waits for them.
            return outcome.whose.pk != promotion.pk
        case Again():
            return _go_back(promotion, result, outcome)


def _finish_step(promotion: Promotion, result: StepResult, done: Done) -> bool:
    order = plan(promotion.stage)
    index = order.index(StepName(promotion.step)) + 1
    if promotion.step in (StepName.WRITE, StepName.MERGE):
        _call_next(promotion)
    with transaction.atomic():
        _close(result, StepStatus.SUCCEEDED, done.message, done.link)
        _call_release(promotion)
        if done.fields.get("target_commit"):
            # It is on the manifest branch: what Git says shows it at once, whoever tells of pushes.
            looks.at_branch(promotion.stage)
        if index < len(order):
            _set(promotion, {**done.fields, "step": order[index], "message": done.message})
            return True
        _set(promotion, done.fields)
        transition(promotion, Status.SUCCEEDED, by=None, message=done.message, look_at=None)
        StageState.objects.update_or_create(stage=promotion.stage, defaults={"promoted": promotion})
    return False


def _go_back(promotion: Promotion, result: StepResult, again: Again) -> bool:
    """A new attempt, so that each step's result stays to be read."""
    with transaction.atomic():
        _close(result, StepStatus.FAILED, again.message)
        _set(
            promotion,
            {
                **again.fields,
                "step": again.step,
                "message": again.message,
                "attempt": promotion.attempt + 1,
                "look_at": timezone.now(),
            },
        )
    return True


def _call_next(promotion: Promotion) -> None:
    """The branch is free: who has waited longest for it need not wait for the clock."""
    follower = next_in_line(promotion.stage, branch_name(promotion))
    if follower is not None:
        _defer(follower.pk, follower.stage_id, wait=0)


def _call_release(promotion: Promotion) -> None:
    """Whoever waits in the same release for this step need not wait for the clock."""
    if promotion.release is None:
        return
    for other in promotion.release.promotions.open().exclude(pk=promotion.pk):
        wake(other)


def _wait(promotion: Promotion, result: StepResult, waiting: Waiting) -> bool:
    look_at = timezone.now() + timedelta(seconds=waiting.look_in)
    with transaction.atomic():
        changed = (result.status, result.message, result.link) != (
            StepStatus.WAITING,
            waiting.message,
            waiting.link,
        )
        result.status, result.message, result.link = StepStatus.WAITING, waiting.message, waiting.link
        result.data = {**result.data, **waiting.data, "outages": 0}
        result.save(update_fields=["status", "message", "link", "data"])
        _set(promotion, {**waiting.fields, "message": waiting.message, "look_at": look_at}, tell=changed)
    if waiting.look_in <= 0:
        return True
    _defer(promotion.pk, promotion.stage_id, wait=waiting.look_in)
    return False


def _back_off(promotion: Promotion, result: StepResult, error: Unavailable) -> bool:
    """The vendor gave no usable answer: look again, ever more rarely, for a bounded time."""
    count = int(result.data.get("outages", 0)) + 1
    since = result.data.get("outage_since") if count > 1 else None
    since = since or timezone.now().timestamp()
    if timezone.now().timestamp() - since > _OUTAGE_PATIENCE.total_seconds():
        _end(promotion, result, Status.ERRORED, str(error))
        return False
    pause = error.retry_after or min(_LONGEST_BACK_OFF, 0.5 * 2**count)
    message = _("%(error)s Trying again.") % {"error": error}
    _wait(promotion, result, Waiting(message, look_in=min(pause, _LONGEST_BACK_OFF)))
    result.data |= {"outages": count, "outage_since": since}
    result.save(update_fields=["data"])
    return False


def _set(promotion: Promotion, fields: Mapping[str, Any], *, tell: bool = True) -> None:
    """Change a running promotion's fields, if it still runs this attempt."""
    running = Promotion.objects.filter(
        pk=promotion.pk, status=Status.RUNNING, attempt=promotion.attempt, step=promotion.step
    )
    if not running.update(**(fields or {"look_at": timezone.now()})):
        raise StaleState(_("Promotion #%(number)d is no longer running.") % {"number": promotion.pk})
    for name, value in fields.items():
        setattr(promotion, name, value)
    if tell:
        announce_promotion(promotion)


def _close(result: StepResult, status: StepStatus, message: str, link: str = "") -> None:
    result.status, result.message, result.finished_at = status, message, timezone.now()
    result.link = link or result.link
    result.save(update_fields=["status", "message", "link", "finished_at"])


def _end(
    promotion: Promotion, result: StepResult, status: PromotionStatus, message: str, link: str = ""
) -> None:
    with transaction.atomic():
        step_status = StepStatus.FAILED if status == Status.FAILED else StepStatus.ERRORED
        _close(result, step_status, message, link)
        transition(promotion, status, by=None, message=message, look_at=None)
        _call_release(promotion)


def close_open_steps(promotion: Promotion, message: str) -> None:
    """End the step an aborted promotion was in."""
    promotion.steps.filter(finished_at=None).update(
        status=StepStatus.ABORTED, message=message, finished_at=timezone.now()
    )


def replace_change(promotion: Promotion, base_commit: str, change: Change) -> None:
    """Keep the Change as computed at a new tip; when it is another change, the approvals fall.

    Raises StaleState when the promotion is no longer waiting or at its writing step.
    """
    if change.hash == promotion.change_hash:
        # Only the surroundings moved: the approvals stand. The old base stays, so that the search for
        # our trailer still covers everything since the request.
        return
    fields = {
        "base_commit": base_commit,
        "previous_diff": promotion.diff,
        # It was built for the old change; nobody may take it for the new one's.
        "rendered_diff": "",
        "rendered_note": _("The change is another one since its result was built."),
        "change_hash": change.hash,
        "diff": change.diff,
        "edits": [
            {"file": edit.file, "key": edit.key, "old": edit.old, "new": edit.new} for edit in change.edits
        ],
    }
    message = _("The manifests changed, so this is another change than the approved one: look at it again.")
    with transaction.atomic():
        _let_approvals_fall(promotion, message)
        if promotion.status == Status.REQUESTED:
            _replace_waiting(promotion, fields)
        else:
            close_open_steps(promotion, message)
            transition(
                promotion,
                Status.REQUESTED,
                by=None,
                message=message,
                step="",
                look_at=None,
                attempt=promotion.attempt + 1,
                **fields,
            )


def _let_approvals_fall(promotion: Promotion, because: str) -> None:
    standing = promotion.approvals.filter(fallen_at=None, decision=Decision.APPROVED)
    if standing.update(fallen_at=timezone.now(), fallen_because=because):
        record("approval.fallen", subject=promotion, by=None, promotion=promotion, message=because)


def _replace_waiting(promotion: Promotion, fields: dict[str, Any]) -> None:
    message = _("The manifests changed since this was requested: this is the change as it is now.")
    waiting = Promotion.objects.filter(pk=promotion.pk, status=Status.REQUESTED)
    if not waiting.update(**fields, message=message):
        raise StaleState(_("Promotion #%(number)d is no longer waiting.") % {"number": promotion.pk})
    for name, value in fields.items():
        setattr(promotion, name, value)
    announce_promotion(promotion)


def sweep() -> int:
    """Queue a look at every promotion that is due: whatever no job was left for. Return how many."""
    now = timezone.now()
    due = Promotion.objects.filter(
        Q(status=Status.APPROVED, look_at=None)
        | Q(status__in=(Status.APPROVED, Status.RUNNING), look_at__lte=now)
        # A quorum that was lost may be whole again: a role came back, a rule was eased.
        | Q(status=Status.REQUESTED, approvals__fallen_at=None, approvals__decision=Decision.APPROVED)
    ).distinct()
    for promotion in due:
        _defer(promotion.pk, promotion.stage_id, wait=0)
    return len(due)


def poison(promotion_id: int, error: Exception) -> None:
    """A defect of ours stopped a promotion: end it errored, so that it is seen and can be retried."""
    promotion = _load(promotion_id)
    if promotion.status not in (Status.RUNNING, Status.APPROVED):
        return
    message = _("Slipway failed at this step: %(error)s. The log has the details.") % {
        "error": f"{type(error).__name__}"
    }
    try:
        close_open_steps(promotion, message)
        transition(promotion, Status.ERRORED, by=None, message=message, look_at=None)
    except (StaleState, IntegrityError):
        log.info("it had moved on", promotion=promotion_id)
