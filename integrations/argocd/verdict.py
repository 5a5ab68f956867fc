"""Has revision X arrived? The rule of reference argocd-api.md section 8. Contract: body follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from integrations.argocd.types import ApplicationSnapshot

GRACE = timedelta(seconds=90)
SETTLE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is one sentence for people, in Argo CD's own words where it has some."""

    state: Literal["waiting", "arrived", "failed"]
    reason: str
    needs_refresh: bool = False


def judge(
    snapshot: ApplicationSnapshot,
    *,
    accepts: Callable[[str], bool],
    committed_at: datetime,
    now: datetime,
    repo_url: str | None = None,
    source_index: int | None = None,
    our_info: tuple[str, str] | None = None,
    degraded_since: datetime | None = None,
    grace: timedelta = GRACE,
    settle: timedelta = SETTLE,
) -> Verdict:
    raise NotImplementedError
