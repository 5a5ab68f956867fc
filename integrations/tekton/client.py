"""Tekton through the Kubernetes API (reference tekton-api.md). Contract: bodies follow."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Literal, overload

from integrations.tekton.types import (
    Alive,
    Changed,
    Deleted,
    Listed,
    LogLine,
    PipelineRun,
    TaskRun,
    Troubled,
)


class TektonClient:
    """One namespace of one cluster. Long-lived iterators want a client of their own thread."""

    def __init__(
        self, url: str, token: str, *, namespace: str, ca_file: str | None = None, timeout: float = 10.0
    ) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def list_runs(self) -> tuple[list[PipelineRun], str]:
        raise NotImplementedError

    def list_task_runs(self) -> tuple[list[TaskRun], str]:
        raise NotImplementedError

    def run(self, name: str) -> PipelineRun:
        raise NotImplementedError

    def task_run(self, name: str) -> TaskRun:
        raise NotImplementedError

    @overload
    def watch(
        self, kind: Literal["pipelineruns"], *, stop: threading.Event, relist_every: float = 600.0
    ) -> Iterator[Listed[PipelineRun] | Changed[PipelineRun] | Deleted[PipelineRun] | Alive | Troubled]: ...
    @overload
    def watch(
        self, kind: Literal["taskruns"], *, stop: threading.Event, relist_every: float = 600.0
    ) -> Iterator[Listed[TaskRun] | Changed[TaskRun] | Deleted[TaskRun] | Alive | Troubled]: ...
    def watch(
        self, kind: Literal["pipelineruns", "taskruns"], *, stop: threading.Event, relist_every: float = 600.0
    ) -> Iterator[object]:
        raise NotImplementedError

    def create_pipeline_run(
        self,
        *,
        name: str,
        pipeline: str,
        params: Mapping[str, str],
        labels: Mapping[str, str],
        annotations: Mapping[str, str] | None = None,
    ) -> PipelineRun:
        raise NotImplementedError

    def cancel(self, name: str) -> PipelineRun:
        raise NotImplementedError

    def logs(
        self, pod: str, container: str, *, follow: bool = False, since: datetime | None = None
    ) -> Iterator[LogLine]:
        raise NotImplementedError
