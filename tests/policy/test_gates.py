"""Every gate: it passes, it refuses with its sentence, and it says who can fix it. No database is needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promotions.policy.gates import (
    GATES,
    Act,
    Gate,
    Refusal,
    Refused,
    refusals,
    stopping,
)
from promotions.policy.rules import BREAKABLE
from tests.policy.gate_table import (
    FINE,
    FREEZE,
    GOOD,
    LOCK,
    TABLE,
    Row,
)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[2]}-{'-'.join(row[1])}")
def test_a_gate_refuses_with_its_sentence_and_who_can_fix_it_and_only_where_it_guards(row: Row) -> None:
    guarded, wrong, gate, sentence, fix, weight, until = row
    facts = replace(GOOD, **wrong)
    for act in Act:
        expected = [Refusal(gate, sentence, fix, weight, until)] if act in guarded else []
        assert refusals(act, facts) == expected, act
        # And when it is put right, it lets through.
        assert refusals(act, replace(facts, **{name: getattr(GOOD, name) for name in wrong})) == []


def test_every_gate_is_in_the_table() -> None:
    everything: set[Gate] = {gate for gates in GATES.values() for gate in gates}
    refusing = {
        gate
        for gate in everything
        for _acts, wrong, *_rest in TABLE
        if gate(replace(GOOD, **wrong)) is not None
    }
    assert refusing == everything


@pytest.mark.parametrize("fine", FINE.values(), ids=FINE.keys())
def test_what_looks_alike_but_is_fine_passes(fine: dict[str, Any]) -> None:
    for act in Act:
        assert refusals(act, replace(GOOD, **fine)) == []


NEVER_PASSED = {
    "release",
    "schedule",
    "automation",
    "role",
    "four-eyes",
    "author",
    "decided",
    "promotable",
    "image",
    "exists",
    "already-there",
    "in-progress",
    "requested",
    "change",
    "tag",
}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[2]}-{'-'.join(row[1])}")
def test_a_named_gate_is_passed_and_no_other_ever(row: Row) -> None:
    """Whatever the facts claim: who asks, the image and the change stay asked."""
    _guarded, wrong, name, *_rest = row
    facts = replace(GOOD, **wrong)
    everything = frozenset({refusal[2] for refusal in TABLE} | set(BREAKABLE))
    for act in Act:
        found = [refusal.gate for refusal in refusals(act, facts)]
        passed = refusals(act, replace(facts, skipped=everything))
        assert [refusal.gate for refusal in passed] == [each for each in found if each in NEVER_PASSED]
        others = replace(facts, skipped=everything - {name})
        assert [refusal.gate for refusal in refusals(act, others)] == found
    assert (name in BREAKABLE) != (name in NEVER_PASSED)


def test_glass_broken_for_a_locked_place_does_not_reach_the_emergency_stop() -> None:
    stop = replace(LOCK, is_everything=True, reason="Stop everything")
    for act in (Act.REQUEST, Act.RUN, Act.FOLLOW):
        facts = replace(GOOD, locks=(LOCK, stop), skipped=frozenset({"lock"}))
        (refusal,) = refusals(act, facts)
        assert (refusal.gate, "Stop everything" in refusal.message) == ("lock", True)
        named = replace(facts, skipped=frozenset({"lock", "emergency-stop"}))
        assert refusals(act, named) == []
        alone = replace(facts, skipped=frozenset({"emergency-stop"}))
        assert "An incident" in refusals(act, alone)[0].message


def test_what_time_brings_may_be_asked_for_and_what_a_person_closed_may_not() -> None:
    asked = refusals(Act.REQUEST, replace(GOOD, locks=(LOCK,), freezes=(FREEZE,)))
    assert [(refusal.gate, refusal.waits) for refusal in asked] == [("lock", True), ("freeze", True)]
    assert [refusal.gate for refusal in stopping(asked)] == ["lock"]


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
    frozen = refusals(Act.REQUEST, replace(GOOD, freezes=(FREEZE,)))
    assert frozen[0].as_dict()["until"] == "2026-05-02T14:00:00+00:00"
