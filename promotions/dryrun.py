"""May this version go there now, and if not, when? Asked of our own tables; nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.utils import timezone

from promotions.models import ImageVersion, Stage
from promotions.policy import Act, Refusal, gather, refusals

# Ends of freezes and soaks follow each other; more of them than this lie too far away to promise.
_MOST_LOOKS = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """`not_before` is known only where nothing but time is in the way."""

    may: bool
    refusals: tuple[Refusal, ...]
    not_before: datetime | None
    approvals_needed: int


def may(stage: Stage, version: ImageVersion, actor: User | None) -> Answer:
    """Ask every gate of a request as of now; where only time refuses, find when none of them does."""
    now = timezone.now()
    found = refusals(Act.REQUEST, gather(stage, version, actor, at=now))
    return Answer(
        may=not found,
        refusals=tuple(found),
        not_before=_first_open(stage, version, actor, found) if found else None,
        approvals_needed=stage.environment.required_approvals,
    )


def _first_open(
    stage: Stage, version: ImageVersion, actor: User | None, found: list[Refusal]
) -> datetime | None:
    """At the end of a soak a freeze may hold, at the end of that another one: look again at each end."""
    moment: datetime | None = None
    for _look in range(_MOST_LOOKS):
        ends = [refusal.until for refusal in found if refusal.until is not None]
        if len(ends) < len(found):
            return None
        if not found:
            return moment
        moment = max(ends)
        found = refusals(Act.REQUEST, gather(stage, version, actor, at=moment))
    return None
