"""PipelineRuns, reconciled level by level as Tekton's controller does (reference tekton-api.md section 2)."""

from __future__ import annotations

import copy
import hashlib
import time
from typing import Any

from integrations.sandbox.kubernetes import answers, variables
from integrations.sandbox.kubernetes.admission import condition, is_done
from integrations.sandbox.kubernetes.graph import ENDED, Graph
from integrations.sandbox.kubernetes.kinds import CUSTOM_RUN, PIPELINE, PIPELINE_RUN, TASK, TASK_RUN
from integrations.sandbox.kubernetes.objects import Objects, timestamp

Object = dict[str, Any]
CANCELLED_CHILD = "TaskRun cancelled as the PipelineRun it belongs to has been cancelled."
TIMED_OUT_CHILD = "TaskRun cancelled as the PipelineRun it belongs to has timed out."
FEATURE_FLAGS = {
    "enableAPIFields": "beta",
    "enableProvenanceInStatus": True,
    "resultExtractionMethod": "termination-message",
    "coschedule": "workspaces",
    "enableStepActions": True,
    "awaitSidecarReadiness": True,
    "runningInEnvWithInjectedSidecars": True,
    "sendCloudEventsForRuns": True,
    "enforceNonfalsifiability": "none",
    "maxResultSize": 4096,
    "verificationNoMatchPolicy": "ignore",
}


def set_condition(item: Object, status: str, reason: str, message: str, now: str) -> None:
    """Write the Succeeded condition; the transition time moves only when something changed."""
    wanted = {"type": "Succeeded", "status": status, "reason": reason, "message": message}
    found = condition(item)
    if {**found, "lastTransitionTime": None} != {**wanted, "lastTransitionTime": None}:
        item.setdefault("status", {})["conditions"] = [{**wanted, "lastTransitionTime": now}]


