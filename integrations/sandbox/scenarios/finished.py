"""A PipelineRun that ended in the past: its pods are pruned, its objects remain."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from integrations.sandbox.kubernetes import Cluster
from integrations.sandbox.kubernetes.kinds import PIPELINE, PIPELINE_RUN, TASK, TASK_RUN
from integrations.sandbox.kubernetes.objects import timestamp
from integrations.sandbox.kubernetes.pipelines import FEATURE_FLAGS, PipelineRuns, set_condition
from integrations.sandbox.kubernetes.pods import image_id
from integrations.sandbox.kubernetes.taskruns import SUCCEEDED, terminate

Object = dict[str, Any]
STEP_SECONDS = 5


def finished_run(
    cluster: Cluster,
    namespace: str,
    pipeline: str,
    params: dict[str, str],
    results: dict[str, dict[str, str]],
    *,
    started: datetime,
) -> None:
    """Create a successful run of a pipeline with its TaskRuns; `results` are by pipeline task."""
    objects = cluster.objects
    spec = objects.get(PIPELINE, namespace, pipeline)["spec"]
    manifest: Object = {
        "metadata": {"generateName": f"{pipeline}-", "labels": {"tekton.dev/pipeline": pipeline}},
        "spec": {
            "pipelineRef": {"name": pipeline},
            "params": [{"name": name, "value": value} for name, value in params.items()],
            "taskRunTemplate": {"serviceAccountName": "default"},
            "timeouts": {"pipeline": "1h0m0s"},
            "workspaces": [{"name": "shared", "emptyDir": {}}],
        },
        "status": {
            "startTime": timestamp(started),
            "pipelineSpec": spec,
            "provenance": {"featureFlags": FEATURE_FLAGS},
        },
    }
    # A condition from the start, or the controller would take the run up.
    set_condition(manifest, "False", "Failed", "", timestamp(started))
    run = objects.create(PIPELINE_RUN, namespace, manifest, created=started)
    runs = PipelineRuns(objects)
    moment = started
    for task in spec["tasks"]:
        moment += timedelta(seconds=STEP_SECONDS)
        child = runs.child(run, task)
        child["status"] = _status(cluster, namespace, task, results.get(task["name"], {}), moment)
        set_condition(child, "True", "Succeeded", SUCCEEDED, timestamp(moment))
        objects.create(TASK_RUN, namespace, child, created=moment - timedelta(seconds=STEP_SECONDS))
    runs.conclude(run, timestamp(moment))


def _status(
    cluster: Cluster, namespace: str, task: Object, results: dict[str, str], ended: datetime
) -> Object:
    spec = cluster.objects.get(TASK, namespace, task["taskRef"]["name"])["spec"]
    began = timestamp(ended - timedelta(seconds=STEP_SECONDS))
    steps: list[Object] = []
    for step in spec["steps"]:
        entry: Object = {"name": step["name"], "container": f"step-{step['name']}"}
        entry |= {"imageID": image_id(step["image"]), "running": {"startedAt": began}}
        terminate(entry, 0, "Completed", "Completed", timestamp(ended))
        steps.append(entry)
    status: Object = {"podName": "", "startTime": began, "completionTime": timestamp(ended)}
    status |= {"steps": steps, "taskSpec": spec}
    if results:
        status["results"] = [{"name": k, "type": "string", "value": v} for k, v in results.items()]
    return status
