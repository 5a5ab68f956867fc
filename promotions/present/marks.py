"""A status as people see it: a tone, an icon and always a word, so that colour alone never says it."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from promotions.choices import (
    CheckState,
    Decision,
    DeliveryOutcome,
    PromotionStatus,
    RunStatus,
    StepStatus,
    UpstreamState,
)


@dataclass(frozen=True, slots=True)
class Mark:
    """`tone` is one of good, bad, warn, busy, wait, calm; `icon` a symbol of static/icons.svg."""

    tone: str
    icon: str
    word: str

    @property
    def tone_class(self) -> str:
        return f"mark-{self.tone}"


_PROMOTION = {
    PromotionStatus.REQUESTED: ("wait", "clock"),
    PromotionStatus.APPROVED: ("busy", "check"),
    PromotionStatus.RUNNING: ("busy", "busy"),
    PromotionStatus.SUCCEEDED: ("good", "check"),
    PromotionStatus.FAILED: ("bad", "cross"),
    PromotionStatus.ERRORED: ("bad", "bolt"),
    PromotionStatus.REJECTED: ("bad", "stop"),
    PromotionStatus.ABORTED: ("calm", "stop"),
    PromotionStatus.SUPERSEDED: ("calm", "skip"),
}
_STEP = {
    StepStatus.RUNNING: ("busy", "busy"),
    StepStatus.WAITING: ("wait", "clock"),
    StepStatus.SUCCEEDED: ("good", "check"),
    StepStatus.FAILED: ("bad", "cross"),
    StepStatus.ERRORED: ("bad", "bolt"),
    StepStatus.ABORTED: ("calm", "stop"),
}
_RUN = {
    RunStatus.PENDING: ("wait", "clock"),
    RunStatus.RUNNING: ("busy", "busy"),
    RunStatus.SUCCEEDED: ("good", "check"),
    RunStatus.FAILED: ("bad", "cross"),
    RunStatus.CANCELLED: ("calm", "stop"),
}
_DELIVERY = {
    DeliveryOutcome.PENDING: ("wait", "clock"),
    DeliveryOutcome.PROCESSED: ("good", "check"),
    DeliveryOutcome.IGNORED: ("calm", "skip"),
    DeliveryOutcome.UNREADABLE: ("warn", "question"),
    DeliveryOutcome.FAILED: ("bad", "cross"),
}
_UPSTREAM = {
    UpstreamState.STARTING: ("calm", "clock"),
    UpstreamState.FRESH: ("good", "check"),
    UpstreamState.TROUBLED: ("warn", "warn"),
    UpstreamState.REFUSED: ("bad", "stop"),
}
_CHECK = {
    CheckState.PENDING: ("wait", "clock"),
    CheckState.PASSED: ("good", "check"),
    CheckState.FAILED: ("bad", "cross"),
}
_DECISION = {Decision.APPROVED: ("good", "check"), Decision.REJECTED: ("bad", "stop")}
# Argo CD's and Tekton's words are shown as they are (design.md section 1).
_SYNC = {"Synced": ("good", "check"), "OutOfSync": ("warn", "differs")}
_HEALTH = {
    "Healthy": ("good", "heart"),
    "Progressing": ("busy", "busy"),
    "Degraded": ("bad", "cross"),
    "Suspended": ("calm", "pause"),
    "Missing": ("warn", "question"),
}
_STEP_OF_TASK = {
    "waiting": ("wait", "clock"),
    "running": ("busy", "busy"),
    "succeeded": ("good", "check"),
    "failed": ("bad", "cross"),
    "skipped": ("calm", "skip"),
}
_UNKNOWN = ("calm", "question")


def promotion_mark(status: str) -> Mark:
    return Mark(*_PROMOTION[PromotionStatus(status)], str(PromotionStatus(status).label))


def step_mark(status: str) -> Mark:
    return Mark(*_STEP[StepStatus(status)], str(StepStatus(status).label))


def run_mark(status: str) -> Mark:
    return Mark(*_RUN[RunStatus(status)], str(RunStatus(status).label))


def delivery_mark(outcome: str) -> Mark:
    return Mark(*_DELIVERY[DeliveryOutcome(outcome)], str(DeliveryOutcome(outcome).label))


def upstream_mark(state: str) -> Mark:
    return Mark(*_UPSTREAM[UpstreamState(state)], str(UpstreamState(state).label))


def decision_mark(decision: str) -> Mark:
    return Mark(*_DECISION[Decision(decision)], str(Decision(decision).label))


def check_mark(state: str) -> Mark:
    return Mark(*_CHECK[CheckState(state)], str(CheckState(state).label))


def sync_mark(status: str) -> Mark | None:
    return Mark(*_SYNC.get(status, _UNKNOWN), status) if status else None


def health_mark(status: str) -> Mark | None:
    return Mark(*_HEALTH.get(status, _UNKNOWN), status) if status else None


def task_step_mark(state: str) -> Mark:
    """Return the mark of one step of a TaskRun; an unknown word is shown as it is."""
    words = {status.value: str(status.label) for status in RunStatus}
    words |= {"waiting": _("waiting"), "skipped": _("skipped")}
    return Mark(*_STEP_OF_TASK.get(state, _UNKNOWN), words.get(state, state))