class PipelineRuns:
    """Brings PipelineRuns forward: each call of `reconcile` does what is due now."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.world = objects.world
        # Status times have whole seconds; sped up, a timeout may be shorter than one.
        self.started: dict[str, float] = {}

    def now(self) -> str:
        return timestamp(self.world.now())

    def reconcile(self, namespace: str, name: str) -> None:
        """Look at one run and its TaskRuns; start, skip, cancel or finish what is due."""
        run = self.objects.find(PIPELINE_RUN, namespace, name)
        # A finished run is left alone, even when somebody edits it.
        if run is None or is_done(run):
            return
        if run["spec"].get("status") == "PipelineRunPending":
            set_condition(
                run, "Unknown", "PipelineRunPending", f'PipelineRun "{name}" is pending', self.now()
            )
            self.objects.update(PIPELINE_RUN, run)
        elif "startTime" not in run.get("status", {}):
            self._begin(run)
        else:
            self._advance(run)

    def overdue(self) -> list[tuple[str, str]]:
        """Return the unfinished runs that have a time limit, to be looked at again."""
        unfinished = [run for run in self.objects.all(PIPELINE_RUN) if run.get("status") and not is_done(run)]
        return [
            (r["metadata"]["namespace"], r["metadata"]["name"])
            for r in unfinished
            if self._control(r) == "Timeout"
        ]

    # Start

    def _begin(self, run: Object) -> None:
        metadata = run["metadata"]
        # The labels come with the first reconcile: the ADDED event of a watch lacks them.
        reference = run["spec"].get("pipelineRef", {}).get("name") or metadata.get(
            "generateName", metadata["name"]
        )
        metadata.setdefault("labels", {})["tekton.dev/pipeline"] = reference
        run["status"] = {"startTime": self.now()}
        self.started[metadata["uid"]] = time.monotonic()
        try:
            spec = self._pipeline_spec(run)
        except answers.ApiError as error:
            self._fail(run, "CouldntGetPipeline", self._not_retrieved(run, str(error)))
            return
        # A copy of what runs: later edits of the Pipeline do not reach this run.
        run["status"]["pipelineSpec"] = spec
        run["status"]["provenance"] = {"featureFlags": FEATURE_FLAGS}
        if refusal := self._refusal(run, spec):
            self._fail(run, *refusal)
            return
        set_condition(run, "Unknown", "Started", "", self.now())
        self.objects.update(PIPELINE_RUN, run)

    def _pipeline_spec(self, run: Object) -> Object:
        if "pipelineSpec" in run["spec"]:
            return copy.deepcopy(run["spec"]["pipelineSpec"])
        namespace, reference = run["metadata"]["namespace"], run["spec"]["pipelineRef"].get("name", "")
        pipeline = self.objects.get(PIPELINE, namespace, reference)
        labels = run["metadata"]["labels"]
        # The run's own labels win over the Pipeline's.
        run["metadata"]["labels"] = {**pipeline["metadata"].get("labels", {}), **labels}
        spec: Object = pipeline["spec"]
        return spec

    def _not_retrieved(self, run: Object, error: str) -> str:
        namespace, name = run["metadata"]["namespace"], run["metadata"]["name"]
        return (
            f"Error retrieving pipeline for pipelinerun {namespace}/{name}: "
            f"error when listing pipelines for pipelineRun {name}: {error}"
        )

    def _refusal(self, run: Object, spec: Object) -> tuple[str, str] | None:
        """Return reason and message when the run can't start at all."""
        namespace, name = run["metadata"]["namespace"], run["metadata"]["name"]
        pipeline = run["metadata"]["labels"]["tekton.dev/pipeline"]
        if absent := variables.missing(run["spec"].get("params", []), spec.get("params", [])):
            text = (
                f"PipelineRun {namespace}/{name} parameters is missing some parameters required by Pipeline "
                f"{namespace}/{pipeline}'s parameters: pipelineRun missing parameters: [{' '.join(absent)}]"
            )
            return "ParameterMissing", text
        for task in spec.get("tasks", []) + spec.get("finally", []):
            reference = task.get("taskRef", {}).get("name")
            if reference and not _is_custom(task) and self.objects.find(TASK, namespace, reference) is None:
                text = (
                    f"Pipeline {namespace}/{pipeline} can't be Run; it contains Tasks that don't exist: "
                    f'Couldn\'t retrieve Task "{reference}": tasks.tekton.dev "{reference}" not found'
                )
                return "CouldntGetTask", text
        return None

    def _fail(self, run: Object, reason: str, message: str) -> None:
        run["status"]["completionTime"] = self.now()
        set_condition(run, "False", reason, message, self.now())
        self.objects.update(PIPELINE_RUN, run)

    # Progress

    def _advance(self, run: Object) -> None:
        control = self._control(run)
        graph = self._graph(run, control)
        if control in ("Cancelled", "CancelledRunFinally", "Timeout", "TasksTimeout"):
            self._cancel(run, graph, control)
            graph = self._graph(run, control)
        for task in graph.ready():
            self._start(run, graph, task)
        graph = self._graph(run, control)
        status = run["status"]
        # Names only, no status: readers join them with the TaskRuns.
        status["childReferences"] = self._children(graph)
        if skipped := graph.skipped():
            status["skippedTasks"] = skipped
        if graph.dag_done and graph.finally_tasks and control not in ("Cancelled", "Timeout"):
            status.setdefault("finallyStartTime", self.now())
        self._conclude(run, graph, control)
        self.objects.update(PIPELINE_RUN, run)

    def _control(self, run: Object) -> str:
        """Return what holds the run back: its spec.status, "Timeout", "TasksTimeout" or ""."""
        asked: str = run["spec"].get("status", "")
        if asked:
            return asked
        limits = run["spec"].get("timeouts", {})
        began = self.started.setdefault(run["metadata"]["uid"], time.monotonic())
        elapsed = (time.monotonic() - began) * self.world.speed
        for key, word in (("pipeline", "Timeout"), ("tasks", "TasksTimeout")):
            limit = variables.seconds(limits.get(key, "0"))
            if limit and elapsed >= limit:
                return word
        return ""

    def _graph(self, run: Object, control: str) -> Graph:
        spec = run["status"]["pipelineSpec"]
        known = variables.prefixed(
            "params", variables.params(run["spec"].get("params", []), spec.get("params", []))
        )
        metadata = run["metadata"]
        known |= {
            "context.pipelineRun.name": metadata["name"],
            "context.pipelineRun.namespace": metadata["namespace"],
            "context.pipelineRun.uid": metadata["uid"],
            "context.pipeline.name": metadata["labels"]["tekton.dev/pipeline"],
        }
        return Graph(spec, self._runs(run), known, control)

    def _runs(self, run: Object) -> dict[str, Object]:
        namespace, uid = run["metadata"]["namespace"], run["metadata"]["uid"]
        return {
            child["metadata"]["labels"]["tekton.dev/pipelineTask"]: child
            for kind in (TASK_RUN, CUSTOM_RUN)
            for child in self.objects.all(kind, namespace)
            if child["metadata"].get("labels", {}).get("tekton.dev/pipelineRunUID") == uid
        }

    def _cancel(self, run: Object, graph: Graph, control: str) -> None:
        final = {task["name"] for task in graph.finally_tasks}
        word = TIMED_OUT_CHILD if "Timeout" in control else CANCELLED_CHILD
        for child in graph.running():
            task = child["metadata"]["labels"]["tekton.dev/pipelineTask"]
            spares_finally = control not in ("Cancelled", "Timeout")
            # Cancelled already, or a finally task that a graceful end lets finish.
            if child["spec"].get("status") or (task in final and spares_finally):
                continue
            kind = CUSTOM_RUN if child["kind"] == "CustomRun" else TASK_RUN
            fresh = self.objects.get(kind, run["metadata"]["namespace"], child["metadata"]["name"])
            fresh["spec"]["status"] = "RunCancelled" if kind is CUSTOM_RUN else "TaskRunCancelled"
            fresh["spec"]["statusMessage"] = word
            self.objects.update(kind, fresh)

    def _start(self, run: Object, graph: Graph, task: Object) -> None:
        kind = CUSTOM_RUN if _is_custom(task) else TASK_RUN
        self.objects.create(kind, run["metadata"]["namespace"], self._manifest(run, graph, task))

    def child(self, run: Object, task: Object) -> Object:
        """Return the TaskRun that would be created for a task now."""
        return self._manifest(run, self._graph(run, ""), task)

    def _manifest(self, run: Object, graph: Graph, task: Object) -> Object:
        return {
            "metadata": self._child_metadata(run, graph, task),
            "spec": self._child_spec(run, graph, task),
        }

    def conclude(self, run: Object, moment: str) -> None:
        """Write the end of a run whose TaskRuns have all ended, as of `moment`."""
        graph = self._graph(run, "")
        run["status"] |= {"childReferences": self._children(graph), "completionTime": moment}
        run["status"]["results"] = self._results(run, graph)
        set_condition(run, *self._verdict(run, graph, ""), moment)
        self.objects.update(PIPELINE_RUN, run)

    def _child_metadata(self, run: Object, graph: Graph, task: Object) -> Object:
        metadata, reference = run["metadata"], task.get("taskRef", {}).get("name", "")
        template = self.objects.find(TASK, metadata["namespace"], reference) or {"metadata": {}}
        in_finally = any(other["name"] == task["name"] for other in graph.finally_tasks)
        labels = {
            # Task's, then the run's: the later ones win.
            **template["metadata"].get("labels", {}),
            **metadata.get("labels", {}),
            "app.kubernetes.io/managed-by": "tekton-pipelines",
            "tekton.dev/memberOf": "finally" if in_finally else "tasks",
            "tekton.dev/pipelineRun": metadata["name"],
            "tekton.dev/pipelineRunUID": metadata["uid"],
            "tekton.dev/pipelineTask": task["name"],
        }
        if reference:
            labels["tekton.dev/task"] = reference
        owner = {"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "name": metadata["name"]}
        owner |= {"uid": metadata["uid"], "controller": True, "blockOwnerDeletion": True}
        return {
            "name": _child_name(metadata["name"], task["name"]),
            "labels": labels,
            "annotations": {**template["metadata"].get("annotations", {}), **metadata.get("annotations", {})},
            "ownerReferences": [owner],
        }

    def _child_spec(self, run: Object, graph: Graph, task: Object) -> Object:
        spec: Object = {
            "params": variables.substitute(task.get("params", []), graph.known),
            "serviceAccountName": run["spec"].get("taskRunTemplate", {}).get("serviceAccountName", "default"),
        }
        if _is_custom(task):
            return {**spec, "customRef": task["taskRef"]}
        if "taskRef" in task:
            spec["taskRef"] = {"kind": "Task", **task["taskRef"]}
        else:
            spec["taskSpec"] = task["taskSpec"]
        spec["timeout"] = task.get("timeout") or run["spec"].get("timeouts", {}).get("tasks", "1h0m0s")
        if task.get("retries"):
            spec["retries"] = task["retries"]
        return spec

    def _children(self, graph: Graph) -> list[Object]:
        entries = []
        for task in graph.tasks + graph.finally_tasks:
            child = graph.runs.get(task["name"])
            # Tasks that have not begun are absent: their order is in pipelineSpec.
            if child is None:
                continue
            entry: Object = {"apiVersion": child["apiVersion"], "kind": child["kind"]}
            entry |= {"name": child["metadata"]["name"], "pipelineTaskName": task["name"]}
            if task.get("when"):
                entry["whenExpressions"] = graph.when(task)
            entries.append(entry)
        return entries

    # End

    def _conclude(self, run: Object, graph: Graph, control: str) -> None:
        if not graph.done:
            set_condition(run, "Unknown", self._reason(graph, control), graph.message(), self.now())
            return
        run["status"]["completionTime"] = self.now()
        if results := self._results(run, graph):
            run["status"]["results"] = results
        set_condition(run, *self._verdict(run, graph, control), self.now())

    def _reason(self, graph: Graph, control: str) -> str:
        reasons = {
            "CancelledRunFinally": "CancelledRunningFinally",
            "StoppedRunFinally": "StoppedRunningFinally",
            "TasksTimeout": "PipelineRunTimeoutRunningFinally",
            "Cancelled": "Cancelled",
        }
        # Unknown and not False while others run on: a failed task alone is no verdict yet.
        stopping = any(state == "failed" for state in graph.states.values())
        still = any(graph.states[task["name"]] not in ENDED for task in graph.tasks)
        return reasons.get(control, "PipelineRunStopping" if stopping and still else "Running")

    def _verdict(self, run: Object, graph: Graph, control: str) -> tuple[str, str, str]:
        name, limits = run["metadata"]["name"], run["spec"].get("timeouts", {})
        if control in ("Cancelled", "CancelledRunFinally"):
            return "False", "Cancelled", f'PipelineRun "{name}" was cancelled'
        if control == "Timeout":
            text = f'PipelineRun "{name}" failed to finish within "{limits["pipeline"]}"'
            return "False", "PipelineRunTimeout", text
        if control == "TasksTimeout" and graph.failed:
            text = f'PipelineRun "{name}" failed due to tasks failed to finish within "{limits["tasks"]}"'
            return "False", "PipelineRunTimeout", text
        if graph.failed:
            return "False", "Failed", graph.message()
        # Stopped with nothing left to skip is an ordinary success.
        if control == "StoppedRunFinally" and graph.skips:
            return "False", "Cancelled", f'PipelineRun "{name}" was cancelled'
        return "True", "Completed" if graph.skips else "Succeeded", graph.message()

    def _results(self, run: Object, graph: Graph) -> list[Object]:
        found = []
        for declared in run["status"]["pipelineSpec"].get("results", []):
            value = variables.substitute(declared["value"], graph.known)
            # A result whose producer did not succeed is left out.
            if not variables.result_references(value):
                found.append({"name": declared["name"], "value": value})
        return found


def _is_custom(task: Object) -> bool:
    version: str = task.get("taskRef", {}).get("apiVersion", "")
    return bool(version) and not version.startswith("tekton.dev/")


def _child_name(run: str, task: str) -> str:
    """Return RUN-TASK; a name too long for Kubernetes is cut and told apart by a hash."""
    name = f"{run}-{task}"
    if len(name) <= 63:
        return name

    return f"{name[:30]}{hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()}"
