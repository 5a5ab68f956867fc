"""What of a PipelineRun may start, is skipped, has ended: the task graph as Tekton reads it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from integrations.sandbox.kubernetes import variables
from integrations.sandbox.kubernetes.admission import condition

Object = dict[str, Any]

# Tekton's exact texts: clients match them (tekton-api.md section 2).
WHEN_FALSE = "When Expressions evaluated to false"
PARENTS_SKIPPED = "Parent Tasks were skipped"
RESULTS_MISSING = "Results were missing"
STOPPING = "PipelineRun was stopping"
STOP_REASONS = {
    "Cancelled": STOPPING,
    "CancelledRunFinally": "PipelineRun was gracefully cancelled",
    "StoppedRunFinally": "PipelineRun was gracefully stopped",
    "Timeout": "PipelineRun timeout has been reached",
    "TasksTimeout": "PipelineRun Tasks timeout has been reached",
}
ENDED = ("succeeded", "failed", "ignored", "cancelled", "skipped")


class Graph:
    """One PipelineRun's tasks and what became of each.

    `runs` are its TaskRuns by pipeline task; `control` is a key of STOP_REASONS or "".
    """

    def __init__(self, spec: Object, runs: dict[str, Object], known: dict[str, Any], control: str) -> None:
        self.tasks: list[Object] = spec.get("tasks", [])
        self.finally_tasks: list[Object] = spec.get("finally", [])
        self.runs = runs
        self.known = dict(known) | self._results()
        self.control = control
        self.skips: dict[str, str] = {}
        self.states: dict[str, str] = {}
        # One failed task stops the others from starting; what runs already runs on.
        failed = any(self._ran(task) == "failed" for task in self.tasks)
        self.stop = STOP_REASONS.get(control, STOPPING if failed else "")
        for task in self._ordered():
            self.states[task["name"]] = self._state(task)
        # Finally tasks begin when every other task has its last word, skipped ones included.
        self.dag_done = all(self.states[task["name"]] in ENDED for task in self.tasks)
        self.known |= self._statuses()
        for task in self.finally_tasks:
            self.states[task["name"]] = self._finally_state(task)

    @property
    def done(self) -> bool:
        return all(state in ENDED for state in self.states.values())

    @property
    def failed(self) -> bool:
        return any(state in ("failed", "cancelled") for state in self.states.values())

    def ready(self) -> list[Object]:
        """Return the tasks to start now, in the order of the pipeline."""
        return [t for t in self.tasks + self.finally_tasks if self.states[t["name"]] == "ready"]

    def running(self) -> list[Object]:
        return [self.runs[name] for name, state in self.states.items() if state == "running"]

    def message(self) -> str:
        """Return the counts in the words of the Succeeded condition."""
        count = Counter(self.states.values())
        failed = count["failed"] + count["ignored"]
        told = f"{failed} (Ignored: {count['ignored']})" if count["ignored"] else str(failed)
        ended = count["succeeded"] + failed + count["cancelled"]
        incomplete = len(self.states) - ended - count["skipped"]
        # Left out at the end, when nothing is incomplete.
        middle = f" Incomplete: {incomplete}," if incomplete else ""
        return (
            f"Tasks Completed: {ended} (Failed: {told}, Cancelled {count['cancelled']}),"
            f"{middle} Skipped: {count['skipped']}"
        )

    def skipped(self) -> list[Object]:
        """Return status.skippedTasks."""
        entries = []
        for task in self.tasks + self.finally_tasks:
            if task["name"] in self.skips:
                entry: Object = {"name": task["name"], "reason": self.skips[task["name"]]}
                if self.skips[task["name"]] == WHEN_FALSE:
                    entry["whenExpressions"] = self.when(task)
                entries.append(entry)
        return entries

    def when(self, task: Object) -> list[Object]:
        found: list[Object] = variables.substitute(task.get("when", []), self.known)
        return found

    def parents(self, task: Object) -> set[str]:
        producers = {name for name, _ in variables.result_references(task)}
        # Using a result is an order as well, though nobody wrote runAfter.
        return set(task.get("runAfter", [])) | (producers & {t["name"] for t in self.tasks})

    def _ordered(self) -> list[Object]:
        """Return the tasks with every parent before its children; those of a cycle are left out."""
        ordered: list[Object] = []
        left = list(self.tasks)
        while left:
            placed = {task["name"] for task in ordered}
            free = [task for task in left if self.parents(task) <= placed]
            if not free:
                break
            ordered += free
            left = [task for task in left if task not in free]
        return ordered

    def _ran(self, task: Object) -> str:
        run = self.runs.get(task["name"])
        if run is None:
            return ""
        found = condition(run)
        if found.get("status") == "True":
            return "succeeded"
        if found.get("status") != "False":
            return "running"
        # Counted apart from failures in the run's message.
        if found["reason"] == "TaskRunCancelled":
            return "cancelled"
        return "ignored" if task.get("onError") == "continue" else "failed"

    def _state(self, task: Object) -> str:
        if ran := self._ran(task):
            return ran
        if reason := self._skip_reason(task):
            self.skips[task["name"]] = reason
            return "skipped"
        done = all(self.states[parent] in ENDED for parent in self.parents(task))
        return "ready" if done else "waiting"

    def _skip_reason(self, task: Object) -> str:
        if self.stop:
            return self.stop
        producers = {name for name, _ in variables.result_references(task)}
        for parent in sorted(self.parents(task)):
            # A task skipped by its own `when` does not skip those that only run after it.
            if self.skips.get(parent) not in (None, WHEN_FALSE):
                return PARENTS_SKIPPED
            if parent in producers and self.states[parent] in ("skipped", "ignored"):
                return RESULTS_MISSING
        return self._when_reason(task)

    def _when_reason(self, task: Object) -> str:
        expressions = self.when(task)
        # A result that is still to come: nothing can be decided yet.
        if variables.result_references(expressions):
            return ""
        return "" if all(variables.holds(expression) for expression in expressions) else WHEN_FALSE

    def _finally_state(self, task: Object) -> str:
        if ran := self._ran(task):
            return ran
        # The hard ways to end spare nobody; the graceful ones let finally run.
        if self.control in ("Cancelled", "Timeout"):
            self.skips[task["name"]] = self.stop
            return "skipped"
        if not self.dag_done:
            return "waiting"
        if variables.result_references(variables.substitute(task, self.known)):
            self.skips[task["name"]] = RESULTS_MISSING
            return "skipped"
        if reason := self._when_reason(task):
            self.skips[task["name"]] = reason
            return "skipped"
        return "ready"

    def _results(self) -> dict[str, Any]:
        return {
            f"tasks.{name}.results.{result['name']}": result["value"]
            for name, run in self.runs.items()
            if condition(run).get("status") == "True"
            for result in run["status"].get("results", [])
        }

    def _statuses(self) -> dict[str, str]:
        words = {"succeeded": "Succeeded", "failed": "Failed", "ignored": "Failed", "cancelled": "Failed"}
        known = {f"tasks.{name}.status": words.get(state, "None") for name, state in self.states.items()}
        # Success with a skipped task has a word of its own.
        total = "Completed" if self.skips else "Succeeded"
        return known | {"tasks.status": "Failed" if self.failed else total}
