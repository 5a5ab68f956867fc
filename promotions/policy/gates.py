"""The gates: pure functions from facts to refusals. An empty list means it may go."""

from __future__ import annotations

from collections.abc import Callable

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from promotions.policy.governance import (
    at_its_time,
    authors_read,
    checks_passed,
    clean_scan,
    healthy_long_enough,
    names,
    not_an_author,
    not_blocked,
    not_frozen,
    not_locked,
    pipeline_green,
    tag_stands,
    verified_upstream,
    was_upstream,
)
from promotions.policy.looking import one_look
from promotions.policy.quorum import missing, unfilled
from promotions.policy.releases import in_turn
from promotions.policy.rules import BREAKABLE
from promotions.policy.terms import Act, Facts, OpenPromotion, Refusal, Refused, Weight

__all__ = ["GATES", "Act", "Facts", "Gate", "OpenPromotion", "Refusal", "Refused", "refusals", "stopping"]

Gate = Callable[[Facts], Refusal | None]


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
        names(facts.approvers),
    )


def four_eyes(facts: Facts) -> Refusal | None:
    if not facts.actor_is_requester:
        return None
    others = tuple(name for name in facts.approvers if name != facts.actor)
    return Refusal("four-eyes", _("Who requests a promotion can't approve it."), names(others))


def one_decision(facts: Facts) -> Refusal | None:
    if not facts.actor_has_decided:
        return None
    others = tuple(name for name in facts.approvers if name != facts.actor)
    return Refusal("decided", _("You have already decided on this change."), names(others))


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
                names(facts.approvers),
            )
    return None


def not_against_people(facts: Facts) -> Refusal | None:
    """For what Slipway asks by itself; people may ask although a version is pinned."""
    if not facts.held_back:
        return None
    return Refusal("automation", facts.held_back, _("a developer"), Weight.HOLDS)


def change_computable(facts: Facts) -> Refusal | None:
    if not facts.change_problem:
        return None
    return Refusal("change", facts.change_problem, _("whoever keeps the manifests or the catalogue"))


def quorum(facts: Facts) -> Refusal | None:
    """So many people in all, and of each group or role as many as it must send."""
    approved = len(facts.approved_by)
    lacking = missing(facts.required_approvals, facts.seats, approved, facts.approved_keys)
    if lacking <= 0:
        return None
    groups = unfilled(facts.seats, facts.approved_keys)
    could = facts.approvers
    if groups:
        could = tuple(name for name in facts.approvers if any(name in seat.members for seat in groups))
    return Refusal(
        "approvals",
        " ".join(_missing(facts, lacking, [(seat.name, seat.count) for seat in groups])),
        names(tuple(name for name in could if name not in facts.approved_by)),
        Weight.HOLDS,
    )


def _missing(facts: Facts, lacking: int, groups: list[tuple[str, int]]) -> list[str]:
    sentences = [
        ngettext("%(count)d approval is missing.", "%(count)d approvals are missing.", lacking)
        % {"count": lacking}
    ]
    if groups:
        told = ", ".join(f"{count} × {name}" for name, count in groups)
        sentences.append(_("Still needed: %(groups)s.") % {"groups": told})
    if facts.expired:
        sentences.append(_("Too old to count: %(people)s.") % {"people": ", ".join(facts.expired)})
    return sentences


_EVIDENCE: tuple[Gate, ...] = (
    was_upstream,
    healthy_long_enough,
    verified_upstream,
    clean_scan,
    pipeline_green,
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
        not_against_people,
        change_computable,
        not_locked,
        not_blocked,
        *_EVIDENCE,
        not_frozen,
    ),
    Act.APPROVE: (
        approver_role,
        four_eyes,
        not_an_author,
        authors_read,
        one_decision,
        image_exists,
        not_blocked,
    ),
    Act.RUN: (
        in_turn,
        at_its_time,
        not_locked,
        matching_image,
        image_exists,
        tag_stands,
        not_blocked,
        *_EVIDENCE,
        checks_passed,
        authors_read,
        quorum,
        not_frozen,
    ),
    # The change is on its branch: what lands can't be called back, only halted.
    Act.FOLLOW: (not_locked,),
}


# Whatever the facts claim, nothing else is ever passed. Locks differ among themselves: `not_locked` looks.
_PASSABLE = frozenset(BREAKABLE) - {"lock", "emergency-stop"}


def refusals(act: Act, facts: Facts) -> list[Refusal]:
    """Return every gate's refusal: the one list for the button, the explanation and the API's 409."""
    return _asked(GATES[act], facts)


def lacking(facts: Facts) -> list[Refusal]:
    """Return what the quorum lacks: of the gates of RUN the only one that decisions are about."""
    return _asked((quorum,), facts)


def _asked(gates: tuple[Gate, ...], facts: Facts) -> list[Refusal]:
    with one_look():
        found = [refusal for gate in gates if (refusal := gate(facts)) is not None]
        return [refusal for refusal in found if refusal.gate not in facts.skipped & _PASSABLE]


def stopping(found: list[Refusal]) -> list[Refusal]:
    """Return those that forbid to ask for a promotion; the others it would wait for."""
    return [refusal for refusal in found if refusal.weight != Weight.DEFERS]
