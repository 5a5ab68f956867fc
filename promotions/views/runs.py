"""One pipeline run, and what its steps printed."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404

from promotions.models import PipelineRun, StepLog
from promotions.present import runs as present
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.rendering import page


@requires(Permission.SEE_APPLICATION)
def run(request: PageRequest, run: PipelineRun) -> HttpResponse:
    context = {"run": present.run(str(run.pk))}
    return page(request, "run.html", context, wants=f"run:{run.pk} log:{run.pk}")


@requires(Permission.SEE_APPLICATION)
def run_log(request: PageRequest, run: PipelineRun, log_id: int) -> HttpResponse:
    """Everything that was kept of one step's log, as it came."""
    log = get_object_or_404(StepLog.objects.select_related("task_run"), pk=log_id, task_run__run=run)
    response = HttpResponse(log.text, content_type="text/plain; charset=utf-8")
    # Always a download: what a build prints must not become a page of ours.
    name = f"{log.task_run.name}-{log.container}.log"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
