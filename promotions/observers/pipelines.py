"""GitLab CI's pipelines of source projects: the build that is under way, and the version it made.

There is no watch for them: a webhook names one, and it is then read from GitLab. Its jobs and their logs
stay there; the run's page links to them.
"""

from __future__ import annotations

from django.utils import timezone

from integrations.errors import NotFound
from integrations.gitlab.types import Pipeline
from promotions import vendors
from promotions.choices import RunStatus
from promotions.live import announce, announce_all
from promotions.models import Application, Connection, ImageVersion, PipelineRun

_STATUS = {
    "running": RunStatus.RUNNING,
    "success": RunStatus.SUCCEEDED,
    "failed": RunStatus.FAILED,
    "canceled": RunStatus.CANCELLED,
    "canceling": RunStatus.CANCELLED,
    "skipped": RunStatus.CANCELLED,
}


def look_at_pipeline(connection_id: int, project: str, number: int) -> None:
    """Keep a pipeline as GitLab tells it now; raises IntegrationError."""
    applications = Application.objects.filter(
        source_connection_id=connection_id, source_project__iexact=project
    )
    if not applications:
        return
    gitlab = Connection.objects.get(pk=connection_id)
    try:
        pipeline = vendors.gitlab(gitlab).pipeline(project, number)
    except NotFound:  # deleted since, or not ours to see
        return
    for application in applications:
        _take(gitlab, application, pipeline)


def _take(gitlab: Connection, application: Application, pipeline: Pipeline) -> None:
    status = _STATUS.get(pipeline.status, RunStatus.PENDING)
    is_over = status not in (RunStatus.PENDING, RunStatus.RUNNING)
    row, _new = PipelineRun.objects.update_or_create(
        connection=gitlab,
        # Applications may share a source project: each gets a row of its own.
        uid=f"{pipeline.id}-{application.pk}",
        defaults={
            "application": application,
            "namespace": application.source_project[:63],
            "name": f"pipeline-{pipeline.id}",
            "pipeline": f"GitLab CI, {pipeline.ref}"[:255],
            "status": status,
            # GitLab has more words than we: "manual", "waiting_for_resource" and the like.
            "reason": pipeline.status[:100],
            "commit": pipeline.sha,
            "created_at": pipeline.created_at or timezone.now(),
            "started_at": pipeline.created_at,
            "completed_at": pipeline.updated_at if is_over else None,
            "web_url": pipeline.web_url,
        },
    )
    name_builds(application)
    announce_all(("run", row.pk), ("runs", application.pk), application_id=application.pk)


def name_builds(application: Application) -> None:
    """Connect versions to the pipeline of their commit; the two are heard of in any order."""
    nameless = ImageVersion.objects.filter(image__application=application, built_by=None).exclude(commit="")
    runs = PipelineRun.objects.filter(
        application=application,
        connection=application.source_connection_id,
        commit__in=nameless.values("commit"),
    )
    # The oldest last, so that it is kept: later ones on the same commit are nightly tests and the like.
    by_commit = {run.commit: run for run in runs.order_by("-created_at")}
    for version in nameless.filter(commit__in=by_commit):
        version.built_by = by_commit[version.commit]
        version.save(update_fields=["built_by"])
        announce("versions", application.pk, application_id=application.pk)
