"""The simulated Tekton controller against reference tekton-api.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integrations.sandbox.running import (
    NAMESPACE,
    TEKTON,
    Box,
    condition,
    pipeline,
    pipeline_run,
    running,
    step,
    task,
    until,
)

Object = dict[str, Any]
MERGE = {"Content-Type": "application/merge-patch+json"}
PODS = "/api/v1/namespaces/ci/pods"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with running(tmp_path / "sandbox") as found:
        found.apply(
            NAMESPACE,
            task("quick", "echo working"),
            task("slow", "echo begun\nsleep 600"),
            task("broken", "echo before", "echo trying\nexit 3", "echo never"),
            task("talker", "echo -n 42 > $(results.answer.path)", results=("answer",)),
        )
        yield found


def start(
    box: Box,
    *tasks: Object,
    name: str = "run",
    run: Object | None = None,
    last: Object | None = None,
    **spec: Any,
) -> str:
    """Create a pipeline of the tasks (`last` is its finally task) and a run of it."""
    final = {"finally": [last]} if last else {}
    box.apply(pipeline("p", *tasks, **spec, **final))
    answer = box.kubernetes.post(f"{TEKTON}/pipelineruns", json=pipeline_run(name, "p", **(run or {})))
    assert answer.status_code == 201, answer.text
    return name


def cancel(box: Box, name: str, word: str) -> httpx.Response:
    body = json.dumps({"spec": {"status": word}})
    return box.kubernetes.patch(f"{TEKTON}/pipelineruns/{name}", content=body, headers=MERGE)


def running_task(box: Box, name: str) -> Object:
    """Wait until the TaskRun's steps run and return it."""

    def look() -> Object:
        item: Object = box.kubernetes.get(f"{TEKTON}/taskruns/{name}").json()
        return item if condition(item).get("reason") == "Running" else {}

    return until(look)


def log(box: Box, pod: str, container: str, **query: str) -> httpx.Response:
    return box.kubernetes.get(f"{PODS}/{pod}/log", params={"container": container, **query})


def test_tasks_run_in_the_order_of_their_graph_and_results_flow_along_it(box: Box) -> None:
    """tekton-api.md section 2: childReferences in order, results after completion."""
    use = step("use", "quick", params=[{"name": "x", "value": "$(tasks.make.results.answer)"}])
    result = {"name": "found", "value": "$(tasks.make.results.answer)"}
    start(box, use, step("make", "talker"), results=[result])
    done = box.finished("run")
    assert condition(done)["reason"] == "Succeeded"
    assert condition(done)["message"] == "Tasks Completed: 2 (Failed: 0, Cancelled 0), Skipped: 0"
    assert done["status"]["results"] == [{"name": "found", "value": "42"}]
    made, used = (box.kubernetes.get(f"{TEKTON}/taskruns/run-{n}").json() for n in ("make", "use"))
    assert used["spec"]["params"] == [{"name": "x", "value": "42"}]
    assert made["status"]["completionTime"] <= used["status"]["startTime"]


def test_taskruns_and_pods_carry_the_labels_that_find_them(box: Box) -> None:
    """tekton-api.md section 3."""
    body = pipeline_run("run", "p")
    body["metadata"]["labels"] = {"promotion.example.com/id": "prm-1"}
    box.apply(pipeline("p", step("a", "quick")))
    box.kubernetes.post(f"{TEKTON}/pipelineruns", json=body)
    run = box.finished("run")
    chosen = {"labelSelector": "promotion.example.com/id=prm-1"}
    (child,) = box.kubernetes.get(f"{TEKTON}/taskruns", params=chosen).json()["items"]
    (pod,) = box.kubernetes.get(PODS, params=chosen).json()["items"]
    labels = child["metadata"]["labels"]
    assert labels["tekton.dev/pipelineRunUID"] == run["metadata"]["uid"]
    assert labels["tekton.dev/memberOf"] == "tasks"
    assert labels["app.kubernetes.io/managed-by"] == "tekton-pipelines"
    assert pod["metadata"]["labels"]["tekton.dev/taskRun"] == child["metadata"]["name"]
    assert child["metadata"]["ownerReferences"][0]["uid"] == run["metadata"]["uid"]


