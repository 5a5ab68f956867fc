"""Tekton's runs: what is being built and verified. List and watch; kept here, for clusters prune them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from django.utils import timezone

from integrations.errors import IntegrationError, Unauthorized
from integrations.images import parse_image
from integrations.tekton import types as tekton
from promotions import engine, vendors
from promotions.live import announce_all
from promotions.models import Application, Connection, Image, PipelineRun, Promotion, TaskRun
from promotions.observers.freshness import Freshness, database_work
from promotions.observers.logs import LogKeeper
from promotions.steps.verify import PROMOTION_LABEL
from promotions.versions import record_version

if TYPE_CHECKING:
    from integrations.tekton.client import TektonClient

Kind = Literal["pipelineruns", "taskruns"]


def observe_runs(freshness: Freshness, stop: threading.Event) -> None:
    """Watch a namespace's PipelineRuns."""
    _observe(freshness, stop, "pipelineruns", None)


def observe_tasks(freshness: Freshness, stop: threading.Event) -> None:
    """Watch a namespace's TaskRuns, and keep what their steps print."""
    keeper = LogKeeper(freshness.upstream.connection, stop)
    try:
        _observe(freshness, stop, "taskruns", keeper)
    finally:
        keeper.close()


def _observe(freshness: Freshness, stop: threading.Event, kind: Kind, keeper: LogKeeper | None) -> None:
    while not stop.is_set():
        try:
            with database_work():
                client = vendors.tekton(freshness.upstream.connection)
            _follow(client, freshness, stop, kind, keeper)
        except IntegrationError as error:
            freshness.troubled(error)
            stop.wait(60.0 if isinstance(error, Unauthorized) else 5.0)


def _follow(
    client: TektonClient,
    freshness: Freshness,
    stop: threading.Event,
    kind: Kind,
    keeper: LogKeeper | None,
) -> None:
    connection = freshness.upstream.connection
    for event in client.watch(kind, stop=stop):
        if isinstance(event, tekton.Troubled):
            freshness.troubled(event.error)
            continue
        with database_work():
            match event:
                case tekton.Listed():
                    for item in event.items:
                        _take(connection, item, keeper)
                    if kind == "pipelineruns":
                        _mark_gone(connection, {item.uid for item in event.items})
                case tekton.Changed():
                    _take(connection, event.item, keeper)
                case tekton.Deleted():
                    PipelineRun.objects.filter(connection=connection, uid=event.item.uid).update(
                        gone_at=timezone.now()
                    )
        freshness.seen()


def _take(
    connection: Connection, item: tekton.PipelineRun | tekton.TaskRun, keeper: LogKeeper | None
) -> None:
    if isinstance(item, tekton.PipelineRun):
        take_run(connection, item)
        return
    row = take_task(connection, item)
    if row is not None and keeper is not None:
        keeper.keep(row)


def _mark_gone(connection: Connection, present: set[str]) -> None:
    """A run that a list no longer holds was pruned: retention, not a failure (tekton-api.md section 10)."""
    PipelineRun.objects.filter(connection=connection, gone_at=None).exclude(uid__in=present).update(
        gone_at=timezone.now()
    )


def take_run(connection: Connection, run: tekton.PipelineRun) -> PipelineRun:
    """Keep a PipelineRun as observed."""
    known = PipelineRun.objects.filter(connection=connection, uid=run.uid).first()
    if known is not None and known.resource_version == run.resource_version:
        return known
    promotion = (
        Promotion.objects.filter(key=run.labels[PROMOTION_LABEL]).select_related("stage__application").first()
        if run.labels.get(PROMOTION_LABEL)
        else None
    )
    row, _new = PipelineRun.objects.update_or_create(
        connection=connection,
        uid=run.uid,
        defaults={
            "namespace": run.namespace,
            "name": run.name,
            "pipeline": run.pipeline,
            "status": run.status,
            "reason": run.reason,
            "message": run.message,
            "params": dict(run.params),
            "results": dict(run.results),
            "plan": [{"name": task.name, "is_finally": task.is_finally} for task in run.tasks],
            "skipped": {task.name: task.reason for task in run.skipped},
            "event_id": run.event_id,
            "resource_version": run.resource_version,
            "created_at": run.created_at or timezone.now(),
            "started_at": run.started_at,
            "completed_at": run.completed_at,
            "promotion": promotion,
            "application": promotion.stage.application if promotion else _application_of(run, known),
        },
    )
    _record_builds(row)
    _tell(row)
    if promotion is not None:
        engine.wake(promotion)
    return row


