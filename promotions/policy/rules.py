"""An Environment's rules beyond the number of approvals, as its `policy` column holds them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

PREVIOUS = "previous"
# What an Environment may let a roll-back off. What runs, who asks and what people closed stays asked.
LET_OFF = ("order", "soak", "verification", "scan", "pipeline", "checks", "authors", "freeze")
# What broken glass may pass. Never among it: roles, four eyes, the image itself, the change's hash.
BREAKABLE = (*LET_OFF, "approvals", "blocked", "lock", "emergency-stop")
BROKEN_BY_DEFAULT = (*LET_OFF, "approvals")
# What may have Slipway roll back by itself.
CAUSES = ("verification", "degraded")
# How long a promotion may wait without a known end before people are told.
STUCK_AFTER = timedelta(minutes=60)


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """So many different people of a group, or holders of a role, must approve. `name` is what pages say."""

    name: str
    count: int
    group: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True)
class CheckRule:
    """An outside check. With `url` it is asked; else its state is pushed, by `group` where that is set."""

    name: str
    url: str = ""
    secret: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class RollbackRules:
    """What holds for roll-backs instead. `required_approvals` None: as for every promotion.

    After a promotion succeeded its application is watched for `watch`; one that is Degraded for
    `degraded_for` is rolled back, where `automatic` names it.
    """

    required_approvals: int | None = None
    skip: frozenset[str] = frozenset()
    automatic: frozenset[str] = frozenset()
    degraded_for: timedelta = timedelta(minutes=10)
    watch: timedelta = timedelta(hours=1)

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> RollbackRules:
        return cls(
            required_approvals=written.get("required_approvals"),
            skip=frozenset(written.get("skip", ())) & frozenset(LET_OFF),
            automatic=frozenset(written.get("automatic", ())),
            degraded_for=timedelta(minutes=written.get("degraded_for", 10)),
            watch=timedelta(minutes=written.get("watch", 60)),
        )


@dataclass(frozen=True, slots=True)
class BreakGlassRules:
    """Who may break the glass (any of `roles`), and which gates that passes."""

    roles: tuple[str, ...] = ("admin",)
    gates: frozenset[str] = frozenset(BROKEN_BY_DEFAULT)

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> BreakGlassRules:
        return cls(
            roles=tuple(written.get("roles", ("admin",))),
            gates=frozenset(written.get("gates", BROKEN_BY_DEFAULT)) & frozenset(BREAKABLE),
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """`requires` names environments, or holds "previous"; `worst_finding` is Harbor's word, "" for any.

    `time_zone` is where people who set times for promotions live, "" for the site's.
    `required_approvals` (None: the Environment's number) and `skipped` are set for roll-backs only.
    After `stuck_after` people are told that a promotion still waits; None: they never are.
    """

    requires: tuple[str, ...] = ()
    soak: timedelta = timedelta(0)
    verified_upstream: bool = False
    approvals: tuple[ApprovalRule, ...] = ()
    bar_authors: bool = False
    approvals_expire: timedelta | None = None
    worst_finding: str = ""
    pipeline_green: bool = False
    checks: tuple[CheckRule, ...] = ()
    gitlab_freezes: bool = True
    time_zone: str = ""
    rollback: RollbackRules = RollbackRules()
    break_glass: BreakGlassRules = BreakGlassRules()
    required_approvals: int | None = None
    skipped: frozenset[str] = frozenset()
    stuck_after: timedelta | None = STUCK_AFTER

    @classmethod
    def of(cls, policy: Mapping[str, Any]) -> Rules:
        """Read the column; the catalogue wrote it, so what is absent has its default."""
        expire = policy.get("approvals_expire")
        stuck = policy.get("stuck_after", STUCK_AFTER.total_seconds() // 60)
        return cls(
            requires=tuple(policy.get("requires", ())),
            soak=timedelta(minutes=policy.get("soak", 0)),
            verified_upstream=bool(policy.get("verified_upstream", False)),
            approvals=tuple(ApprovalRule(**rule) for rule in policy.get("approvals", ())),
            bar_authors=bool(policy.get("bar_authors", False)),
            approvals_expire=timedelta(minutes=expire) if expire else None,
            worst_finding=str(policy.get("worst_finding", "")),
            pipeline_green=bool(policy.get("pipeline_green", False)),
            checks=tuple(CheckRule(**rule) for rule in policy.get("checks", ())),
            gitlab_freezes=bool(policy.get("gitlab_freezes", True)),
            time_zone=str(policy.get("time_zone", "")),
            rollback=RollbackRules.of(policy.get("rollback", {})),
            break_glass=BreakGlassRules.of(policy.get("break_glass", {})),
            stuck_after=timedelta(minutes=stuck) if stuck else None,
        )

    def for_rollback(self) -> Rules:
        """Return the rules as they hold for bringing back what has proved itself here."""
        own = self.rollback
        return replace(
            self,
            # A number of its own takes the place of the groups' seats, too.
            approvals=self.approvals if own.required_approvals is None else (),
            bar_authors=self.bar_authors and "authors" not in own.skip,
            required_approvals=own.required_approvals,
            skipped=own.skip,
        )
