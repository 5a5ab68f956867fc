"""Keep what running steps print: cancel, time-out and pruning delete the pod and its logs with it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from django.db.models import Value
from django.db.models.functions import Concat

from integrations.errors import IntegrationError, NotFound
from promotions import vendors
from promotions.live import announce
from promotions.models import Connection, StepLog, TaskRun
from promotions.observers.freshness import database_work

if TYPE_CHECKING:
    from integrations.tekton.client import TektonClient
    from integrations.tekton.types import LogLine

log = structlog.get_logger(__name__)
_WRITE_EVERY = 0.3
_MOST_FOLLOWERS = 32
# More than this of one step is not kept: the end of a log that long is in the cluster's own log store.
MOST_CHARACTERS = 1_000_000
_ENDED = ("succeeded", "failed")


@dataclass(frozen=True, slots=True)
class _Step:
    task_run: int
    run: int
    application: int | None
    attempt: int
    container: str
    pod: str


class LogKeeper:
    """Follows the steps of one connection's TaskRuns, a thread each, until they end or `stop` is set."""

    def __init__(self, connection: Connection, stop: threading.Event) -> None:
        self.connection = connection
        self.stop = stop
        self._lock = threading.Lock()
        self._followed: dict[tuple[int, int, str], threading.Thread] = {}

    def keep(self, task: TaskRun) -> None:
        """Follow every step that has begun and whose log is not complete yet."""
        if not task.pod_name:
            return
        complete = set(
            task.logs.filter(attempt=task.attempt, complete=True).values_list("container", flat=True)
        )
        for step in task.steps:
            if step["state"] in ("running", *_ENDED) and step["container"] not in complete:
                self._start(
                    _Step(
                        task.pk,
                        task.run_id,
                        task.run.application_id,
                        task.attempt,
                        step["container"],
                        task.pod_name,
                    )
                )

    def _start(self, step: _Step) -> None:
        key = (step.task_run, step.attempt, step.container)
        with self._lock:
            if key in self._followed or len(self._followed) >= _MOST_FOLLOWERS:
                return
            thread = threading.Thread(
                target=self._follow, args=(key, step), name=f"log {step.pod}", daemon=True
            )
            self._followed[key] = thread
        thread.start()

    def close(self) -> None:
        """Wait, for a bounded time, until the followers have seen that they should stop."""
        with self._lock:
            threads = list(self._followed.values())
        for thread in threads:
            thread.join(timeout=1)

    def _follow(self, key: tuple[int, int, str], step: _Step) -> None:
        try:
            with database_work():
                client = vendors.tekton(self.connection)
            self._copy(client, step)
        except NotFound:
            # The pod is gone: what was kept is all there will ever be.
            with database_work():
                _finish(step)
        except IntegrationError as error:
            log.info("a log broke off", pod=step.pod, container=step.container, error=str(error))
        finally:
            with self._lock:
                self._followed.pop(key, None)

    def _copy(self, client: TektonClient, step: _Step) -> None:
        with database_work():
            row, _new = StepLog.objects.get_or_create(
                task_run_id=step.task_run, attempt=step.attempt, container=step.container
            )
        waiting: list[LogLine] = []
        written = time.monotonic()
        for line in client.logs(step.pod, step.container, follow=True, since=row.last_at):
            if self.stop.is_set():
                break
            if not (row.last_at and line.at and line.at <= row.last_at):
                waiting.append(line)
            if waiting and time.monotonic() - written > _WRITE_EVERY:
                _append(row, step, waiting)
                waiting, written = [], time.monotonic()
        _append(row, step, waiting)
        if not self.stop.is_set():
            with database_work():
                if _has_ended(step):
                    _finish(step)


def _append(row: StepLog, step: _Step, lines: list[LogLine]) -> None:
    if not lines:
        return
    # PostgreSQL takes no NUL in text.
    text = "".join(f"{line.text}\n" for line in lines).replace("\x00", "")
    row.last_at = lines[-1].at or row.last_at
    room = max(0, MOST_CHARACTERS - row.length)
    row.length, row.truncated = row.length + len(text), row.truncated or len(text) > room
    with database_work():
        StepLog.objects.filter(pk=row.pk).update(
            text=Concat("text", Value(text[:room])),
            last_at=row.last_at,
            length=row.length,
            truncated=row.truncated,
        )
        announce("log", f"{step.run}/{row.pk}", application_id=step.application)


def _has_ended(step: _Step) -> bool:
    task = TaskRun.objects.filter(pk=step.task_run).first()
    if task is None or task.attempt != step.attempt:
        return True
    return any(s["container"] == step.container and s["state"] in _ENDED for s in task.steps)


def _finish(step: _Step) -> None:
    StepLog.objects.filter(task_run_id=step.task_run, attempt=step.attempt, container=step.container).update(
        complete=True
    )
