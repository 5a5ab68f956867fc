"""What the gates speak of: acts, refusals, and the facts they are given. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum


class Act(StrEnum):
    """What someone wants to do. Each gate guards one or more acts.

    RUN is asked before each step until the change is on its branch, FOLLOW before those after that.
    """

    REQUEST = "request"
    APPROVE = "approve"
    RUN = "run"
    FOLLOW = "follow"


class Weight(StrEnum):
    """What a refusal means. Where nothing but time or somebody else's act is missing, a promotion under
    way waits; of those, DEFERS lets it be asked for already now."""

    ENDS = "ends"
    HOLDS = "holds"
    DEFERS = "defers"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not, in a sentence, and who can change that. `gate` is stable and for machines.

    `until` is when it ends by itself, where that is known.
    """

    gate: str
    message: str
    fix: str
    weight: Weight = Weight.ENDS
    until: datetime | None = None

    @property
    def waits(self) -> bool:
        """Tell whether a promotion under way waits for it to end."""
        return self.weight != Weight.ENDS

    def as_dict(self) -> dict[str, str | bool | None]:
        return {
            "gate": self.gate,
            "message": self.message,
            "who_can_fix_it": self.fix,
            "waits": self.waits,
            "until": self.until.isoformat() if self.until else None,
        }


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
class LockFact:
    """`place` is as people know it; `keepers` can lift it. On everything it is the emergency stop."""

    place: str
    reason: str
    by: str
    since: datetime
    keepers: tuple[str, ...] = ()
    is_everything: bool = False


@dataclass(frozen=True, slots=True)
class FreezeFact:
    """A freeze that holds now. `until` is None where no end is in sight."""

    name: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class BlockFact:
    reason: str
    by: str
    since: datetime


@dataclass(frozen=True, slots=True)
class UpstreamFact:
    """What a Stage before this one says of the version.

    `soaked` is the longest time it was healthy there without interruption; `healthy_since` the start of
    the present one. `verified` is None where the Stage has no verification.
    """

    stage: str
    was_there: bool
    soaked: timedelta = timedelta(0)
    healthy_since: datetime | None = None
    verified: bool | None = None


@dataclass(frozen=True, slots=True)
class Seat:
    """A rule for approvals. `members` may fill it, by the names people know and by their `keys`, which no
    two people share; each approval fills one seat of one rule."""

    name: str
    count: int
    members: tuple[str, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckFact:
    """`owner` is who can bring it to an end."""

    name: str
    state: str
    message: str
    owner: str


@dataclass(frozen=True, slots=True)
class ScheduleFact:
    """When a promotion may begin: from `not_before` to `last`. `has_end` where a person set that end.

    `refused` is what kept it back when the gates were last asked in that time.
    """

    not_before: datetime
    last: datetime
    has_end: bool
    time_zone: str
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What registry and GitLab said last. "" is not known yet.

    `worst_allowed` and `pipeline_needed` are the Environment's rules about it.
    """

    worst_allowed: str = ""
    scan_status: str = ""
    scan_severity: str = ""
    pipeline_needed: bool = False
    pipeline_status: str = ""
    tag: str = ""
    tag_is_pinned: bool = False
    tag_moved: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseFact:
    """What the other promotions of a Release let this one wait for. Each is named as people know it.

    `stopped` ended without success, with the reason; `unapproved` wait for approval; `ahead` go first;
    `unhealthy` went first and are not healthy now; `resumes` is when the pause between two waves ends.
    """

    number: int
    stopped: tuple[tuple[str, str], ...] = ()
    unapproved: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()
    unhealthy: tuple[tuple[str, str], ...] = ()
    resumes: datetime | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the gates look at, gathered once. Names are as people know them.

    `approved_by` counts only people who hold the role now and approved this very change in time.
    `expired` are those whose approval has grown too old. `authors_known` is False while nobody has read
    whose commits the change brings, and an Environment asks for it. `skipped` names the gates that broken
    glass or the rules for roll-backs let it pass.
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
    approved_keys: tuple[str, ...] = ()
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    locks: tuple[LockFact, ...] = ()
    freezes: tuple[FreezeFact, ...] = ()
    freeze_is_excepted: bool = False
    block: BlockFact | None = None
    ran_here_before: bool = False
    upstream: tuple[UpstreamFact, ...] = ()
    soak: timedelta = timedelta(0)
    verification_needed: bool = False
    seats: tuple[Seat, ...] = ()
    expired: tuple[str, ...] = ()
    actor_is_author: bool = False
    authors_are_barred: bool = False
    authors_known: bool = True
    evidence: Evidence = field(default_factory=Evidence)
    checks: tuple[CheckFact, ...] = ()
    release: ReleaseFact | None = None
    schedule: ScheduleFact | None = None
    skipped: frozenset[str] = frozenset()
    held_back: str = ""
