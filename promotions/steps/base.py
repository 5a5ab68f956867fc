"""What a step is: one look at the world that may act on it, and what it reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from promotions.manifests import Change
from promotions.models import Promotion, StepResult

JsonData = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """The step holds. `fields` are set on the promotion."""

    message: str
    link: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not yet, and why; look again after `look_in` seconds or when something announces itself.

    `data` is merged into what the step remembers between two looks.
    """

    message: str
    look_in: float
    link: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """The world said no. The message is in the vendor's own words."""

    message: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Differs:
    """Nothing was written: the change computed at `base_commit` is not the approved one.

    `whose` is the promotion whose change it is: of a Release it may be another one of the same commit.
    """

    base_commit: str
    change: Change
    whose: Promotion


@dataclass(frozen=True, slots=True)
class Again:
    """What this step built on can't be used any more: begin again at the earlier `step`."""

    step: str
    message: str
    fields: Mapping[str, Any] = field(default_factory=dict)


Outcome = Done | Waiting | Failed | Differs | Again


@dataclass(frozen=True, slots=True)
class Step:
    """`run` may be called any number of times, after any crash: it must find what it did before.

    `patience` bounds the whole wait; then the promotion fails with the last reason.
    """

    name: str
    run: Callable[[Promotion, StepResult], Outcome]
    patience: timedelta


def trailer(promotion: Promotion) -> tuple[str, str]:
    """Return the commit trailer that makes a promotion's write findable."""
    return "Promotion-Id", str(promotion.key)
