"""Every gate: it passes, it refuses with its sentence, and it says who can fix it. No database is needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promotions.policy.gates import GATES, Act, Facts, Gate, OpenPromotion, Refusal, Refused, refusals

GOOD = Facts(
    stage="shop / Production",
    version="1.1.0",
    actor="Rin Sato",
    actor_is_developer=True,
    actor_is_approver=True,
    actor_is_requester=False,
    actor_has_decided=False,
    approvers=("Ada Weber", "Mar Costa"),
    stage_is_promotable=True,
    stage_image="registry/shop",
    version_image="registry/shop",
    version_missing_since="",
    already_there=False,
    others_open=(),
    change_problem="",
    change_is_empty=False,
    required_approvals=1,
    approved_by=("Ada Weber",),
)
RUNNING = OpenPromotion(number=7, label="1.0.9", status="running", requested_by="Olu Mensah", is_running=True)
WAITING = OpenPromotion(
    number=8, label="1.1.0", status="requested", requested_by="Olu Mensah", is_running=False
)
OTHER = replace(WAITING, label="1.0.8")

# (acts it guards, what is wrong, its name, its sentence, who can fix it)
TABLE: list[tuple[set[Act], dict[str, Any], str, str, str]] = [
    (
        {Act.REQUEST},
        {"actor_is_developer": False},
        "role",
        "Rin Sato is not a developer of shop / Production.",
        "an administrator",
    ),
    (
        {Act.APPROVE},
        {"actor_is_approver": False},
        "role",
        "Rin Sato is not an approver of shop / Production.",
        "Ada Weber, Mar Costa",
    ),
    (
        {Act.APPROVE},
        {"actor_is_approver": False, "approvers": ()},
        "role",
        "Rin Sato is not an approver of shop / Production.",
        "an administrator, by granting the role",
    ),
    (
        {Act.APPROVE},
        {"actor_is_requester": True, "actor": "Ada Weber"},
        "four-eyes",
        "Who requests a promotion can't approve it.",
        "Mar Costa",
    ),
    (
        {Act.APPROVE},
        {"actor_has_decided": True, "actor": "Ada Weber"},
        "decided",
        "You have already decided on this change.",
        "Mar Costa",
    ),
    (
        {Act.REQUEST},
        {"stage_is_promotable": False},
        "promotable",
        "shop / Production follows its builds by itself: nothing is promoted to it.",
        "whoever keeps the catalogue",
    ),
    (
        {Act.REQUEST, Act.RUN},
        {"version_image": "registry/other"},
        "image",
        "shop / Production runs registry/shop; this is a version of registry/other.",
        "whoever builds the image",
    ),
    (
        {Act.REQUEST, Act.APPROVE, Act.RUN},
        {"version_missing_since": "2 May 2026"},
        "exists",
        "The registry has not had 1.1.0 since 2 May 2026.",
        "whoever keeps the registry, by building it again",
    ),
    (
        {Act.REQUEST},
        {"already_there": True},
        "already-there",
        "shop / Production already runs 1.1.0.",
        "nobody needs to",
    ),
    (
        {Act.REQUEST},
        {"others_open": (RUNNING,)},
        "in-progress",
        "Promotion #7 of 1.0.9 to shop / Production is under way.",
        "Olu Mensah or an administrator, by aborting it",
    ),
    (
        {Act.REQUEST},
        {"others_open": (WAITING,)},
        "requested",
        "1.1.0 is already requested for shop / Production: promotion #8.",
        "Ada Weber, Mar Costa",
    ),
    (
        {Act.REQUEST},
        {"change_problem": "No place names the image."},
        "change",
        "No place names the image.",
        "whoever keeps the manifests or the catalogue",
    ),
    ({Act.RUN}, {"approved_by": ()}, "approvals", "1 approval is missing.", "Ada Weber, Mar Costa"),
    (
        {Act.RUN},
        {"required_approvals": 3},
        "approvals",
        "2 approvals are missing.",
        "Mar Costa",
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[2]}-{'-'.join(row[1])}")
def test_a_gate_refuses_with_its_sentence_and_who_can_fix_it_and_only_where_it_guards(
    row: tuple[set[Act], dict[str, Any], str, str, str],
) -> None:
    guarded, wrong, gate, sentence, fix = row
    facts = replace(GOOD, **wrong)
    for act in Act:
        expected = [Refusal(gate, sentence, fix)] if act in guarded else []
        assert refusals(act, facts) == expected, act
        # And when it is put right, it lets through.
        assert refusals(act, GOOD) == []


def test_every_gate_is_in_the_table() -> None:
    everything: set[Gate] = {gate for gates in GATES.values() for gate in gates}
    refusing = {
        gate
        for gate in everything
        for _acts, wrong, *_rest in TABLE
        if gate(replace(GOOD, **wrong)) is not None
    }
    assert refusing == everything


@pytest.mark.parametrize("fine", [{"others_open": (OTHER,)}, {"required_approvals": 0, "approved_by": ()}])
def test_what_looks_alike_but_is_fine_passes(fine: dict[str, Any]) -> None:
    for act in Act:
        assert refusals(act, replace(GOOD, **fine)) == []


def test_all_that_is_wrong_is_said_at_once() -> None:
    facts = replace(GOOD, actor_is_developer=False, stage_is_promotable=False, already_there=True)
    found = refusals(Act.REQUEST, facts)
    assert [refusal.gate for refusal in found] == ["role", "promotable", "already-there"]
    assert str(Refused(found)) == " ".join(refusal.message for refusal in found)
    assert found[0].as_dict() == {
        "gate": "role",
        "message": "Rin Sato is not a developer of shop / Production.",
        "who_can_fix_it": "an administrator",
        "waits": False,
        "until": None,
    }
