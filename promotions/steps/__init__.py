"""The steps a promotion takes, in order."""

from __future__ import annotations

from datetime import timedelta

from promotions.choices import StepName, WriteMode
from promotions.models import Stage
from promotions.steps import arrive, merge, verify, write
from promotions.steps.base import Again, Differs, Done, Failed, Outcome, Step, Waiting

STEPS = {
    StepName.WRITE: Step(StepName.WRITE, write.run, patience=timedelta(hours=1)),
    # People may have to approve in GitLab first.
    StepName.MERGE: Step(StepName.MERGE, merge.run, patience=timedelta(days=7)),
    StepName.ARRIVE: Step(StepName.ARRIVE, arrive.run, patience=timedelta(hours=1)),
    StepName.VERIFY: Step(StepName.VERIFY, verify.run, patience=timedelta(hours=2)),
}


def plan(stage: Stage) -> list[StepName]:
    """Return the steps a promotion to this Stage takes."""
    steps = [StepName.WRITE]
    if stage.write_mode != WriteMode.DIRECT:
        steps.append(StepName.MERGE)
    steps.append(StepName.ARRIVE)
    if stage.verification_connection_id and stage.verification_pipeline:
        steps.append(StepName.VERIFY)
    return steps


__all__ = ["STEPS", "Again", "Differs", "Done", "Failed", "Outcome", "Step", "Waiting", "plan"]
