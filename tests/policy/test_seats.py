"""Quorum per group: every approval fills one seat, and the best distribution counts. No database."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from promotions.policy.quorum import unfilled
from promotions.policy.terms import Seat


def seat(name: str, count: int, *keys: str) -> Seat:
    return Seat(name, count, keys, keys)


def test_one_person_of_two_groups_fills_only_one_seat() -> None:
    seats = [seat("qa", 1, "ada"), seat("ops", 1, "ada", "mar")]
    assert [each.name for each in unfilled(seats, ["ada"])] == ["ops"]
    assert unfilled(seats, ["ada", "mar"]) == []


def test_whoever_sits_moves_for_one_who_fits_nowhere_else() -> None:
    seats = [seat("qa", 1, "ada", "mar"), seat("ops", 1, "ada")]
    for order in permutations(["ada", "mar"]):
        assert unfilled(seats, order) == []


def test_how_many_are_missing_is_said_per_group() -> None:
    (lacking,) = unfilled([seat("ops", 3, "ada", "mar", "olu")], ["ada"])
    assert (lacking.name, lacking.count) == ("ops", 2)


people = st.sampled_from("abcde")
rules = st.lists(st.tuples(st.integers(1, 2), st.sets(people)), max_size=3)


@settings(deadline=None, max_examples=100, print_blob=True)
@given(rules=rules, approved=st.lists(people, unique=True))
def test_the_distribution_is_the_best_there_is(
    rules: list[tuple[int, set[str]]], approved: list[str]
) -> None:
    seats = [seat(str(index), count, *sorted(keys)) for index, (count, keys) in enumerate(rules)]
    chairs = [set(each.keys) for each in seats for _ in range(each.count)]
    best = max((_seated(chairs, order) for order in permutations(approved)), default=0)
    missing = sum(each.count for each in unfilled(seats, approved))
    assert len(chairs) - missing >= best
    assert len(chairs) - missing <= len(approved)


def _seated(chairs: list[set[str]], order: tuple[str, ...]) -> int:
    """Seat greedily; over all orders of people this finds a good distribution, the lower bound here."""
    free, found = list(chairs), 0
    for person in order:
        fit = next((chair for chair in free if person in chair), None)
        if fit is not None:
            free.remove(fit)
            found += 1
    return found