def test_all_steps_show_running_at_once_and_a_waiting_step_has_an_empty_log(box: Box) -> None:
    """tekton-api.md sections 3 and 6."""
    box.apply(task("two", "echo first\nsleep 600", "echo second"))
    start(box, step("a", "two"))
    item = running_task(box, "run-a")
    assert [set(s) & {"running", "waiting", "terminated"} for s in item["status"]["steps"]] == [
        {"running"}
    ] * 2
    answer = log(box, item["status"]["podName"], "step-s2")
    assert (answer.status_code, answer.text) == (200, "")


def test_a_failing_step_fails_its_task_and_skips_what_would_follow(box: Box) -> None:
    """tekton-api.md sections 2 and 3."""
    start(box, step("a", "broken"), step("b", "quick", runAfter=["a"]))
    done = box.finished("run")
    assert (condition(done)["status"], condition(done)["reason"]) == ("False", "Failed")
    assert condition(done)["message"] == "Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 1"
    assert done["status"]["skippedTasks"] == [{"name": "b", "reason": "PipelineRun was stopping"}]
    child = box.kubernetes.get(f"{TEKTON}/taskruns/run-a").json()
    assert condition(child)["message"] == '"step-s2" exited with code 3: Error'
    assert [s["terminationReason"] for s in child["status"]["steps"]] == ["Completed", "Error", "Skipped"]


def test_finally_tasks_run_after_a_failure_and_know_it(box: Box) -> None:
    """tekton-api.md section 2: the run turns False only when the finally tasks have ended."""
    last = step("last", "quick", params=[{"name": "state", "value": "$(tasks.status)"}])
    start(box, step("a", "broken"), last=last)
    done = box.finished("run")
    assert condition(done)["reason"] == "Failed"
    assert "finallyStartTime" in done["status"]
    child = box.kubernetes.get(f"{TEKTON}/taskruns/run-last").json()
    assert child["spec"]["params"] == [{"name": "state", "value": "Failed"}]
    assert child["metadata"]["labels"]["tekton.dev/memberOf"] == "finally"


def test_a_when_expression_that_is_false_skips_its_task_and_completes_the_run(box: Box) -> None:
    """tekton-api.md section 2: Completed, exact skipping text."""
    expression = {"input": "$(params.env)", "operator": "in", "values": ["staging"]}
    run = {"params": [{"name": "env", "value": "prod"}]}
    start(box, step("a", "quick"), step("b", "quick", when=[expression]), params=[{"name": "env"}], run=run)
    done = box.finished("run")
    assert condition(done)["reason"] == "Completed"
    (skipped,) = done["status"]["skippedTasks"]
    assert skipped["reason"] == "When Expressions evaluated to false"
    assert skipped["whenExpressions"][0]["input"] == "prod"


def test_a_retry_keeps_the_first_attempt_in_retries_status(box: Box) -> None:
    """tekton-api.md section 3: same TaskRun, a pod per attempt."""
    start(box, step("a", "broken", retries=1))
    box.finished("run")
    child = box.kubernetes.get(f"{TEKTON}/taskruns/run-a").json()
    assert child["status"]["podName"] == "run-a-pod-retry1"
    (first,) = child["status"]["retriesStatus"]
    assert first["podName"] == "run-a-pod"
    assert log(box, "run-a-pod", "step-s2").text == "trying\n"


