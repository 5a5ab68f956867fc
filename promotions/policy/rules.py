"""An Environment's rules beyond the number of approvals, as its `policy` column holds them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

PREVIOUS = "previous"


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

    `time_zone` is where people who set times for promotions live, "" for the site's.
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

    @classmethod
    def of(cls, policy: Mapping[str, Any]) -> Rules:
        """Read the column; the catalogue wrote it, so what is absent has its default."""
        expire = policy.get("approvals_expire")
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
        )
