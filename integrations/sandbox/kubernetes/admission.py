"""What Tekton's admission webhook refuses (reference tekton-api.md section 4)."""

from __future__ import annotations

from typing import Any

from integrations.sandbox.kubernetes import answers
from integrations.sandbox.kubernetes.kinds import PIPELINE_RUN, TASK_RUN, Kind

Object = dict[str, Any]
# The words a client may write into spec.status to steer a run (tekton-api.md section 4).
CONTROLS = {
    PIPELINE_RUN: ("Cancelled", "CancelledRunFinally", "StoppedRunFinally", "PipelineRunPending"),
    TASK_RUN: ("TaskRunCancelled",),
}
REFERENCES = {PIPELINE_RUN: ("pipelineRef", "pipelineSpec"), TASK_RUN: ("taskRef", "taskSpec")}


def condition(item: Object) -> Object:
    """Return the Succeeded condition, or {} where the controller has not seen the run yet."""
    found = (item.get("status") or {}).get("conditions", [])
    return next((c for c in found if c["type"] == "Succeeded"), {})


def is_done(item: Object) -> bool:
    return condition(item).get("status") in ("True", "False")


def admit(kind: Kind, wanted: Object, before: Object | None) -> None:
    """Raise the webhook's refusal of a create (`before` is None) or an update."""
    if kind not in CONTROLS:
        return
    # Defaulting comes before validation, as two webhooks do it.
    if before is None:
        default(kind, wanted)
    spec = wanted.get("spec") or {}
    if before is not None and spec != before.get("spec"):
        _admit_change(kind, wanted, before)
    # The same words for both at once as for neither: clients read the code, not the sentence.
    if sum(field in spec for field in REFERENCES[kind]) != 1:
        first, second = REFERENCES[kind]
        raise answers.denied(f"expected exactly one, got neither: spec.{first}, spec.{second}")
    control = spec.get("status", "")
    if control and control not in CONTROLS[kind]:
        raise answers.denied(f"invalid value: {control}: spec.status")


def default(kind: Kind, item: Object) -> None:
    """Fill in what Tekton's defaulting webhook fills in."""
    spec = item.setdefault("spec", {})
    if kind is PIPELINE_RUN:
        # The cluster's default-timeout-minutes; "0" would be none.
        spec.setdefault("timeouts", {}).setdefault("pipeline", "1h0m0s")
        spec.setdefault("taskRunTemplate", {}).setdefault("serviceAccountName", "default")
    elif kind is TASK_RUN:
        spec.setdefault("timeout", "1h0m0s")
        spec.setdefault("serviceAccountName", "default")
        if "taskRef" in spec:
            spec["taskRef"].setdefault("kind", "Task")


def _admit_change(kind: Kind, wanted: Object, before: Object) -> None:
    # Also a cancel: who comes too late takes this refusal for "already finished".
    if is_done(before):
        raise answers.denied(f"invalid value: Once the {kind.kind} is complete, no updates are allowed: spec")
    free = {"status", "statusMessage", "managedBy"}
    kept = [{k: v for k, v in item["spec"].items() if k not in free} for item in (wanted, before)]
    # A run that waits to be started may still be changed in every field.
    pending = before["spec"].get("status") == "PipelineRunPending"
    if kept[0] != kept[1] and not pending:
        raise answers.denied(
            f"invalid value: Once the {kind.kind} has started, only status updates are allowed: spec"
        )
