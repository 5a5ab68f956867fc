"""Tekton through the Kubernetes API (reference tekton-api.md, kubernetes-watch.md)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Literal, overload

from integrations.errors import Conflict, Rejected
from integrations.http import Retry
from integrations.tekton import reading
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

if TYPE_CHECKING:
    from integrations.tekton.watching import Pace

RUNS: Literal["pipelineruns"] = "pipelineruns"
TASK_RUNS: Literal["taskruns"] = "taskruns"


class TektonClient:
    """One namespace of one cluster. `watch` and `logs` hold their connection: give each a client of its
    own, in its own thread, and close it. All methods raise IntegrationError.

    The token is used as given: after Unauthorized make a new client with a token read anew.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        namespace: str,
        ca_file: str | None = None,
        timeout: float = 10.0,
        retry: Retry | None = None,
        pace: Pace | None = None,
    ) -> None:
        from integrations.tekton.cluster import Cluster  # slow to import, see there

        self._cluster = Cluster(
            url, token, namespace=namespace, ca_file=ca_file, timeout=timeout, retry=retry
        )
        self._pace = pace

    def __repr__(self) -> str:
        return f"<TektonClient {self._cluster.url} {self._cluster.namespace}>"

    def close(self) -> None:
        """Give the connections back."""
        self._cluster.close()

    def list_runs(self) -> tuple[list[PipelineRun], str]:
        """All PipelineRuns and the version of the list."""
        from integrations.tekton.watching import list_all

        items, version = list_all(self._cluster, RUNS)
        return [reading.pipeline_run(item) for item in items], version

    def list_task_runs(self) -> tuple[list[TaskRun], str]:
        """All TaskRuns and the version of the list."""
        from integrations.tekton.watching import list_all

        items, version = list_all(self._cluster, TASK_RUNS)
        return [reading.task_run(item) for item in items], version

    def run(self, name: str) -> PipelineRun:
        """One PipelineRun; NotFound once retention took it."""
        return reading.pipeline_run(self._cluster.get(RUNS, name))

    def task_run(self, name: str) -> TaskRun:
        """One TaskRun."""
        return reading.task_run(self._cluster.get(TASK_RUNS, name))

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
        """The whole list, then every change, until `stop` is set (noticed within half a second).

        A Listed replaces everything: what is not in it is gone. Alive and every other event but Troubled
        mean that what we hold is current. The same object may come again: act on (uid, transition) once.
        Raises Unauthorized when the token is refused; everything else is retried and told as Troubled.
        """
        from integrations.tekton.watching import Pace, Watcher

        pace = self._pace or Pace()
        if kind == "pipelineruns":
            return Watcher(self._cluster, kind, reading.pipeline_run, relist_every, pace).events(stop)
        return Watcher(self._cluster, kind, reading.task_run, relist_every, pace).events(stop)

    def create_pipeline_run(
        self,
        *,
        name: str,
        pipeline: str,
        params: Mapping[str, str],
        labels: Mapping[str, str],
        annotations: Mapping[str, str] | None = None,
    ) -> PipelineRun:
        """Start a run under a fixed name, exactly once: when it exists already, that one is the answer.

        After Unavailable simply ask again. Labels reach TaskRuns and pods too.
        """
        body = {
            "kind": "PipelineRun",
            "metadata": {"name": name, "labels": dict(labels), "annotations": dict(annotations or {})},
            "spec": {
                "pipelineRef": {"name": pipeline},
                "params": [{"name": key, "value": value} for key, value in params.items()],
            },
        }
        try:
            return reading.pipeline_run(self._cluster.create(RUNS, body))
        except Conflict:
            return self.run(name)

    def cancel(self, name: str) -> PipelineRun:
        """Kill the run now, without its finally tasks; a finished run stays as it is. Its pods are deleted
        with their logs (section 4)."""
        try:
            return reading.pipeline_run(self._cluster.patch(RUNS, name, {"spec": {"status": "Cancelled"}}))
        except Rejected as error:
            if "no updates are allowed" not in error.message:
                raise
            return self.run(name)

    def logs(
        self,
        pod: str,
        container: str,
        *,
        follow: bool = False,
        since: datetime | None = None,
        stop: threading.Event | None = None,
        wait: float = 60.0,
        silence: float = 300.0,
    ) -> Iterator[LogLine]:
        """The lines of one container after `since`.

        A container that has not started has no lines: with `follow` it is asked again for `wait` seconds.
        A broken connection is taken up again behind the last line; `silence` seconds without any are one.
        The end is no statement about the step: read the TaskRun, and go on from the last line's time if it
        still runs. NotFound when the pod is gone, logs included.
        """
        from integrations.tekton.logs import read_log

        return read_log(
            self._cluster,
            pod,
            container,
            follow=follow,
            since=since,
            stop=stop or threading.Event(),
            wait=wait,
            silence=silence,
        )
