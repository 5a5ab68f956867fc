"""Tekton's runs, as values (reference tekton-api.md). All times are aware and in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Literal, TypeVar

from integrations.errors import IntegrationError

RunStatus = Literal["pending", "running", "succeeded", "failed", "cancelled"]
StepState = Literal["waiting", "running", "succeeded", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """A task of the resolved pipeline, in the order it is written; finally tasks come last."""

    name: str
    is_finally: bool


@dataclass(frozen=True, slots=True)
class ChildReference:
    """A TaskRun, CustomRun or nested PipelineRun of a run: its name is read, never built (section 3)."""

    kind: str
    name: str
    pipeline_task: str


@dataclass(frozen=True, slots=True)
class SkippedTask:
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """One run. `status` follows the Succeeded condition's status, `reason` is wording only (section 2).

    Params and results that are lists or objects are given as JSON text. `event_id` is the id Triggers
    gave to the event that made the run, else "". `raw` is the object as JSON.
    """

    uid: str
    name: str
    namespace: str
    resource_version: str
    pipeline: str
    created_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    status: RunStatus
    reason: str
    message: str
    params: Mapping[str, str] = field(default_factory=dict)
    results: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    tasks: tuple[PlannedTask, ...] = ()
    children: tuple[ChildReference, ...] = ()
    skipped: tuple[SkippedTask, ...] = ()
    event_id: str = ""
    raw: str = field(default="", repr=False)

    @property
    def finished(self) -> bool:
        return self.status in ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Step:
    """One step. The state is derived by order: all containers of a pod start at once (section 3)."""

    name: str
    container: str
    state: StepState
    exit_code: int | None
    reason: str
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class TaskRun:
    """One TaskRun; `attempt` counts from 1. `pod_name` is "" before the pod exists."""

    uid: str
    name: str
    resource_version: str
    pipeline_run: str
    pipeline_task: str
    status: RunStatus
    reason: str
    message: str
    pod_name: str
    started_at: datetime | None
    completed_at: datetime | None
    steps: tuple[Step, ...] = ()
    results: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 1
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        return self.status in ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image a run says it pushed. `repository` includes the host; `tag` is "" when not told."""

    repository: str
    tag: str
    digest: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """`at` is the kubelet's timestamp; None for a line that had none."""

    at: datetime | None
    text: str


Run = TypeVar("Run", PipelineRun, TaskRun)


@dataclass(frozen=True, slots=True)
class Listed(Generic[Run]):
    """The whole truth at `resource_version`: whatever is not in it is gone."""

    items: tuple[Run, ...]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Changed(Generic[Run]):
    """Added or modified; the same version may come again after a reconnect."""

    item: Run


@dataclass(frozen=True, slots=True)
class Deleted(Generic[Run]):
    """Gone, with its last state. For a finished run this is retention, not a failure (section 10)."""

    item: Run


@dataclass(frozen=True, slots=True)
class Alive:
    """The server was heard from (a bookmark or an orderly end of the watch): what we hold is current."""


@dataclass(frozen=True, slots=True)
class Troubled:
    """The watch is down and will be tried again by itself after `retry_in` seconds."""

    error: IntegrationError
    retry_in: float
