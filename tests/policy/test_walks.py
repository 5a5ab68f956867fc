"""No sequence of operations brings a promotion past a refusing gate: random policies, random walks.

A model of the world is walked without a database; the rows' walk is in test_quorum.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from hypothesis import given, note, settings
from hypothesis import strategies as st

from promotions.policy.gates import GATES, Act, refusals
from promotions.policy.terms import (
    BlockFact,
    CheckFact,
    Facts,
    FreezeFact,
    LockFact,
    ScheduleFact,
    Seat,
    UpstreamFact,
)
from tests.policy.gate_table import GOOD, NOON, H

# Everything that glass can ever be broken for: the image and its tag are not among it.
COVERED = {
    *("order", "soak", "verification", "scan", "pipeline", "checks"),
    *("authors", "freeze", "approvals", "blocked", "lock", "emergency-stop"),
}
PEOPLE = ("Ada Weber", "Mar Costa", "Olu Mensah")
GROUPS = {"qa": PEOPLE[:2], "ops": PEOPLE[1:]}


@dataclass
class World:
    """What the engine does, in a few lines: asked at each step, it writes only where RUN lets it."""

    facts: Facts
    status: str = "requested"
    writes: list[Facts] = field(default_factory=list)
    change: int = 0
    named: dict[int, set[str]] = field(default_factory=dict)

    def advance(self) -> None:
        if self.status in ("succeeded", "errored"):
            return
        found = refusals(Act.RUN, self.facts)
        if not found and self.status == "running":
            self.writes.append(self.facts)
            self.status = "succeeded"
        elif not found:
            self.status = "running"
        elif not all(refusal.waits for refusal in found):
            self.status = "errored"
        elif any(refusal.gate == "approvals" for refusal in found):
            self.status = "requested"

    def approve(self, name: str) -> None:
        facts = replace(self.facts, actor=name, actor_has_decided=name in self.facts.approved_by)
        if self.status == "requested" and not refusals(Act.APPROVE, facts):
            approved = (*self.facts.approved_by, name)
            self.facts = replace(self.facts, approved_by=approved, approved_keys=approved)

    def break_glass(self, *gates: str) -> None:
        """It is broken for the change as it is now; whatever it claims, it reaches no further than it may."""
        if self.status in ("succeeded", "errored"):
            return
        self.named.setdefault(self.change, set()).update(gates)
        self.set(skipped=frozenset(self.named[self.change]))

    def move(self) -> None:
        """The change is another one: approvals and broken glass fall with the old one."""
        if self.status in ("succeeded", "errored"):
            return
        self.change += 1
        self.status = "requested"
        self.set(approved_by=(), approved_keys=(), skipped=frozenset())

    def set(self, **changes: Any) -> None:
        self.facts = replace(self.facts, **changes)


def wrong(facts: Facts) -> set[str]:
    """Judge anew from the facts alone, in other words than the gates': what stands in the way, by name."""
    seated = all(
        sum(person in seat.keys for person in facts.approved_keys) >= seat.count for seat in facts.seats
    )
    in_time = facts.schedule is None or facts.schedule.not_before <= facts.now <= facts.schedule.last
    before = [] if facts.ran_here_before else list(facts.upstream)
    there = [each for each in before if each.was_there]
    healthy = [
        max(each.soaked, facts.now - each.healthy_since if each.healthy_since else 0 * H) >= facts.soak
        for each in there
    ]
    holds = {
        "lock": not any(not lock.is_everything for lock in facts.locks),
        "emergency-stop": not any(lock.is_everything for lock in facts.locks),
        "freeze": not facts.freezes or facts.freeze_is_excepted,
        "blocked": facts.block is None,
        "exists": not facts.version_missing_since,
        "approvals": len(facts.approved_by) >= facts.required_approvals and seated,
        "order": len(there) == len(before),
        "soak": all(healthy),
        "verification": not (facts.verification_needed and any(each.verified is False for each in there)),
        "tag": not (facts.evidence.tag_is_pinned and facts.evidence.tag_moved),
        "checks": all(check.state == "passed" for check in facts.checks),
        "authors": facts.authors_known or not facts.authors_are_barred,
        "schedule": in_time,
    }
    return {name for name, held in holds.items() if not held}


def clean(world: World, facts: Facts) -> bool:
    """Whatever stood in the way of a write was named by glass that was broken for that very change."""
    return wrong(facts) <= world.named.get(world.change, set()) & COVERED


def _stays(hours: int, was_there: bool, verified: bool | None) -> tuple[UpstreamFact, ...]:
    return (UpstreamFact("staging", was_there, healthy_since=NOON - hours * H, verified=verified),)


def _seats(counts: tuple[int, int]) -> tuple[Seat, ...]:
    pairs = zip(GROUPS.items(), counts, strict=True)
    return tuple(Seat(name, count, members, members) for (name, members), count in pairs if count)


