"""Has revision X arrived? The rule of reference argocd-api.md section 8, on one snapshot.

Pure: what it needs to know about Git, time and our own operation comes in as arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from integrations.argocd.types import ApplicationSnapshot, Condition, Operation

GRACE = timedelta(seconds=90)
SETTLE = timedelta(seconds=5)

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is one sentence for people, in Argo CD's own words where it has some. `needs_refresh`: what
    Argo CD shows is older than what we wait for; send one refresh per 30 s at most."""

    state: Literal["waiting", "arrived", "failed"]
    reason: str
    needs_refresh: bool = False


@dataclass(frozen=True, slots=True)
class _Case:
    """The question, with what several rules need of the answer worked out once."""

    app: ApplicationSnapshot
    accepts: Callable[[str], bool]
    committed_at: datetime
    now: datetime
    our_info: tuple[str, str] | None
    degraded_since: datetime | None
    grace: timedelta
    settle: timedelta
    indices: tuple[int, ...]

    @property
    def operation(self) -> Operation | None:
        return self.app.operation

    @property
    def busy(self) -> bool:
        """finishedAt says nothing: it is set during a retry's back-off too (section 7)."""
        return self.app.operation_requested or (self.operation is not None and not self.operation.completed)

    @property
    def ours(self) -> bool:
        """The operation carries our tag; never recognised by position in time alone (race 6)."""
        if self.operation is None or self.our_info is None:
            return False
        key, value = self.our_info
        return self.operation.infos.get(key) == value

    @property
    def sees_revision(self) -> bool:
        """sync.revision is X or a descendant (race 5), for every source of our repository."""
        return bool(self.indices) and all(
            index < len(self.app.revisions) and self.accepts(self.app.revisions[index])
            for index in self.indices
        )

    @property
    def operation_is_about_x(self) -> bool:
        """Ours, or on X; a result that kept an ambiguous text such as "main" counts by its start time."""
        operation = self.operation
        if operation is None or self.ours:
            return operation is not None
        revisions = [operation.revisions[index] for index in self.indices if index < len(operation.revisions)]
        if revisions and all(_COMMIT.fullmatch(revision) for revision in revisions):
            return all(self.accepts(revision) for revision in revisions)
        return operation.started_at is not None and operation.started_at >= self.committed_at

    @property
    def looked_since_commit(self) -> bool:
        return self._later(self.app.reconciled_at, self.committed_at)

    @property
    def looked_since_operation(self) -> bool:
        """Only then health and sync are about what the operation left behind (races 1 and 2)."""
        if self.operation is None or self.operation.finished_at is None:
            return True
        return self._later(self.app.reconciled_at, self.operation.finished_at)

    def _later(self, reconciled_at: datetime | None, moment: datetime) -> bool:
        # reconciledAt is a reconcile's start in whole seconds: an equal one may still be from before,
        # unless nothing has changed for a while.
        if reconciled_at is None:
            return False
        same_second = reconciled_at == moment.replace(microsecond=0)
        return reconciled_at > moment or (same_second and self.now - moment >= self.settle)


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
    """Whether the application is synced and healthy at our commit, still on its way, or has failed.

    `accepts` tells whether a revision is X or a descendant of it; `committed_at` is X's commit time;
    `our_info` the (name, value) we put into the sync's infos; `degraded_since` when the caller first saw
    it Degraded without a break. The sources are found by `source_index`, or by the repository's path.

    Dry runs and partial syncs prove nothing (race 9), but self-healing makes partial syncs all the time:
    they are passed over, and the application's state, read after them, decides.
    """
    indices = _indices(snapshot, repo_url, source_index)
    if not indices:
        return Verdict("failed", f"The application {snapshot.name} does not use the repository {repo_url}")
    case = _Case(snapshot, accepts, committed_at, now, our_info, degraded_since, grace, settle, indices)
    return _failure(case) or _delay(case) or Verdict("arrived", f"Synced and healthy at {_short(case)}")


def _indices(
    snapshot: ApplicationSnapshot, repo_url: str | None, source_index: int | None
) -> tuple[int, ...]:
    if source_index is not None:
        return (source_index,) if 0 <= source_index < len(snapshot.sources) else ()
    if repo_url is None:
        return tuple(range(len(snapshot.sources)))
    wanted = repository_path(repo_url)
    return tuple(
        index
        for index, source in enumerate(snapshot.sources)
        if not source.chart and repository_path(source.repo_url) == wanted
    )


