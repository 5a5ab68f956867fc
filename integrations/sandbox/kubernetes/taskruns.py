"""TaskRuns: pod, steps one after the other, retries, timeouts, cancellation (tekton-api.md section 3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from integrations.sandbox.kubernetes import pods, variables
from integrations.sandbox.kubernetes.admission import is_done
from integrations.sandbox.kubernetes.answers import ApiError
from integrations.sandbox.kubernetes.kinds import POD, TASK, TASK_RUN
from integrations.sandbox.kubernetes.logs import Logs
from integrations.sandbox.kubernetes.objects import Objects, timestamp
from integrations.sandbox.kubernetes.pipelines import set_condition
from integrations.sandbox.kubernetes.steps import Step, behaviour

Object = dict[str, Any]
# Tekton's own sentences, which its dashboard shows as they are (tekton-api.md section 3).
RUNNING = "Not all Steps in the Task have finished executing"
PENDING = (
    'pod status "Initialized":"False"; message: "containers with incomplete status: [prepare place-scripts]"'
)
SUCCEEDED = "All Steps have completed executing"
SCHEDULE_SECONDS, PULL_SECONDS, RETRY_SECONDS = 0.3, 0.7, 1.0


class TaskRunner:
    """Executes one TaskRun from its first reconcile to its end."""

    def __init__(self, objects: Objects, logs: Logs, namespace: str, name: str) -> None:
        self.objects = objects
        self.logs = logs
        self.world = objects.world
        self.namespace = namespace
        self.name = name
        self.results: dict[str, str] = {}

    async def run(self) -> None:
        """Bring the TaskRun to its end; return quietly where it is deleted or cancelled meanwhile."""
        try:
            await self._attempts()
        except ApiError as gone:
            if gone.code != 404:
                raise

    async def _attempts(self) -> None:
        item = self._get()
        if is_done(item):
            return
        if not self._resolve(item):
            return
        while not await self._attempt():
            item = self._get()
            # Only a failure is tried again: a cancelled or late attempt is the last (tekton-api.md section
            # 3).
            if len(item["status"].get("retriesStatus", [])) >= item["spec"].get("retries", 0):
                return
            self._archive()
            await self.world.pause(RETRY_SECONDS)

    def _resolve(self, item: Object) -> bool:
        reference = item["spec"].get("taskRef", {}).get("name")
        task = (
            self.objects.find(TASK, self.namespace, reference)
            if reference
            else {"spec": item["spec"]["taskSpec"]}
        )
        item["status"] = {"startTime": self._now(), "podName": "", **item.get("status", {})}
        if task is None:
            text = (
                f'error when listing tasks for taskRun {self.name}: tasks.tekton.dev "{reference}" not found'
            )
            item["status"]["completionTime"] = self._now()
            set_condition(item, "False", "TaskRunResolutionFailed", text, self._now())
            self.objects.update(TASK_RUN, item)
            return False
        # Resolved once and kept: a Task changed meanwhile does not change a run.
        item["status"]["taskSpec"] = task["spec"]
        labels = item["metadata"].setdefault("labels", {})
        labels["app.kubernetes.io/managed-by"] = "tekton-pipelines"
        if reference:
            labels["tekton.dev/task"] = reference
        set_condition(item, "Unknown", "Started", "", self._now())
        self.objects.update(TASK_RUN, item)
        return True

    async def _attempt(self) -> bool:
        """Run all steps once; tell whether the TaskRun has its last word (False: it may be retried)."""
        limit = variables.seconds(self._get()["spec"].get("timeout", "1h0m0s"))
        try:
            # The limit counts for each attempt, not for all together; "0" is none.
            async with asyncio.timeout(limit / self.world.speed if limit else None):
                return await self._steps()
        except TimeoutError:
            text = f'TaskRun "{self.name}" failed to finish within "{self._get()["spec"]["timeout"]}"'
            interrupt(self.objects, self._get(), "TaskRunTimeout", text)
            return True

    async def _steps(self) -> bool:
        self.results = {}
        await self.world.pause(SCHEDULE_SECONDS)
        self._schedule()
        await self.world.pause(PULL_SECONDS)
        self._change(self._all_running)
        for index, step in enumerate(self._get()["status"]["taskSpec"]["steps"]):
            code = await self._execute(step, index)
            self._change(lambda item, index=index, code=code: self._end_step(item, index, code))  # type: ignore[misc]
            if code != 0 and step.get("onError") != "continue":
                self._change(lambda item, index=index, code=code: self._failed(item, index, code))  # type: ignore[misc]
                return False
        self._change(self._succeeded)
        return True

    async def _execute(self, spec: Object, index: int) -> int:
        item = self._get()
        task_spec = item["status"]["taskSpec"]
        params = variables.params(item["spec"].get("params", []), task_spec.get("params", []))
        known = variables.prefixed("params", params)
        known |= {"context.taskRun.name": self.name, "context.taskRun.namespace": self.namespace}
        known |= {
            f"results.{r['name']}.path": f"/tekton/results/{r['name']}" for r in task_spec.get("results", [])
        }
        container = item["status"]["steps"][index]["container"]
        pod = item["status"]["podName"]
        step = Step(
            world=self.world,
            task_run=item,
            spec=variables.substitute(spec, known),
            params=params,
            log=lambda text: self.logs.write(self.namespace, pod, container, text),
            results=self.results,
        )
        task = item["metadata"].get("labels", {}).get("tekton.dev/task", "")
        return await behaviour(task, spec.get("name", ""))(step)

    # Changes of the status

    def _schedule(self) -> None:
        item = self._get()
        status = item["status"]
        attempt = len(status.get("retriesStatus", []))
        # Each attempt has a pod of its own; the logs of earlier ones are under their names.
        status["podName"] = f"{self.name}-pod" + (f"-retry{attempt}" if attempt else "")
        status.setdefault("startTime", self._now())
        steps = [
            # Counted over all steps, so the second one may be the first without a name: unnamed-1.
            {**step, "name": step.get("name") or f"unnamed-{n}"}
            for n, step in enumerate(status["taskSpec"]["steps"])
        ]
        status["steps"] = [
            {"name": s["name"], "container": f"step-{s['name']}", "waiting": {"reason": "PodInitializing"}}
            for s in steps
        ]
        pods.create(self.objects, item, status["podName"], steps)
        self.logs.forget(self.namespace, status["podName"])
        set_condition(item, "Unknown", "Pending", PENDING, self._now())
        self.objects.update(TASK_RUN, item)

    def _all_running(self, item: Object) -> None:
        # All containers start together and the entrypoint holds the later ones back: every step shows
        # `running`, and its startedAt is not when its work began.
        for step, spec in zip(item["status"]["steps"], item["status"]["taskSpec"]["steps"], strict=True):
            step.pop("waiting")
            step["imageID"] = pods.image_id(spec.get("image", ""))
            step["running"] = {"startedAt": self._now()}
        set_condition(item, "Unknown", "Running", RUNNING, self._now())

    def _end_step(self, item: Object, index: int, code: int) -> None:
        spec = item["status"]["taskSpec"]["steps"][index]
        word = "Completed" if code == 0 else "Error"
        if code and spec.get("onError") == "continue":
            word = "Continued"
        # With onError continue the container's own reason stays Completed beside a non-zero code.
        reason = "Completed" if word == "Continued" else word
        terminate(item["status"]["steps"][index], code, reason, word, self._now())

    def _failed(self, item: Object, index: int, code: int) -> None:
        for step in item["status"]["steps"][index + 1 :]:
            terminate(step, 1, "Error", "Skipped", self._now())
        container = item["status"]["steps"][index]["container"]
        item["status"]["completionTime"] = self._now()
        set_condition(
            item, "False", "StepFailed", f'"{container}" exited with code {code}: Error', self._now()
        )

    def _succeeded(self, item: Object) -> None:
        item["status"]["completionTime"] = self._now()
        if self.results:
            item["status"]["results"] = [
                {"name": name, "type": "string", "value": value} for name, value in self.results.items()
            ]
        set_condition(item, "True", "Succeeded", SUCCEEDED, self._now())

    def _archive(self) -> None:
        """Move the failed attempt into retriesStatus; the steps stay visible until the next one begins."""
        item = self._get()
        status = item["status"]
        kept = ("conditions", "podName", "startTime", "completionTime", "steps", "results")
        attempt = {key: status[key] for key in kept if key in status}
        status.setdefault("retriesStatus", []).append(attempt)
        for key in ("startTime", "completionTime", "results"):
            status.pop(key, None)
        status["podName"] = ""
        message = status["conditions"][0]["message"]
        set_condition(item, "Unknown", "ToBeRetried", message, self._now())
        self.objects.update(TASK_RUN, item)

    def _change(self, change: Callable[[Object], None]) -> None:
        item = self._get()
        change(item)
        self.objects.update(TASK_RUN, item)
        pods.show(self.objects, item)

    def _get(self) -> Object:
        return self.objects.get(TASK_RUN, self.namespace, self.name)

    def _now(self) -> str:
        return timestamp(self.world.now())


def terminate(step: Object, code: int, reason: str, word: str, now: str, message: str = "") -> None:
    """Put a step into its terminated state, if it is not in it already."""
    if "terminated" in step:
        return
    started = step.pop("running", {}).get("startedAt", now)
    step.pop("waiting", None)
    ended: Object = {"exitCode": code, "reason": reason, "startedAt": started, "finishedAt": now}
    if message:
        ended["message"] = message
    step["terminated"] = {**ended, "containerID": f"containerd://{'ab12' * 16}"}
    step["terminationReason"] = word


def interrupt(objects: Objects, item: Object, reason: str, message: str) -> None:
    """End a TaskRun from outside (cancel, timeout): its pod is deleted, and the logs with it."""
    now = timestamp(objects.world.now())
    status = item.setdefault("status", {})
    pod = status.get("podName", "")
    for step in status.get("steps", []):
        text = f"Step {step['name']} terminated as pod {pod} is terminated"
        terminate(step, 1, reason, reason, now, text)
    status.setdefault("startTime", now)
    status["completionTime"] = now
    set_condition(item, "False", reason, message, now)
    objects.update(TASK_RUN, item)
    namespace = item["metadata"]["namespace"]
    if pod and objects.find(POD, namespace, pod) is not None:
        objects.remove(POD, namespace, pod)