@pytest.mark.parametrize("graceful", [False, True])
def test_cancelling_kills_the_pod_and_only_the_graceful_way_runs_finally(box: Box, graceful: bool) -> None:
    """tekton-api.md section 4; taskrun-cancelled.json."""
    start(box, step("a", "slow"), last=step("last", "quick"))
    pod = running_task(box, "run-a")["status"]["podName"]
    assert cancel(box, "run", "CancelledRunFinally" if graceful else "Cancelled").status_code == 200
    done = box.finished("run")
    assert condition(done)["reason"] == "Cancelled"
    assert condition(done)["message"] == 'PipelineRun "run" was cancelled'
    child = box.kubernetes.get(f"{TEKTON}/taskruns/run-a").json()
    assert condition(child)["reason"] == "TaskRunCancelled"
    assert condition(child)["message"] == (
        'TaskRun "run-a" was cancelled. '
        "TaskRun cancelled as the PipelineRun it belongs to has been cancelled."
    )
    assert log(box, pod, "step-s1").status_code == 404
    assert box.kubernetes.get(f"{TEKTON}/taskruns/run-last").status_code == (200 if graceful else 404)


def test_stopping_lets_running_tasks_end_and_starts_no_more(box: Box) -> None:
    """tekton-api.md section 4: StoppedRunFinally."""
    box.apply(task("while", "sleep 40"))
    start(box, step("a", "while"), step("b", "quick", runAfter=["a"]))
    running_task(box, "run-a")
    cancel(box, "run", "StoppedRunFinally")
    done = box.finished("run")
    assert condition(box.kubernetes.get(f"{TEKTON}/taskruns/run-a").json())["status"] == "True"
    assert done["status"]["skippedTasks"][0]["reason"] == "PipelineRun was gracefully stopped"


def test_a_run_that_takes_too_long_times_out(box: Box) -> None:
    """tekton-api.md section 2; durations are sped up like all simulated ones."""
    start(box, step("a", "slow"), run={"timeouts": {"pipeline": "30s"}})
    done = box.finished("run")
    assert condition(done)["reason"] == "PipelineRunTimeout"
    assert condition(done)["message"] == 'PipelineRun "run" failed to finish within "30s"'


def test_a_task_that_takes_too_long_is_not_retried(box: Box) -> None:
    """tekton-api.md section 3: timed out attempts are not retried; the pod is deleted."""
    start(box, step("a", "slow", timeout="20s", retries=2))
    box.finished("run")
    child = box.kubernetes.get(f"{TEKTON}/taskruns/run-a").json()
    assert condition(child)["reason"] == "TaskRunTimeout"
    assert condition(child)["message"] == 'TaskRun "run-a" failed to finish within "20s"'
    assert "retriesStatus" not in child["status"]
    assert box.kubernetes.get(f"{PODS}/run-a-pod").status_code == 404


def test_a_finished_run_refuses_changes_of_its_spec_but_takes_annotations(box: Box) -> None:
    """tekton-api.md sections 4 and 8 (Chains annotates finished runs)."""
    start(box, step("a", "quick"))
    box.finished("run")
    refused = cancel(box, "run", "Cancelled")
    assert refused.status_code == 400
    assert "Once the PipelineRun is complete, no updates are allowed" in refused.json()["message"]
    signed = json.dumps({"metadata": {"annotations": {"chains.tekton.dev/signed": "true"}}})
    answer = box.kubernetes.patch(f"{TEKTON}/pipelineruns/run", content=signed, headers=MERGE)
    assert answer.status_code == 200


def test_a_pending_run_starts_when_its_status_is_removed(box: Box) -> None:
    """tekton-api.md section 4; patch-cancel.json."""
    start(box, step("a", "quick"), run={"status": "PipelineRunPending"})
    until(lambda: condition(box.run("run")).get("reason") == "PipelineRunPending")
    patch = json.dumps([{"op": "remove", "path": "/spec/status"}])
    headers = {"Content-Type": "application/json-patch+json"}
    box.kubernetes.patch(f"{TEKTON}/pipelineruns/run", content=patch, headers=headers)
    assert condition(box.finished("run"))["reason"] == "Succeeded"