def repository_path(url: str) -> str:
    """`group/name` of a repository address in any form. The host is left out: Argo CD often reaches
    GitLab by another name or over SSH than we do."""
    rest = re.sub(r"^[a-z+]+://", "", url.strip().lower())
    host_end = min((position for position in (rest.find("/"), rest.find(":")) if position >= 0), default=-1)
    path = re.sub(r"^[0-9]+/", "", rest[host_end + 1 :])  # the port of ssh://git@host:2222/group/name
    return path.strip("/").removesuffix(".git")


def _failure(case: _Case) -> Verdict | None:
    operation = case.operation
    ended_badly = operation is not None and operation.phase in ("Failed", "Error") and not case.busy
    if operation is not None and ended_badly and case.operation_is_about_x and _proves(operation):
        return Verdict("failed", f"The sync failed: {operation.message or operation.phase}")
    condition = _blocking(case)
    if condition is not None and case.looked_since_commit and _lasts(case, condition.at):
        return Verdict("failed", f"Argo CD reports {condition.type}: {condition.message}")
    return _degraded(case)


def _degraded(case: _Case) -> Verdict | None:
    """Degraded for good, with our revision applied: short flaps are part of rollouts (race 10)."""
    about_x = case.sees_revision and (not case.busy or case.operation_is_about_x)
    if case.app.health_status != "Degraded" or not about_x or not case.looked_since_commit:
        return None
    operation = case.operation
    applied = (operation.finished_at or operation.started_at) if operation else None
    since = max(filter(None, (case.degraded_since or case.app.health_since, applied)), default=None)
    if not _lasts(case, since):
        return None
    detail = f": {case.app.health_message}" if case.app.health_message else ""
    return Verdict("failed", f"The application is degraded at {_short(case)}{detail}")


def _lasts(case: _Case, since: datetime | None) -> bool:
    """Longer than the grace, counted from our commit at the earliest: the commit may be the cure."""
    start = max(since, case.committed_at) if since else case.committed_at
    return case.now - start > case.grace


def _delay(case: _Case) -> Verdict | None:
    """Why it has not arrived yet, None when it has."""
    if case.busy:
        return Verdict("waiting", _busy_reason(case))
    stale = not case.app.refreshing
    if not case.sees_revision:
        return Verdict("waiting", "Argo CD has not seen the commit yet", needs_refresh=stale)
    if not case.looked_since_operation or not case.looked_since_commit:
        return Verdict("waiting", "Argo CD has not looked at the cluster since the sync", needs_refresh=stale)
    reason = _state_reason(case)
    return Verdict("waiting", reason) if reason else None


def _busy_reason(case: _Case) -> str:
    operation = case.operation
    if operation is None or operation.completed:
        return "A sync is queued"
    said = f": {operation.message}" if operation.message else ""
    if operation.phase == "Terminating":
        return f"The running sync is being stopped{said}"
    if not case.operation_is_about_x:
        # Race 7: a retrying sync stays on its old commit and blocks newer ones.
        return f"Argo CD is still busy with a sync of another revision{said}"
    return f"The sync is being retried{said}" if operation.retry_count else f"The sync is running{said}"


def _state_reason(case: _Case) -> str:
    app = case.app
    condition = _blocking(case)
    if condition is not None:
        return f"Argo CD reports {condition.type}: {condition.message}"
    if app.sync_status != "Synced":
        who = "its automation will sync it" if app.automated else "it waits for a sync"
        return f"The application is {app.sync_status or 'not compared yet'}: {who}"
    if app.health_status != "Healthy":
        return _HEALTH.get(
            app.health_status, f"The application's health is {app.health_status or 'not known yet'}"
        )
    if app.health_since is not None and case.now - app.health_since < case.settle:
        return "The application is healthy; waiting a few seconds for it to stay so"
    return ""


_HEALTH = {
    "Progressing": "The rollout is progressing",
    "Degraded": "The application is degraded; rollouts may recover from that",
    "Suspended": "The application is paused (Suspended)",
    "Missing": "Resources are missing in the cluster",
}


def _blocking(case: _Case) -> Condition | None:
    return next((condition for condition in case.app.conditions if condition.blocks), None)


def _proves(operation: Operation) -> bool:
    return not operation.dry_run and not operation.partial


def _short(case: _Case) -> str:
    return ", ".join(
        case.app.revisions[index][:8] for index in case.indices if index < len(case.app.revisions)
    )
