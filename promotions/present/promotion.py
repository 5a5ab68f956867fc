"""One promotion whole: the change, the gates, who decided, what was done, what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext_lazy

from promotions import scheduling
from promotions.choices import PromotionStatus, StepName
from promotions.models import (
    Approval,
    AuditEntry,
    AutomaticRollback,
    BreakGlass,
    CheckResult,
    FreezeException,
    Promotion,
    ReviewTask,
    Schedule,
    StepResult,
)
from promotions.policy import Refusal, gather, refusals
from promotions.policy.rules import Rules
from promotions.present.commits import Contents, contents
from promotions.present.diff import DiffFile, parse_diff
from promotions.present.links import safe_url
from promotions.present.marks import Mark, check_mark, decision_mark, promotion_mark, step_mark
from promotions.present.promotions import title
from promotions.steps import plan
from promotions.steps.guard import act_of

_WAITING = (PromotionStatus.REQUESTED, PromotionStatus.APPROVED)


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step that was, is or will be done. `mark` is None for one that lies ahead."""

    name: str
    attempt: int
    mark: Mark | None
    message: str
    link: str
    link_text: str
    started_at: datetime | None
    seconds: float | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    approval: Approval
    mark: Mark
    is_fallen: bool


@dataclass(frozen=True, slots=True)
class CheckRow:
    """`result` is None while nothing is known of the check for this change."""

    name: str
    result: CheckResult | None
    mark: Mark
    link: str


@dataclass(frozen=True, slots=True)
class GlassRow:
    """`counts` while the change is the one it was broken for."""

    glass: BreakGlass
    review: ReviewTask
    gates: str
    counts: bool


@dataclass(frozen=True, slots=True)
class AuditRow:
    at: datetime
    actor: str
    action: str
    message: str
    url: str


@dataclass(frozen=True, slots=True)
class PromotionPage:
    promotion: Promotion
    title: str
    mark: Mark
    is_open: bool
    is_waiting: bool
    waits_since: datetime | None
    from_text: str
    files: list[DiffFile]
    previous_files: list[DiffFile]
    rendered_files: list[DiffFile]
    gates: list[Refusal]
    approvals: tuple[ApprovalRow, ...]
    checks: tuple[CheckRow, ...]
    exception: FreezeException | None
    required_approvals: int
    standing: int
    steps: tuple[StepRow, ...]
    contents: Contents
    audit: tuple[AuditRow, ...]
    merge_request_url: str
    rollback_of: Promotion | None
    rollbacks: tuple[Promotion, ...]
    schedule: str
    automatic: AutomaticRollback | None = None
    glass: tuple[GlassRow, ...] = ()


_ACTIONS = {
    "promotion.requested": gettext_lazy("requested it"),
    "promotion.scheduled": gettext_lazy("set a time for it"),
    "pin.set": gettext_lazy("pinned the stage to its version"),
    "promotion.approved": gettext_lazy("let it begin"),
    "promotion.running": gettext_lazy("began"),
    "promotion.succeeded": gettext_lazy("saw it succeed"),
    "promotion.failed": gettext_lazy("saw it fail"),
    "promotion.errored": gettext_lazy("could not go on"),
    "promotion.rejected": gettext_lazy("rejected it"),
    "promotion.aborted": gettext_lazy("aborted it"),
    "promotion.superseded": gettext_lazy("replaced it by a newer one"),
    "approval.approved": gettext_lazy("approved the change"),
    "approval.rejected": gettext_lazy("rejected the change"),
    "approval.fallen": gettext_lazy("let the approvals fall"),
    "freeze.excepted": gettext_lazy("let it go during the freeze"),
    "glass.broken": gettext_lazy("broke the glass"),
    "review.closed": gettext_lazy("reviewed the broken glass"),
    "rollback.requested": gettext_lazy("rolled back automatically"),
    "rollback.left": gettext_lazy("left the roll-back to people"),
    "check.pending": gettext_lazy("began an outside check"),
    "check.passed": gettext_lazy("passed an outside check"),
    "check.failed": gettext_lazy("failed an outside check"),
}
_LINK_TEXTS = {
    StepName.WRITE: gettext_lazy("Commit"),
    StepName.MERGE: gettext_lazy("Merge request"),
    StepName.ARRIVE: gettext_lazy("Argo CD"),
    StepName.VERIFY: gettext_lazy("Run"),
}


