"""The Pods behind TaskRuns: how their containers are named and what state they show."""

from __future__ import annotations

import hashlib
from typing import Any

from integrations.sandbox.kubernetes.kinds import POD
from integrations.sandbox.kubernetes.objects import Objects

Object = dict[str, Any]
INIT_CONTAINERS = [
    {"name": "prepare", "image": "ghcr.io/tektoncd/pipeline/entrypoint:v1.15.0"},
    {"name": "place-scripts", "image": "cgr.dev/chainguard/busybox:latest"},
]


def image_id(image: str) -> str:
    """Return an invented but stable digest reference for a step's image."""
    repository = image.rsplit(":", 1)[0] if ":" in image.rsplit("/", 1)[-1] else image
    first = repository.split("/")[0]
    if "." not in first:
        repository = f"docker.io/library/{repository}" if "/" not in repository else f"docker.io/{repository}"
    return f"{repository}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def create(objects: Objects, task_run: Object, name: str, steps: list[Object]) -> None:
    """Create the attempt's Pod, its containers still waiting; an older Pod of that name goes first."""
    metadata = task_run["metadata"]
    # Left by a process that was stopped half-way: the attempt begins anew under the same name.
    if objects.find(POD, metadata["namespace"], name) is not None:
        objects.remove(POD, metadata["namespace"], name)
    owner = {"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": metadata["name"]}
    owner |= {"uid": metadata["uid"], "controller": True, "blockOwnerDeletion": True}
    # The run's labels reach its pods, so one selector finds everything (tekton-api.md section 3).
    labels = {**metadata.get("labels", {}), "app.kubernetes.io/managed-by": "tekton-pipelines"}
    labels |= {"tekton.dev/taskRun": metadata["name"], "tekton.dev/taskRunUID": metadata["uid"]}
    # Sidecars would be "sidecar-NAME"; the sandbox has none.
    containers = [{"name": f"step-{step['name']}", "image": step.get("image", "")} for step in steps]
    pod = {
        "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": task_run["spec"].get("serviceAccountName", "default"),
            "nodeName": "node-1",
            "initContainers": INIT_CONTAINERS,
            "containers": containers,
        },
        "status": {"phase": "Pending"},
    }
    objects.create(POD, metadata["namespace"], pod)


def show(objects: Objects, task_run: Object) -> None:
    """Bring the Pod's status to what the TaskRun's steps say."""
    status, namespace = task_run["status"], task_run["metadata"]["namespace"]
    pod = objects.find(POD, namespace, status.get("podName", ""))
    if pod is None:
        return
    steps = status.get("steps", [])
    images = {container["name"]: container["image"] for container in pod["spec"]["containers"]}
    pod["status"] = {
        "phase": _phase(steps),
        "startTime": status.get("startTime"),
        "containerStatuses": [_container(step, images) for step in steps],
    }
    if any("waiting" not in step for step in steps):
        # The entrypoint of the first step waits for this file-mounted annotation.
        pod["metadata"].setdefault("annotations", {})["tekton.dev/ready"] = "READY"
        pod["status"]["initContainerStatuses"] = [
            _init(item, status["startTime"]) for item in INIT_CONTAINERS
        ]
    objects.update(POD, pod)


def _phase(steps: list[Object]) -> str:
    # Running as soon as no container waits, although all but one step only hold still.
    if any("waiting" in step for step in steps):
        return "Pending"
    if any("running" in step for step in steps):
        return "Running"
    return "Failed" if any(step["terminated"]["exitCode"] for step in steps) else "Succeeded"


def _container(step: Object, images: dict[str, str]) -> Object:
    state = {key: step[key] for key in ("waiting", "running", "terminated") if key in step}
    name = step["container"]
    found: Object = {
        "name": name,
        "ready": "running" in state,
        "restartCount": 0,
        "image": images.get(name, ""),
    }
    return {**found, "imageID": step.get("imageID", ""), "state": state}


def _init(container: Object, moment: str) -> Object:
    ended = {"exitCode": 0, "reason": "Completed", "startedAt": moment, "finishedAt": moment}
    found: Object = {"name": container["name"], "ready": True, "restartCount": 0, "image": container["image"]}
    return {**found, "imageID": image_id(container["image"]), "state": {"terminated": ended}}
