"""Pipeline runs: the table of an application, one run's tasks in planned order, the tail of a log."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models.functions import Length, Right
from django.urls import reverse
from django.utils.dateparse import parse_datetime

from promotions.models import Application, PipelineRun, StepLog, TaskRun
from promotions.present.commits import CommitNote, commit_index, commit_note
from promotions.present.links import safe_url
from promotions.present.marks import Mark, run_mark, task_step_mark

_NEWEST = 10
_TAIL_LINES = 500
# A line may be very long: the database hands over no more than this for a tail.
_TAIL_CHARACTERS = 200_000
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|[\x00-\x08\x0b-\x1f\x7f]"
)


@dataclass(frozen=True, slots=True)
class RunRow:
    name: str
    url: str
    pipeline: str
    mark: Mark
    commit: CommitNote | None
    created_at: datetime
    seconds: float | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class RecentRuns:
    application_id: int
    rows: tuple[RunRow, ...]


@dataclass(frozen=True, slots=True)
class Log:
    """The end of what a step printed. `place` is the same before there is anything to show."""

    place: str
    text: str = ""
    is_cut: bool = False
    is_complete: bool = False
    was_truncated: bool = False
    raw_url: str = ""


@dataclass(frozen=True, slots=True)
class StepRow:
    name: str
    mark: Mark
    exit_code: int | None
    reason: str
    seconds: float | None
    log: Log
    is_open: bool


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A planned task. `mark` is None while it has not begun; `skipped` is the vendor's reason."""

    name: str
    is_finally: bool
    attempt: int
    mark: Mark | None
    skipped: str
    reason: str
    message: str
    started_at: datetime | None
    seconds: float | None
    since: datetime | None
    steps: tuple[StepRow, ...]


@dataclass(frozen=True, slots=True)
class Run:
    run: PipelineRun
    mark: Mark
    seconds: float | None
    since: datetime | None
    commit: CommitNote | None
    tasks: tuple[TaskRow, ...]
    promotion_url: str
    web_url: str


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    return (end - begin).total_seconds() if begin and end else None


def recent(key: str) -> RecentRuns | None:
    """Return the newest runs of the application with this id, None when it is gone."""
    application = Application.objects.filter(pk=key).first()
    if application is None:
        return None
    newest = list(application.runs.all()[:_NEWEST])
    index = commit_index(run.commit for run in newest)
    return RecentRuns(
        application.pk,
        tuple(
            RunRow(
                run.name,
                run.get_absolute_url(),
                run.pipeline,
                run_mark(run.status),
                commit_note(application, run.commit, index),
                run.created_at,
                _seconds(run.started_at, run.completed_at),
                None if run.is_finished else run.started_at,
            )
            for run in newest
        ),
    )


def run(key: str) -> Run | None:
    """Return the run with this id, its tasks in the order the pipeline plans them."""
    found = PipelineRun.objects.select_related("application", "promotion").filter(pk=key).first()
    if found is None:
        return None
    commit = None
    if found.application:
        commit = commit_note(found.application, found.commit, commit_index([found.commit]))
    return Run(
        found,
        run_mark(found.status),
        _seconds(found.started_at, found.completed_at),
        None if found.is_finished else found.started_at,
        commit,
        tuple(_tasks(found)),
        found.promotion.get_absolute_url() if found.promotion else "",
        safe_url(found.web_url),
    )


def _tasks(found: PipelineRun) -> Iterable[TaskRow]:
    by_name: dict[str, list[TaskRun]] = defaultdict(list)
    for task_run in found.task_runs.all():
        by_name[task_run.task].append(task_run)
    logs = {(log.task_run_id, log.attempt, log.container): log for log in _tails(found)}
    planned = [(str(task.get("name", "")), bool(task.get("is_finally"))) for task in found.plan]
    names = {name for name, _is_finally in planned}
    # A run whose pipeline could not be resolved has no plan: then the order is that of their start.
    planned += [(name, False) for name in by_name if name not in names]
    for name, is_finally in planned:
        if name in by_name:
            yield from (_task(task_run, is_finally, found.pk, logs) for task_run in by_name[name])
        else:
            yield _not_begun(name, is_finally, str(found.skipped.get(name, "")))


def _not_begun(name: str, is_finally: bool, skipped: str) -> TaskRow:
    return TaskRow(name, is_finally, 1, None, skipped, "", "", None, None, None, ())


Logs = Mapping[tuple[int, int, str], StepLog]


def _task(task_run: TaskRun, is_finally: bool, run_id: int, logs: Logs) -> TaskRow:
    is_over = task_run.completed_at is not None
    return TaskRow(
        task_run.task,
        is_finally,
        task_run.attempt,
        run_mark(task_run.status),
        "",
        task_run.reason,
        task_run.message,
        task_run.started_at,
        _seconds(task_run.started_at, task_run.completed_at),
        None if is_over else task_run.started_at,
        tuple(_step(task_run, step, run_id, logs) for step in task_run.steps),
    )


def _step(task_run: TaskRun, step: Mapping[str, Any], run_id: int, logs: Logs) -> StepRow:
    state = str(step.get("state", "waiting"))
    container = str(step.get("container", ""))
    row = logs.get((task_run.pk, task_run.attempt, container))
    exit_code = step.get("exit_code")
    return StepRow(
        str(step.get("name", "")),
        task_step_mark(state),
        exit_code if isinstance(exit_code, int) else None,
        str(step.get("reason") or ""),
        _seconds(_time(step.get("started_at")), _time(step.get("finished_at"))),
        _log(row, run_id) if row else Log(_place(task_run.pk, task_run.attempt, container)),
        state in ("running", "failed"),
    )


def _time(value: object) -> datetime | None:
    return parse_datetime(value) if isinstance(value, str) else None


def _tails(found: PipelineRun) -> list[StepLog]:
    return list(_with_tail().filter(task_run__run=found))


def _with_tail() -> Any:
    """Leave the text where it is: a log may be megabytes, a page shows its end."""
    return StepLog.objects.defer("text").annotate(tail=Right("text", _TAIL_CHARACTERS), kept=Length("text"))


def log(key: str) -> Log | None:
    """Return the tail for the key "<run id>/<log id>", None when there is no such log."""
    run_id, _slash, log_id = key.partition("/")
    row = _with_tail().filter(pk=int(log_id), task_run__run=int(run_id)).first()
    return _log(row, int(run_id)) if row else None


def _log(row: Any, run_id: int) -> Log:
    text = readable(row.tail)
    lines = text.split("\n")
    is_cut = row.kept > len(row.tail) or len(lines) > _TAIL_LINES + 1
    # The last line ends with a line break, so the last element is empty.
    kept = "\n".join(lines[-_TAIL_LINES - 1 :])
    raw_url = reverse("run-log", args=[run_id, row.pk])
    place = _place(row.task_run_id, row.attempt, row.container)
    return Log(place, kept, is_cut, row.complete, row.truncated, raw_url)


def _place(task_run_id: int, attempt: int, container: str) -> str:
    return f"{task_run_id}-{attempt}-{container}"


def readable(text: str) -> str:
    """Take out colour codes and control characters, and keep what overwrote a line (progress bars)."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(_ESCAPES.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in lines)
