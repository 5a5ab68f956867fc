"""Who fills which seat: one approval counts once, however many groups its person is in. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from promotions.policy.terms import Seat


def unfilled(seats: Sequence[Seat], approved: Sequence[str]) -> list[Seat]:
    """Return the rules that still lack people, each with how many, after the best distribution."""
    chairs = [index for index, seat in enumerate(seats) for _each in range(seat.count)]
    holder: dict[int, str] = {}
    for person in approved:
        _sit(person, chairs, seats, holder, set())
    lacking = dict.fromkeys(range(len(seats)), 0)
    for chair, index in enumerate(chairs):
        lacking[index] += chair not in holder
    return [replace(seats[index], count=count) for index, count in lacking.items() if count]


def missing(required: int, seats: Sequence[Seat], approved: int, keys: Sequence[str]) -> int:
    """Return how many people at least must still approve; 0 or less when the quorum is there."""
    return max(required - approved, sum(seat.count for seat in unfilled(seats, keys)))


def brings_nearer(
    person: str, required: int, seats: Sequence[Seat], approved: int, keys: Sequence[str]
) -> bool:
    """Tell whether one more approval, by this person, is of any use: their groups may be full already."""
    now = missing(required, seats, approved, keys)
    return now > 0 and missing(required, seats, approved + 1, [*keys, person]) < now


def _sit(
    person: str, chairs: Sequence[int], seats: Sequence[Seat], holder: dict[int, str], tried: set[int]
) -> bool:
    """Find the person a chair; whoever sits there may move to another one (augmenting path)."""
    for chair, index in enumerate(chairs):
        if chair in tried or person not in seats[index].keys:
            continue
        tried.add(chair)
        if chair not in holder or _sit(holder[chair], chairs, seats, holder, tried):
            holder[chair] = person
            return True
    return False