def _application_of(run: tekton.PipelineRun, known: PipelineRun | None) -> Application | None:
    """Recognise whose run it is by the source project its parameters name, or by the image it builds."""
    if known is not None and known.application is not None:
        return known.application
    values = [value.strip() for value in run.params.values()]
    for application in Application.objects.prefetch_related("images"):
        project = "/" + application.source_project.lower()
        if any(value.lower().removesuffix(".git").endswith(project) for value in values):
            return application
        if any(_names_image(value, image) for value in values for image in application.images.all()):
            return application
    return None


def _names_image(value: str, image: Image) -> bool:
    try:
        return parse_image(value).name == parse_image(image.repository).name
    except ValueError:
        return False


def take_task(connection: Connection, task: tekton.TaskRun) -> TaskRun | None:
    """Keep a TaskRun as observed; None while its PipelineRun is not known yet (a list will bring both)."""
    run = (
        PipelineRun.objects.filter(connection=connection, name=task.pipeline_run)
        .order_by("-created_at")
        .first()
    )
    if run is None:
        run = _fetch_run(connection, task.pipeline_run)
    if run is None:
        return None
    known = run.task_runs.filter(uid=task.uid).first()
    if known is not None and known.resource_version == task.resource_version:
        return known
    row, _new = TaskRun.objects.update_or_create(
        run=run,
        uid=task.uid,
        defaults={
            "name": task.name,
            "task": task.pipeline_task,
            "status": task.status,
            "reason": task.reason,
            "message": task.message,
            "pod_name": task.pod_name,
            "attempt": task.attempt,
            "steps": [_step(step) for step in task.steps],
            "results": {name: value.strip() for name, value in task.results.items()},
            "resource_version": task.resource_version,
            "started_at": task.started_at,
            "completed_at": task.completed_at,
        },
    )
    _learn_commit(run, row)
    if row.status == "succeeded":
        _record_builds(run)
    _tell(run)
    return row


def _fetch_run(connection: Connection, name: str) -> PipelineRun | None:
    """The two watches are not ordered: a task may be heard of before its run."""
    if not name:
        return None
    try:
        return take_run(connection, vendors.tekton(connection).run(name))
    except IntegrationError:
        return None


def _step(step: tekton.Step) -> dict[str, object]:
    return {
        "name": step.name,
        "container": step.container,
        "state": step.state,
        "exit_code": step.exit_code,
        "reason": step.reason,
        "started_at": step.started_at.isoformat() if step.started_at else None,
        "finished_at": step.finished_at.isoformat() if step.finished_at else None,
    }


def _learn_commit(run: PipelineRun, task: TaskRun) -> None:
    """git-clone reports the commit it checked out (tekton-api.md section 9)."""
    commit = task.results.get("commit", "")
    if commit and run.commit != commit:
        run.commit = commit
        run.save(update_fields=["commit"])


def _record_builds(run: PipelineRun) -> None:
    """A successful build task names its image and digest in type hints (tekton-api.md section 8)."""
    from integrations.tekton.results import images_of

    sources = [run.results] if run.status == "succeeded" else []
    sources += [task.results for task in run.task_runs.all() if task.status == "succeeded"]
    for results in sources:
        for built in images_of(results):
            for image in Image.objects.select_related("application"):
                if _names_image(built.repository, image):
                    _record(image, run, built)


def _record(image: Image, run: PipelineRun, built: tekton.BuiltImage) -> None:
    if run.application_id is None:
        run.application = image.application
        run.save(update_fields=["application"])
    if built.digest:
        # A tag in a result is the tag at build time: only the registry knows where it points now.
        known = image.versions.filter(digest=built.digest).exists()
        record_version(
            image,
            built.digest,
            tags=[] if known else [built.tag],
            commit=run.commit,
            created_at=run.completed_at,
            run=run,
        )


def _tell(run: PipelineRun) -> None:
    fragments: list[tuple[str, object]] = [("run", run.pk)]
    if run.application_id:
        fragments.append(("runs", run.application_id))
    announce_all(*fragments, application_id=run.application_id)
