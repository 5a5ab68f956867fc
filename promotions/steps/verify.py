"""Run the Stage's verification pipeline once the version is live."""

from __future__ import annotations

from django.urls import reverse
from django.utils.translation import gettext as _

from integrations.tekton.types import PipelineRun as TektonRun
from promotions import vendors
from promotions.models import PipelineRun, Promotion, StepResult
from promotions.steps.base import Done, Failed, Outcome, Waiting
from promotions.steps.guard import before_acting

PROMOTION_LABEL = "slipway/promotion"


def run(promotion: Promotion, result: StepResult) -> Outcome:
    """Create the run under a name derived from the promotion (so it is created once) and follow it."""
    stage = promotion.stage
    assert stage.verification_connection is not None
    client = vendors.tekton(stage.verification_connection)
    name = run_name(promotion, result)
    if promotion.verification_run_name != name:
        before_acting(promotion)
    # Creating an existing name answers with the existing run: that is how we look at it, too.
    tekton_run = client.create_pipeline_run(
        name=name,
        pipeline=stage.verification_pipeline,
        params={
            "application": stage.application.slug,
            "version": promotion.version.tag,
            "commit": promotion.version.commit or promotion.target_commit,
        },
        labels={PROMOTION_LABEL: str(promotion.key)},
    )
    link = _link(stage.verification_connection.pk, tekton_run)
    if not tekton_run.finished:
        return Waiting(
            _("Verification %(name)s: %(message)s") % {"name": name, "message": _words(tekton_run)},
            look_in=5,
            link=link,
            fields={"verification_run_name": name},
        )
    if tekton_run.status == "succeeded":
        return Done(_("Verification %(name)s succeeded.") % {"name": name}, link=link)
    return Failed(
        _("Verification %(name)s %(status)s: %(message)s")
        % {"name": name, "status": tekton_run.status, "message": _words(tekton_run)},
        link=link,
    )


def run_name(promotion: Promotion, result: StepResult) -> str:
    """Return the run's name: one per attempt, the same after any crash; within 63 characters."""
    pipeline = promotion.stage.verification_pipeline[:40]
    return f"{pipeline}-{promotion.key.hex[:12]}-{result.attempt}"


def _words(tekton_run: TektonRun) -> str:
    return tekton_run.message or tekton_run.reason or tekton_run.status


def _link(connection_id: int, tekton_run: TektonRun) -> str:
    row = PipelineRun.objects.filter(connection_id=connection_id, uid=tekton_run.uid).first()
    return str(reverse("run", args=[row.pk])) if row else ""
