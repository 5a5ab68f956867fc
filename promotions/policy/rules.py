"""An Environment's rules beyond the number of approvals, as its `policy` column holds them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

PREVIOUS = "previous"
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
class Rules:
    """`requires` names environments, or holds "previous"; `worst_finding` is Harbor's word, "" for any.

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
            stuck_after=timedelta(minutes=stuck) if stuck else None,
        )
