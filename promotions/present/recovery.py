"""Broken glass and its reviews as pages show them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.utils.translation import gettext_lazy as _

from promotions import emergency
from promotions.models import ReviewTask
from promotions.policy import Refusal
from promotions.policy.access import visible_applications
from promotions.policy.rules import BREAKABLE

_NEWEST_CLOSED = 20
GATE_NAMES = {
    "order": _("it has been in the stages before"),
    "soak": _("it was healthy there for long enough"),
    "verification": _("it was verified there"),
    "scan": _("the registry's scan of it"),
    "pipeline": _("GitLab's pipeline of its commit"),
    "checks": _("the outside checks"),
    "authors": _("it is known whose commits it brings"),
    "freeze": _("the calendar's and GitLab's freezes"),
    "approvals": _("the people who must approve"),
    "blocked": _("somebody marked it as bad"),
    "lock": _("somebody locked this place"),
    "emergency-stop": _("somebody stopped everything"),
}


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """`refusals` say why this visitor may not close it."""

    task: ReviewTask
    gates: str
    refusals: tuple[Refusal, ...]


def gate_choices(covered: Iterable[str]) -> list[tuple[str, str]]:
    """Return the gates that may be named, in their order, with what people call them."""
    kept = set(covered)
    return [(gate, f"{gate}: {GATE_NAMES[gate]}") for gate in BREAKABLE if gate in kept]


def review_rows(user: User, *, closed: bool = False) -> list[ReviewRow]:
    """Return the reviews of what the person may see: the open ones, or those closed last."""
    every = ReviewTask.objects.for_pages().filter(
        promotion__stage__application__in=visible_applications(user)
    )
    found = every.exclude(closed_at=None).order_by("-closed_at")[:_NEWEST_CLOSED] if closed else every.open()
    return [
        ReviewRow(
            task,
            ", ".join(task.glass.gates),
            () if closed else tuple(emergency.may_review(user, task)),
        )
        for task in found
    ]