def page(key: str) -> PromotionPage | None:
    """Return everything about the promotion with this id, None when there is none."""
    found = Promotion.objects.for_pages().select_related("stage__image", "rollback_of")
    promotion = found.prefetch_related("steps", "approvals__person").filter(pk=key).first()
    if promotion is None:
        return None
    stage = promotion.stage
    return PromotionPage(
        promotion=promotion,
        title=title(promotion),
        mark=promotion_mark(promotion.status),
        is_open=promotion.is_open,
        is_waiting=promotion.status in _WAITING,
        waits_since=promotion.waits_since,
        from_text=promotion.from_version.label if promotion.from_version else "",
        files=parse_diff(promotion.diff),
        previous_files=_previous(promotion),
        rendered_files=parse_diff(promotion.rendered_diff),
        gates=_gates(promotion),
        approvals=tuple(_approvals(promotion)),
        checks=tuple(_checks(promotion)),
        exception=FreezeException.objects.filter(
            promotion=promotion, change_hash=promotion.change_hash
        ).first(),
        required_approvals=gather(stage, promotion.version, None, promotion=promotion).required_approvals,
        standing=len(promotion.standing_approvals()),
        steps=tuple(_steps(promotion)),
        contents=contents(stage.application, promotion.from_version, promotion.version),
        audit=tuple(_audit(promotion)),
        merge_request_url=safe_url(promotion.merge_request_url),
        rollback_of=promotion.rollback_of,
        rollbacks=tuple(promotion.rollbacks.for_pages()),
        schedule=_schedule(promotion),
        automatic=AutomaticRollback.objects.filter(promotion=promotion).first(),
        glass=tuple(_glass(promotion)),
    )


def _schedule(promotion: Promotion) -> str:
    found = Schedule.objects.filter(promotion=promotion).first()
    return scheduling.sentence(found) if found else ""


def _previous(promotion: Promotion) -> list[DiffFile]:
    """The old difference is news only while people must decide on the new one."""
    return parse_diff(promotion.previous_diff) if promotion.status in _WAITING else []


def _gates(promotion: Promotion) -> list[Refusal]:
    """What keeps it from running, whoever looks."""
    if not promotion.is_open:
        return []
    return refusals(act_of(promotion), gather(promotion.stage, promotion.version, None, promotion=promotion))


def _approvals(promotion: Promotion) -> list[ApprovalRow]:
    return [
        ApprovalRow(approval, decision_mark(approval.decision), approval.fallen_at is not None)
        for approval in promotion.approvals.all()
    ]


def _checks(promotion: Promotion) -> list[CheckRow]:
    """Every check that its Environment asks for, and what the others said of this change."""
    results = {result.name: result for result in promotion.checks.filter(change_hash=promotion.change_hash)}
    wanted = [rule.name for rule in Rules.of(promotion.stage.environment.policy).checks]
    found = []
    for name in dict.fromkeys([*wanted, *results]):
        result = results.get(name)
        link = safe_url(result.link) if result else ""
        found.append(CheckRow(name, result, check_mark(result.state if result else "pending"), link))
    return found


def _glass(promotion: Promotion) -> list[GlassRow]:
    return [
        GlassRow(glass, glass.review, ", ".join(glass.gates), glass.change_hash == promotion.change_hash)
        for glass in promotion.broken_glass.select_related("review")
    ]


def _steps(promotion: Promotion) -> list[StepRow]:
    done = [_step(result) for result in promotion.steps.all()]
    if not promotion.is_open:
        return done
    begun = {result.step for result in promotion.steps.all() if result.attempt == promotion.attempt}
    # A retry resumes at the step that ended, so what succeeded before is not ahead again.
    over = {result.step for result in promotion.steps.all() if result.status == "succeeded"}
    ahead = [name for name in plan(promotion.stage) if name not in begun | over]
    return done + [StepRow(str(name.label), 1, None, "", "", "", None, None, None) for name in ahead]


def _step(result: StepResult) -> StepRow:
    name = StepName(result.step)
    finished = result.finished_at
    return StepRow(
        str(name.label),
        result.attempt,
        step_mark(result.status),
        result.message,
        safe_url(result.link),
        str(_LINK_TEXTS[name]),
        result.started_at,
        (finished - result.started_at).total_seconds() if finished else None,
        None if finished else result.started_at,
    )


def _audit(promotion: Promotion) -> list[AuditRow]:
    entries = AuditEntry.objects.filter(promotion_id=promotion.pk).order_by("id")
    return [
        AuditRow(
            entry.at,
            entry.actor_name,
            str(_ACTIONS.get(entry.action, entry.action)),
            entry.reason,
            entry.get_absolute_url(),
        )
        for entry in entries
    ]
