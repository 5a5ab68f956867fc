"""What Argo CD tells us, as values (reference argocd-api.md). All times are aware and in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

COMPLETED_PHASES = frozenset({"Succeeded", "Failed", "Error"})


@dataclass(frozen=True, slots=True)
class Source:
    """One source of an application, as in its spec; `chart` is "" unless it is a Helm chart."""

    repo_url: str
    path: str
    target_revision: str
    chart: str


@dataclass(frozen=True, slots=True)
class Operation:
    """The last or current sync, from status.operationState.

    `finished_at` alone does not mean finished: during a retry's back-off the phase is Running with
    finishedAt set (section 7). `revisions` are those of the sync result, index = source.
    """

    phase: str
    message: str
    started_at: datetime | None
    finished_at: datetime | None
    retry_count: int
    revisions: tuple[str, ...]
    dry_run: bool
    partial: bool
    infos: Mapping[str, str] = field(default_factory=dict)

    @property
    def completed(self) -> bool:
        return self.phase in COMPLETED_PHASES


@dataclass(frozen=True, slots=True)
class Condition:
    """An entry of status.conditions; types that end in Error block, those in Warning inform."""

    type: str
    message: str
    at: datetime | None

    @property
    def blocks(self) -> bool:
        return self.type.endswith("Error")


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One successful, complete sync: the best list of what was deployed. Oldest first in a snapshot."""

    id: int
    revisions: tuple[str, ...]
    deployed_at: datetime | None
    initiated_by: str


@dataclass(frozen=True, slots=True)
class ApplicationSnapshot:
    """One Application as read at one moment. `revisions` is what Git was *compared against*, index =
    source: not what is deployed. `operation_requested` means a top-level operation is queued or running.
    `images` are live ones, old and new during a rollout. `refreshing`: a refresh annotation is set."""

    name: str
    namespace: str
    project: str
    resource_version: str
    sources: tuple[Source, ...]
    sync_status: str
    revisions: tuple[str, ...]
    health_status: str
    health_since: datetime | None
    reconciled_at: datetime | None
    operation_requested: bool
    operation: Operation | None
    conditions: tuple[Condition, ...]
    images: tuple[str, ...]
    automated: bool
    destination_server: str
    destination_name: str
    history: tuple[HistoryEntry, ...]
    refreshing: bool
    web_url: str
    health_message: str = ""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """`type` is ADDED, MODIFIED or DELETED (DELETED carries the last state)."""

    type: str
    snapshot: ApplicationSnapshot


@dataclass(frozen=True, slots=True)
class Keepalive:
    """The stream is alive and silent: Argo CD's comment line, every 15 s in SSE mode."""


@dataclass(frozen=True, slots=True)
class PodImage:
    """What one container really runs: `digest` is "" until the kubelet has reported an imageID.

    `image` is the reference the pod asks for.
    """

    pod: str
    container: str
    image: str
    digest: str


@dataclass(frozen=True, slots=True)
class UserInfo:
    """Whose token this is; `logged_in` is False for a bad one (the endpoint always answers 200)."""

    logged_in: bool
    username: str


@dataclass(frozen=True, slots=True)
class RevisionMetadata:
    """Author, date and message of a commit as Argo CD knows it."""

    author: str
    date: datetime | None
    message: str
    tags: tuple[str, ...]