def test_a_missing_pipeline_a_missing_task_and_a_missing_parameter_fail_at_once(box: Box) -> None:
    """tekton-api.md section 2; pipelinerun-couldnt-get-pipeline.json."""
    box.kubernetes.post(f"{TEKTON}/pipelineruns", json=pipeline_run("lost", "nowhere"))
    lost = condition(box.finished("lost"))
    assert lost["reason"] == "CouldntGetPipeline"
    assert lost["message"].endswith('pipelines.tekton.dev "nowhere" not found')
    start(box, step("a", "unheardof"), name="no-task")
    assert condition(box.finished("no-task"))["reason"] == "CouldntGetTask"
    start(box, step("a", "quick"), name="no-param", params=[{"name": "env"}])
    assert condition(box.finished("no-param"))["reason"] == "ParameterMissing"


def test_deleting_a_run_takes_its_taskruns_pods_and_logs_along(box: Box) -> None:
    """tekton-api.md section 10."""
    start(box, step("a", "quick"))
    box.finished("run")
    assert box.kubernetes.delete(f"{TEKTON}/pipelineruns/run").status_code == 200
    assert box.kubernetes.get(f"{TEKTON}/taskruns").json()["items"] == []
    assert box.kubernetes.get(PODS).json()["items"] == []
    assert log(box, "run-a-pod", "step-s1").status_code == 404


def test_a_log_is_refused_before_the_container_starts(tmp_path: Path) -> None:
    """tekton-api.md section 6: 400 waiting to start, text of status-errors.json."""
    with running(tmp_path, speed=1) as box:
        box.apply(NAMESPACE, task("quick", "echo working"))
        start(box, step("a", "quick"))
        until(lambda: box.kubernetes.get(f"{PODS}/run-a-pod").status_code == 200)
        answer = log(box, "run-a-pod", "step-s1")
        assert answer.status_code == 400
        assert answer.json()["message"] == (
            'container "step-s1" in pod "run-a-pod" is waiting to start: PodInitializing'
        )


def test_a_log_without_container_names_the_choices(box: Box) -> None:
    """status-errors.json."""
    start(box, step("a", "broken"))
    box.finished("run")
    text = log(box, "run-a-pod", "").json()["message"]
    assert text == (
        "a container name must be specified for pod run-a-pod, choose one of: [step-s1 step-s2 step-s3] "
        "or one of the init containers: [prepare place-scripts]"
    )


def test_a_followed_log_flows_and_ends_with_its_container(box: Box) -> None:
    """tekton-api.md section 6: follow, timestamps, tailLines, sinceTime."""
    box.apply(task("chatty", "echo one\nsleep 20\necho two\nsleep 20\necho three"))
    start(box, step("a", "chatty"))
    item = running_task(box, "run-a")
    pod = item["status"]["podName"]
    asked = {"container": "step-s1", "follow": "true"}
    with box.kubernetes.stream("GET", f"{PODS}/{pod}/log", params=asked) as answer:
        assert list(answer.iter_lines()) == ["one", "two", "three"]
    assert log(box, pod, "step-s1", tailLines="1").text == "three\n"
    stamp, word = log(box, pod, "step-s1", timestamps="true", tailLines="1").text.split()
    assert word == "three"
    assert log(box, pod, "step-s1", sinceTime=stamp).text.endswith("three\n")
    assert log(box, pod, "step-s1", sinceTime="2100-01-01T00:00:00Z").text == ""


def test_an_unfinished_run_goes_on_after_a_restart(tmp_path: Path) -> None:
    """A stopped sandbox leaves no run hanging for ever."""
    with running(tmp_path) as box:
        box.apply(NAMESPACE, task("while", "sleep 30\necho done"))
        start(box, step("a", "while"))
        running_task(box, "run-a")
    with running(tmp_path) as box:
        assert condition(box.finished("run"))["reason"] == "Succeeded"
        assert log(box, "run-a-pod", "step-s1").text == "done\n"
