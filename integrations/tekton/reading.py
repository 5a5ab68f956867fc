"""From Tekton's objects to our values (reference tekton-api.md sections 2, 3 and 5; fixtures/tekton)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from integrations.shape import Json, dig, mapping, moment, number, sequence, text, text_map
from integrations.tekton.types import (
    ChildReference,
    PipelineRun,
    PlannedTask,
    RunStatus,
    SkippedTask,
    Step,
    StepState,
    TaskRun,
)

_PENDING = frozenset({"Pending", "PipelineRunPending", "TaskRunPending"})
# "PipelineRunCancelled" is what very old clusters say.
_CANCELLED = frozenset({"Cancelled", "PipelineRunCancelled", "TaskRunCancelled"})
_EVENT_ID = "triggers.tekton.dev/triggers-eventid"


def pipeline_run(data: Json) -> PipelineRun:
    metadata, spec, status = (mapping(data.get(key)) for key in ("metadata", "spec", "status"))
    labels = text_map(metadata.get("labels"))
    condition = _succeeded(status)
    return PipelineRun(
        uid=text(metadata.get("uid")),
        name=text(metadata.get("name")),
        namespace=text(metadata.get("namespace")),
        resource_version=text(metadata.get("resourceVersion")),
        # With a resolver there is no name; the controller's label is the next best.
        pipeline=text(dig(spec, "pipelineRef", "name")) or labels.get("tekton.dev/pipeline", ""),
        created_at=moment(metadata.get("creationTimestamp")),
        started_at=moment(status.get("startTime")),
        completed_at=moment(status.get("completionTime")),
        status=_status(condition),
        reason=text(condition.get("reason")),
        message=text(condition.get("message")),
        params=_values(spec.get("params")),
        results=_values(status.get("results") or status.get("pipelineResults")),  # the v1beta1 name
        labels=labels,
        annotations=text_map(metadata.get("annotations")),
        tasks=_planned(mapping(status.get("pipelineSpec")) or mapping(spec.get("pipelineSpec"))),
        children=tuple(_child(mapping(entry)) for entry in sequence(status.get("childReferences"))),
        skipped=tuple(_skipped(mapping(entry)) for entry in sequence(status.get("skippedTasks"))),
        event_id=labels.get(_EVENT_ID, ""),
        raw=_raw(data),
    )


def task_run(data: Json) -> TaskRun:
    metadata, status = mapping(data.get("metadata")), mapping(data.get("status"))
    labels = text_map(metadata.get("labels"))
    condition = _succeeded(status)
    state = _status(condition)
    return TaskRun(
        uid=text(metadata.get("uid")),
        name=text(metadata.get("name")),
        resource_version=text(metadata.get("resourceVersion")),
        pipeline_run=labels.get("tekton.dev/pipelineRun", ""),
        pipeline_task=labels.get("tekton.dev/pipelineTask", ""),
        status=state,
        reason=text(condition.get("reason")),
        message=text(condition.get("message")),
        pod_name=text(status.get("podName")),
        started_at=moment(status.get("startTime")),
        completed_at=moment(status.get("completionTime")),
        steps=_steps(sequence(status.get("steps")), finished=state in ("succeeded", "failed", "cancelled")),
        results=_values(status.get("results") or status.get("taskResults")),
        attempt=len(sequence(status.get("retriesStatus"))) + 1,
        namespace=text(metadata.get("namespace")),
        labels=labels,
    )


def _succeeded(status: Json) -> Json:
    for entry in sequence(status.get("conditions")):
        if mapping(entry).get("type") == "Succeeded":
            return mapping(entry)
    return {}


def _status(condition: Json) -> RunStatus:
    """By the condition's status; reasons change with Tekton's version and only colour the words."""
    status, reason = condition.get("status"), text(condition.get("reason"))
    if status == "True":
        return "succeeded"
    if status == "False":
        return "cancelled" if reason in _CANCELLED else "failed"
    return "pending" if not condition or reason in _PENDING else "running"


def _values(entries: object) -> dict[str, str]:
    """Params or results by name; arrays and objects as JSON text. Values keep their final newline."""
    found: dict[str, str] = {}
    for entry in map(mapping, sequence(entries)):
        value = entry.get("value")
        found[text(entry.get("name"))] = value if isinstance(value, str) else json.dumps(value)
    return found


def _planned(spec: Json) -> tuple[PlannedTask, ...]:
    tasks = [PlannedTask(text(dig(entry, "name")), is_finally=False) for entry in sequence(spec.get("tasks"))]
    last = [PlannedTask(text(dig(entry, "name")), is_finally=True) for entry in sequence(spec.get("finally"))]
    return (*tasks, *last)


def _child(data: Json) -> ChildReference:
    return ChildReference(
        kind=text(data.get("kind")),
        name=text(data.get("name")),
        pipeline_task=text(data.get("pipelineTaskName")),
    )


def _skipped(data: Json) -> SkippedTask:
    return SkippedTask(name=text(data.get("name")), reason=text(data.get("reason")))


def _steps(entries: Sequence[object], *, finished: bool) -> tuple[Step, ...]:
    """States by order: containers start together and the entrypoint holds the later ones back, so a step
    after the first that is not done has not begun (section 3), whatever its container says."""
    steps: list[Step] = []
    blocked = False
    for entry in map(mapping, entries):
        state = _step_state(entry, blocked=blocked, finished=finished)
        steps.append(_step(entry, state))
        # onError: continue lets the next step begin after a failure.
        going_on = state == "succeeded" or entry.get("terminationReason") == "Continued" or _continued(entry)
        blocked = blocked or not going_on
    return tuple(steps)


def _step_state(entry: Json, *, blocked: bool, finished: bool) -> StepState:
    ended = mapping(entry.get("terminated"))
    if blocked or entry.get("terminationReason") == "Skipped":
        return "skipped" if finished else "waiting"
    if ended:
        return "succeeded" if number(ended.get("exitCode")) == 0 else "failed"
    if finished:  # the pod went away under it
        return "failed"
    return "running" if isinstance(entry.get("running"), dict) else "waiting"


def _continued(entry: Json) -> bool:
    """onError continue where it has no reason of its own: Completed with a non-zero exit code."""
    ended = mapping(entry.get("terminated"))
    return ended.get("reason") == "Completed" and number(ended.get("exitCode")) != 0


def _step(entry: Json, state: StepState) -> Step:
    ended = mapping(entry.get("terminated"))
    begun = state in ("running", "succeeded", "failed")
    return Step(
        name=text(entry.get("name")),
        container=text(entry.get("container")),
        state=state,
        exit_code=number(ended.get("exitCode")) if begun else None,
        # Never the termination message: it holds Tekton's internal JSON (section 6).
        reason=text(entry.get("terminationReason")) or text(ended.get("reason")),
        started_at=(moment(ended.get("startedAt")) or moment(dig(entry, "running", "startedAt")))
        if begun
        else None,
        finished_at=moment(ended.get("finishedAt")) if begun else None,
    )


def _raw(data: Json) -> str:
    """The object for the record, without managedFields, which are half of its size and say nothing."""
    metadata = {key: value for key, value in mapping(data.get("metadata")).items() if key != "managedFields"}
    return json.dumps({**data, "metadata": metadata}, separators=(",", ":"))
