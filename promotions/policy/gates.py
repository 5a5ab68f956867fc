"""The gates: pure functions from facts to refusals. An empty list means it may go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from django.utils.translation import gettext as _
from django.utils.translation import ngettext


class Act(StrEnum):
    """What someone wants to do. Each gate guards one or more acts."""

    REQUEST = "request"
    APPROVE = "approve"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not, in a sentence, and who can change that. `gate` is stable and for machines."""

    gate: str
    message: str
    fix: str

    def as_dict(self) -> dict[str, str]:
        return {"gate": self.gate, "message": self.message, "who_can_fix_it": self.fix}


class Refused(Exception):
    """An operation was refused; nothing was changed."""

    def __init__(self, refusals: Iterable[Refusal]) -> None:
        self.refusals = list(refusals)
        super().__init__(" ".join(refusal.message for refusal in self.refusals))


@dataclass(frozen=True, slots=True)
class OpenPromotion:
    number: int
    label: str
    status: str
    requested_by: str
    is_running: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the gates look at, gathered once. Names are as people know them.

    `approved_by` counts only people who hold the role now and approved this very change.
    """

    stage: str
    version: str
    actor: str
    actor_is_developer: bool
    actor_is_approver: bool
    actor_is_requester: bool
    actor_has_decided: bool
    approvers: tuple[str, ...]
    stage_is_promotable: bool
    stage_image: str
    version_image: str
    version_missing_since: str
    already_there: bool
    others_open: tuple[OpenPromotion, ...]
    change_problem: str
    change_is_empty: bool
    required_approvals: int
    approved_by: tuple[str, ...]


Gate = Callable[[Facts], Refusal | None]


def _names(people: tuple[str, ...]) -> str:
    return ", ".join(people) if people else _("an administrator, by granting the role")


def developer_role(facts: Facts) -> Refusal | None:
    if facts.actor_is_developer:
        return None
    return Refusal(
        "role",
        _("%(actor)s is not a developer of %(stage)s.") % {"actor": facts.actor, "stage": facts.stage},
        _("an administrator"),
    )


def approver_role(facts: Facts) -> Refusal | None:
    if facts.actor_is_approver:
        return None
    return Refusal(
        "role",
        _("%(actor)s is not an approver of %(stage)s.") % {"actor": facts.actor, "stage": facts.stage},
        _names(facts.approvers),
    )


def four_eyes(facts: Facts) -> Refusal | None:
    if not facts.actor_is_requester:
        return None
    others = tuple(name for name in facts.approvers if name != facts.actor)
    return Refusal("four-eyes", _("Who requests a promotion can't approve it."), _names(others))


def one_decision(facts: Facts) -> Refusal | None:
    if not facts.actor_has_decided:
        return None
    others = tuple(name for name in facts.approvers if name != facts.actor)
    return Refusal("decided", _("You have already decided on this change."), _names(others))


def promotable(facts: Facts) -> Refusal | None:
    if facts.stage_is_promotable:
        return None
    return Refusal(
        "promotable",
        _("%(stage)s follows its builds by itself: nothing is promoted to it.") % {"stage": facts.stage},
        _("whoever keeps the catalogue"),
    )


def matching_image(facts: Facts) -> Refusal | None:
    if facts.stage_image == facts.version_image:
        return None
    return Refusal(
        "image",
        _("%(stage)s runs %(expected)s; this is a version of %(found)s.")
        % {"stage": facts.stage, "expected": facts.stage_image, "found": facts.version_image},
        _("whoever builds the image"),
    )


def image_exists(facts: Facts) -> Refusal | None:
    if not facts.version_missing_since:
        return None
    return Refusal(
        "exists",
        _("The registry has not had %(version)s since %(since)s.")
        % {"version": facts.version, "since": facts.version_missing_since},
        _("whoever keeps the registry, by building it again"),
    )


def not_there_yet(facts: Facts) -> Refusal | None:
    if not facts.already_there:
        return None
    return Refusal(
        "already-there",
        _("%(stage)s already runs %(version)s.") % {"stage": facts.stage, "version": facts.version},
        _("nobody needs to"),
    )


def nothing_running(facts: Facts) -> Refusal | None:
    running = [promotion for promotion in facts.others_open if promotion.is_running]
    if not running:
        return None
    first = running[0]
    return Refusal(
        "in-progress",
        _("Promotion #%(number)d of %(label)s to %(stage)s is under way.")
        % {"number": first.number, "label": first.label, "stage": facts.stage},
        _("%(requester)s or an administrator, by aborting it") % {"requester": first.requested_by},
    )


def not_requested_twice(facts: Facts) -> Refusal | None:
    for promotion in facts.others_open:
        if not promotion.is_running and promotion.label == facts.version:
            return Refusal(
                "requested",
                _("%(version)s is already requested for %(stage)s: promotion #%(number)d.")
                % {"version": facts.version, "stage": facts.stage, "number": promotion.number},
                _names(facts.approvers),
            )
    return None


def change_computable(facts: Facts) -> Refusal | None:
    if not facts.change_problem:
        return None
    return Refusal("change", facts.change_problem, _("whoever keeps the manifests or the catalogue"))


def quorum(facts: Facts) -> Refusal | None:
    lacking = facts.required_approvals - len(facts.approved_by)
    if lacking <= 0:
        return None
    return Refusal(
        "approvals",
        ngettext("%(count)d approval is missing.", "%(count)d approvals are missing.", lacking)
        % {"count": lacking},
        _names(tuple(name for name in facts.approvers if name not in facts.approved_by)),
    )


GATES: dict[Act, tuple[Gate, ...]] = {
    Act.REQUEST: (
        developer_role,
        promotable,
        matching_image,
        image_exists,
        not_there_yet,
        nothing_running,
        not_requested_twice,
        change_computable,
    ),
    Act.APPROVE: (approver_role, four_eyes, one_decision, image_exists),
    Act.RUN: (matching_image, image_exists, quorum),
}


def refusals(act: Act, facts: Facts) -> list[Refusal]:
    """Return every gate's refusal: the one list for the button, the explanation and the API's 409."""
    return [refusal for gate in GATES[act] if (refusal := gate(facts)) is not None]
