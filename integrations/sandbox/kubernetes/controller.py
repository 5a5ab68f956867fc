"""Tekton's controller: notices changes, reconciles PipelineRuns, runs TaskRuns and CustomRuns."""

from __future__ import annotations

import asyncio

from integrations.sandbox.kubernetes.admission import is_done
from integrations.sandbox.kubernetes.kinds import CUSTOM_RUN, PIPELINE_RUN, POD, TASK_RUN
from integrations.sandbox.kubernetes.logs import Logs
from integrations.sandbox.kubernetes.objects import Change, Object, Objects, timestamp
from integrations.sandbox.kubernetes.pipelines import PipelineRuns, set_condition
from integrations.sandbox.kubernetes.taskruns import TaskRunner, interrupt

Key = tuple[str, str]
TICK = 0.25


class Controller:
    """Follows the objects; every reaction happens after the write that caused it."""

    def __init__(self, objects: Objects, logs: Logs) -> None:
        self.objects = objects
        self.logs = logs
        self.world = objects.world
        self.pipeline_runs = PipelineRuns(objects)
        self.queue: asyncio.Queue[Key] = asyncio.Queue()
        self.runners: dict[str, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Begin to follow, and take up what a stopped sandbox left unfinished.

        An unfinished TaskRun starts over with a new pod: its container is gone with the old process.
        """
        self.objects.listeners.append(self.notice)
        self.world.spawn(self._reconcile(), name="tekton controller")
        for run in self.objects.all(PIPELINE_RUN):
            if not is_done(run):
                self.queue.put_nowait(_key(run))
        for run in self.objects.all(TASK_RUN):
            if not is_done(run):
                self._execute(run)

    def notice(self, change: Change) -> None:
        item = change.object
        if change.kind is POD and change.type == "DELETED":
            self.logs.forget(item["metadata"]["namespace"], item["metadata"]["name"])
        # Level-triggered: the queue names the run, and what is due is read from it.
        elif change.kind is PIPELINE_RUN and change.type != "DELETED":
            self.queue.put_nowait(_key(item))
        elif change.kind in (TASK_RUN, CUSTOM_RUN):
            self._notice_child(change)

    def _notice_child(self, change: Change) -> None:
        item = change.object
        if change.kind is TASK_RUN:
            if change.type == "ADDED":
                self._execute(item)
            elif change.type == "DELETED":
                self._stop(item)
        if item["spec"].get("status") and not is_done(item) and change.type != "DELETED":
            # Outside of the write that is being told: the listener must not write by itself.
            asyncio.get_running_loop().call_soon(self._cancel, change)
        # A child tells nothing by itself; its owner is looked at again.
        for owner in item["metadata"].get("ownerReferences", []):
            if owner["kind"] == "PipelineRun":
                self.queue.put_nowait((item["metadata"]["namespace"], owner["name"]))

    async def _reconcile(self) -> None:
        while True:
            try:
                key = await asyncio.wait_for(self.queue.get(), TICK)
                self.pipeline_runs.reconcile(*key)
            # Time limits come without any event.
            except TimeoutError:
                for key in self.pipeline_runs.overdue():
                    self.pipeline_runs.reconcile(*key)

    def _execute(self, item: Object) -> None:
        namespace, name = _key(item)
        runner = TaskRunner(self.objects, self.logs, namespace, name)
        self.runners[item["metadata"]["uid"]] = self.world.spawn(
            runner.run(), name=f"taskrun {namespace}/{name}"
        )

    def _stop(self, item: Object) -> None:
        if (runner := self.runners.pop(item["metadata"]["uid"], None)) is not None:
            runner.cancel()

    def _cancel(self, change: Change) -> None:
        item = self.objects.find(change.kind, *_key(change.object))
        if item is None or is_done(item):
            return
        name, told = item["metadata"]["name"], item["spec"].get("statusMessage", "")
        if change.kind is CUSTOM_RUN:
            now = timestamp(self.world.now())
            item.setdefault("status", {})["completionTime"] = now
            set_condition(item, "False", "CustomRunCancelled", f'CustomRun "{name}" was cancelled', now)
            self.objects.update(CUSTOM_RUN, item)
            return
        self._stop(item)
        interrupt(self.objects, item, "TaskRunCancelled", f'TaskRun "{name}" was cancelled. {told}'.rstrip())


def _key(item: Object) -> Key:
    return item["metadata"]["namespace"], item["metadata"]["name"]