policies = st.fixed_dictionaries(
    {
        "required_approvals": st.integers(0, 2),
        "seats": st.tuples(st.integers(0, 1), st.integers(0, 2)).map(_seats),
        "soak": st.integers(0, 4).map(lambda hours: hours * H),
        "verification_needed": st.booleans(),
        "authors_are_barred": st.booleans(),
        "upstream": st.one_of(
            st.just(()),
            st.builds(_stays, st.integers(0, 5), st.booleans(), st.sampled_from([None, True, False])),
        ),
        "schedule": st.sampled_from([None, None, ScheduleFact(NOON + H, NOON + 3 * H, True, "UTC")]),
        "checks": st.lists(st.sampled_from(["tests", "ticket"]), unique=True).map(
            lambda names: tuple(CheckFact(name, "pending", "", "QA") for name in names)
        ),
    }
)
LOCK = LockFact("shop / Production", "x", "y", NOON)
STOP = LockFact("everything", "x", "y", NOON, is_everything=True)
GATES_TO_BREAK = sorted({*COVERED, "exists", "tag", "role"})
Doing = Callable[[World], None]
acts: dict[str, Doing] = {
    "advance": World.advance,
    "lock": lambda world: world.set(locks=(LOCK,)),
    "stop everything": lambda world: world.set(locks=(*world.facts.locks, STOP)),
    "lift": lambda world: world.set(locks=()),
    "freeze": lambda world: world.set(freezes=(FreezeFact("x", NOON + H),)),
    "thaw": lambda world: world.set(freezes=()),
    "except": lambda world: world.set(freeze_is_excepted=True),
    "block": lambda world: world.set(block=BlockFact("x", "y", NOON)),
    "unblock": lambda world: world.set(block=None),
    "delete": lambda world: world.set(version_missing_since="today"),
    "push again": lambda world: world.set(evidence=replace(world.facts.evidence, tag_moved=True)),
    "time passes": lambda world: world.set(now=world.facts.now + timedelta(hours=1)),
    "arrives upstream": lambda world: world.set(
        upstream=tuple(replace(each, was_there=True, verified=True) for each in world.facts.upstream)
    ),
    "checks pass": lambda world: world.set(
        checks=tuple(replace(check, state="passed") for check in world.facts.checks)
    ),
    "a check fails": lambda world: world.set(
        checks=tuple(replace(check, state="failed") for check in world.facts.checks)
    ),
    "authors unread": lambda world: world.set(authors_known=False),
    "authors read": lambda world: world.set(authors_known=True),
    "approvals fall": lambda world: world.set(approved_by=(), approved_keys=()),
    "the change moves": World.move,
    **{f"glass: {name}": lambda world, name=name: world.break_glass(name) for name in GATES_TO_BREAK},  # type: ignore[misc]
    **{f"{name} approves": lambda world, name=name: world.approve(name) for name in PEOPLE},  # type: ignore[misc]
}
likely = ["advance", "advance", *(f"{name} approves" for name in PEOPLE), "checks pass", "arrives upstream"]
sequences = st.lists(st.one_of(st.sampled_from(likely), st.sampled_from(sorted(acts))), max_size=25)


def start(policy: dict[str, Any]) -> World:
    return World(replace(GOOD, approved_by=(), approved_keys=(), approvers=PEOPLE, now=NOON, **policy))


@settings(deadline=None, max_examples=300, print_blob=True)
@given(policy=policies, sequence=sequences)
def test_no_walk_through_any_policy_writes_past_a_refusing_gate(
    policy: dict[str, Any], sequence: list[str]
) -> None:
    world = start(policy)
    for name in sequence:
        acts[name](world)
        note(f"{name}: {world.status}")
    assert all(clean(world, facts) for facts in world.writes)
    assert len(world.writes) <= 1


def test_walks_are_able_to_write() -> None:
    """The property above would hold for gates that never open."""
    world = start({"required_approvals": 2, "seats": _seats((1, 1)), "upstream": _stays(5, True, True)})
    for name in ("advance", "Ada Weber approves", "Mar Costa approves", "checks pass", "advance", "advance"):
        acts[name](world)
    assert world.status == "succeeded"
    assert len(world.writes) == 1


def test_broken_glass_is_able_to_lead_past_each_gate_it_names_and_past_no_other() -> None:
    closed = {
        "freeze": "freeze",
        "lock": "lock",
        "emergency-stop": "stop everything",
        "blocked": "block",
        "authors": "authors unread",
        "exists": "delete",
        "tag": "push again",
    }
    for name, act in closed.items():
        world = start({"authors_are_barred": True, "required_approvals": 1, "seats": ()})
        for each in ("glass: approvals", "checks pass", "arrives upstream", act, "advance", "advance"):
            acts[each](world)
        assert world.writes == [], name
        # A block or a missing image ends it: begin anew.
        world.status = "requested"
        for each in (f"glass: {name}", "advance", "advance"):
            acts[each](world)
        assert (len(world.writes) == 1) == (name in COVERED), name


def test_every_gate_before_the_write_is_asked_again_at_the_write() -> None:
    """What guards the request by the state of the world guards the run, too."""
    about_the_asker = {
        "developer_role",
        "promotable",
        "not_there_yet",
        "nothing_running",
        "not_against_people",
    }
    about_the_request = {"not_requested_twice", "change_computable"}
    asked_once = {gate.__name__ for gate in GATES[Act.REQUEST]} - {gate.__name__ for gate in GATES[Act.RUN]}
    assert asked_once == about_the_asker | about_the_request
