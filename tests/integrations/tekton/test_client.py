"""Runs, steps, logs and results against the reference's samples (tekton-api.md)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from integrations.errors import NotFound, Rejected, Unauthorized, Unavailable
from integrations.http import Retry
from integrations.shape import mapping
from integrations.tekton.client import TektonClient
from integrations.tekton.logs import log_line
from integrations.tekton.reading import pipeline_run, task_run
from integrations.tekton.results import commit_of, images_of
from integrations.tekton.types import BuiltImage, PipelineRun, TaskRun
from tests.integrations.loopback import Answer, Exchange, Loopback, fixture

RUNS = "/apis/tekton.dev/v1/namespaces/ci/pipelineruns"
LOG = "/api/v1/namespaces/ci/pods/smoke-pod/log"
DIGEST = "sha256:" + "ab" * 32


@pytest.fixture
def tekton(server: Loopback, retry: Retry) -> Iterator[TektonClient]:
    client = TektonClient(server.url, "very-secret", namespace="ci", timeout=2.0, retry=retry)
    yield client
    client.close()


def run(name: str) -> PipelineRun:
    return pipeline_run(mapping(fixture(f"tekton/pipelinerun-{name}.json")))


def task(name: str) -> TaskRun:
    return task_run(mapping(fixture(f"tekton/taskrun-{name}.json")))


def status_answer(http: int, note: str = "") -> Answer:
    entries = fixture("tekton/status-errors.json")
    assert isinstance(entries, list)
    entry = next(entry for entry in entries if entry["http"] == http and note in entry.get("note", ""))
    body = entry["body"] if "body" in entry else entry["body_text"].encode()
    return Answer(body, status=http, headers=entry.get("headers", {}))


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("just-created", "pending", ""),
        ("pending", "pending", "PipelineRunPending"),
        ("running", "running", "Running"),
        ("running-v1beta1", "running", "Running"),
        ("succeeded", "succeeded", "Succeeded"),
        ("completed-with-skipped", "succeeded", "Completed"),
        ("failed", "failed", "Failed"),
        ("cancelled", "cancelled", "Cancelled"),
        ("cancelled-running-finally", "running", "CancelledRunningFinally"),
        ("timedout", "failed", "PipelineRunTimeout"),
        ("couldnt-get-pipeline", "failed", "CouldntGetPipeline"),
    ],
)
def test_every_run_of_the_reference_has_its_status(name: str, status: str, reason: str) -> None:
    """tekton-api.md sections 2 and 5."""
    found = run(name)
    assert (found.status, found.reason) == (status, reason)
    assert found.finished == (status in ("succeeded", "failed", "cancelled"))


def test_an_unknown_reason_does_not_matter() -> None:
    for status, expected in (("True", "succeeded"), ("False", "failed"), ("Unknown", "running")):
        data = {"status": {"conditions": [{"type": "Succeeded", "status": status, "reason": "Novel"}]}}
        assert pipeline_run(data).status == expected


def test_a_run_tells_its_plan_children_and_results() -> None:
    found = run("succeeded")
    assert [(one.name, one.is_finally) for one in found.tasks] == [
        ("fetch-source", False),
        ("smoke", False),
        ("load", False),
        ("report", True),
    ]
    assert found.children[1].name == "verify-shop-staging-9m4td-smoke"
    assert found.children[1].pipeline_task == "smoke"
    assert found.results == {"smoke-summary": "12 passed"}
    assert found.params["env"] == "staging"
    assert found.event_id == "1f6c2b1a-9a0b-4c3d-8e7f-5a4b3c2d1e0f"
    assert found.pipeline == "post-deploy-verify"
    assert found.completed_at == datetime(2026, 8, 20, 10, 6, 40, tzinfo=UTC)
    assert json.loads(found.raw)["metadata"]["name"] == found.name


def test_skipped_tasks_keep_their_reason() -> None:
    skipped = run("completed-with-skipped").skipped
    assert [one.reason for one in skipped] == ["When Expressions evaluated to false"]


def test_params_that_are_lists_become_json_text() -> None:
    data = {"spec": {"params": [{"name": "args", "value": ["a", "b"]}, {"name": "n", "value": "1"}]}}
    assert pipeline_run(data).params == {"args": '["a", "b"]', "n": "1"}


@pytest.mark.parametrize(
    "data", [{}, {"metadata": None, "spec": [], "status": "x"}, {"status": {"conditions": [None]}}]
)
def test_an_object_of_the_wrong_shape_is_a_pending_run(data: dict[str, object]) -> None:
    assert pipeline_run(data).status == "pending"
    assert task_run(data).status == "pending"


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("running", ["succeeded", "running", "waiting"]),
        ("failed-after-retry", ["succeeded", "failed", "skipped"]),
        ("cancelled", ["succeeded", "failed", "skipped"]),
        ("pending", ["waiting", "waiting", "waiting"]),
    ],
)
def test_step_states_follow_their_order(name: str, states: list[str]) -> None:
    """tekton-api.md section 3: all containers run at once, the entrypoint blocks the later ones."""
    assert [step.state for step in task(name).steps] == states


def test_a_step_that_has_not_begun_shows_no_times() -> None:
    last = task("running").steps[2]
    assert (last.container, last.started_at, last.exit_code) == ("step-publish", None, None)


def test_on_error_continue_lets_the_next_step_run() -> None:
    steps = [
        {"name": "a", "terminated": {"exitCode": 1, "reason": "Error"}, "terminationReason": "Continued"},
        {"name": "b", "terminated": {"exitCode": 3, "reason": "Completed"}},
        {"name": "c", "running": {"startedAt": "2026-08-20T10:05:28Z"}},
    ]
    assert [step.state for step in task_run({"status": {"steps": steps}}).steps] == [
        "failed",
        "failed",
        "running",
    ]


def test_attempts_are_counted_from_the_retries() -> None:
    assert task("failed-after-retry").attempt == 2
    retried = task("to-be-retried")
    assert (retried.status, retried.reason) == ("running", "ToBeRetried")
    assert task("failed-after-retry").pod_name.endswith("-retry1")


def test_a_task_run_names_its_run_and_its_place() -> None:
    found = task("failed-after-retry")
    assert (found.pipeline_run, found.pipeline_task) == ("verify-shop-prod-x7k2q", "smoke")
    assert found.message == '"step-probe" exited with code 1: Error'
    assert task("failed-older-tekton").status == "failed"
    assert task("image-pull-failed").reason == "TaskRunImagePullFailed"


def test_a_built_image_is_read_without_its_newlines() -> None:
    """tekton-api.md section 8; kaniko's results."""
    (image,) = images_of(task("kaniko-succeeded").results)
    assert image.digest.startswith("sha256:")
    assert "\n" not in image.repository + image.tag + image.digest
    assert image.repository.count("/") >= 1


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        (
            {"app-IMAGE_URL": "harbor.centre.com/k8s/app:1.1.0\n", "app-IMAGE_DIGEST": f"{DIGEST}\n"},
            [BuiltImage("harbor.centre.com/k8s/app", "1.1.0", DIGEST)],
        ),
        (
            {"IMAGES": f"reg.io/a/b@{DIGEST},reg.io/a/c:1@{DIGEST}\n"},
            [BuiltImage("reg.io/a/b", "", DIGEST), BuiltImage("reg.io/a/c", "1", DIGEST)],
        ),
        (
            {"x-ARTIFACT_URI": "reg.io/a/b", "x-ARTIFACT_DIGEST": DIGEST},
            [BuiltImage("reg.io/a/b", "", DIGEST)],
        ),
        (
            {"img-ARTIFACT_OUTPUTS": json.dumps({"uri": "reg.io/a/b", "digest": DIGEST})},
            [BuiltImage("reg.io/a/b", "", DIGEST)],
        ),
        ({"IMAGE_URL": "reg.io/a/b:1"}, []),
        ({"IMAGE_URL": "not an image", "IMAGE_DIGEST": DIGEST}, []),
        ({"IMAGE_URL": "reg.io/a/b", "IMAGE_DIGEST": "latest"}, []),
        ({"x-ARTIFACT_OUTPUTS": "{", "IMAGES": ",\n"}, []),
    ],
)
def test_images_are_found_by_every_hint(results: dict[str, str], expected: list[BuiltImage]) -> None:
    """tekton-api.md section 8."""
    assert images_of(results) == expected


def test_the_commit_is_git_clones_result() -> None:
    cloned = task("git-clone-succeeded")
    assert commit_of([task("kaniko-succeeded"), cloned]) == cloned.results["commit"].strip()
    assert commit_of([task("running")]) is None


def test_a_run_is_created_under_its_fixed_name(server: Loopback, tekton: TektonClient) -> None:
    server.on("POST", RUNS, Answer(fixture("tekton/pipelinerun-just-created.json"), status=201))
    tekton.create_pipeline_run(name="verify-7", pipeline="smoke", params={"env": "prod"}, labels={"a": "b"})
    body = server.requests[0].json()
    assert body["apiVersion"] == "tekton.dev/v1"
    assert body["metadata"] == {"name": "verify-7", "labels": {"a": "b"}, "annotations": {}}
    assert body["spec"] == {"pipelineRef": {"name": "smoke"}, "params": [{"name": "env", "value": "prod"}]}


def test_creating_it_again_gives_the_one_that_exists(server: Loopback, tekton: TektonClient) -> None:
    """kubernetes-watch.md section 1, "create": fixed names make it exactly once."""
    server.on("POST", RUNS, status_answer(409, "existing name"))
    server.on("GET", f"{RUNS}/verify-7", Answer(fixture("tekton/pipelinerun-running.json")))
    found = tekton.create_pipeline_run(name="verify-7", pipeline="smoke", params={}, labels={})
    assert found.status == "running"


def test_a_create_without_an_answer_is_not_repeated(server: Loopback, tekton: TektonClient) -> None:
    server.on("POST", RUNS, Answer(b"", status=503))
    with pytest.raises(Unavailable):
        tekton.create_pipeline_run(name="verify-7", pipeline="smoke", params={}, labels={})
    assert len(server.requests) == 1


def test_cancelling_is_a_merge_patch(server: Loopback, tekton: TektonClient) -> None:
    """tekton-api.md section 4: a JSON patch may be refused where spec.status is absent."""
    server.on("PATCH", f"{RUNS}/x", Answer(fixture("tekton/pipelinerun-cancelled.json")))
    assert tekton.cancel("x").status == "cancelled"
    assert server.requests[0].headers["content-type"] == "application/merge-patch+json"
    assert server.requests[0].json() == {"spec": {"status": "Cancelled"}}


def test_cancelling_a_finished_run_is_no_error(server: Loopback, tekton: TektonClient) -> None:
    server.on("PATCH", f"{RUNS}/x", status_answer(400, "admission"))
    server.on("GET", f"{RUNS}/x", Answer(fixture("tekton/pipelinerun-succeeded.json")))
    assert tekton.cancel("x").status == "succeeded"


@pytest.mark.parametrize(
    ("http", "kind"), [(401, Unauthorized), (403, Unauthorized), (404, NotFound), (422, Rejected)]
)
def test_a_refusal_is_an_error_of_the_right_kind(
    http: int, kind: type[Exception], server: Loopback, tekton: TektonClient
) -> None:
    server.on("GET", f"{RUNS}/x", status_answer(http))
    with pytest.raises(kind):
        tekton.run("x")


def test_a_read_is_repeated_when_the_server_is_busy(
    server: Loopback, tekton: TektonClient, pauses: list[float]
) -> None:
    server.on("GET", f"{RUNS}/x", status_answer(429), Answer(fixture("tekton/pipelinerun-running.json")))
    assert tekton.run("x").status == "running"
    assert pauses == [pytest.approx(1.0)]


def test_the_token_does_not_follow_a_redirect(
    server: Loopback, other_host: Loopback, tekton: TektonClient
) -> None:
    server.on("GET", f"{RUNS}/x", Answer(b"", status=307, headers={"Location": f"{other_host.url}/x"}))
    with pytest.raises(Rejected):
        tekton.run("x")
    assert other_host.requests == []


def test_a_log_comes_as_lines_with_times(server: Loopback, tekton: TektonClient) -> None:
    text = b"2026-08-20T10:05:28.123456789Z first\n2026-08-20T10:05:29Z \n"
    text += b"2026-08-20T10:05:30Z caf\xc3\xa9 \x00 \xff end"
    server.on("GET", LOG, Answer(text))
    found = list(tekton.logs("smoke-pod", "step-probe"))
    assert [line.text for line in found] == ["first", "", "café \ufffd \ufffd end"]
    assert found[0].at == datetime(2026, 8, 20, 10, 5, 28, 123456, tzinfo=UTC)
    assert server.requests[0].query == {"container": "step-probe", "timestamps": "true"}


def test_a_log_goes_on_behind_the_last_line(server: Loopback, tekton: TektonClient) -> None:
    """tekton-api.md section 6: sinceTime has whole seconds, so lines come again."""
    server.on("GET", LOG, Answer(b"2026-08-20T10:05:28.1Z old\n2026-08-20T10:05:28.2Z new\n"))
    since = datetime(2026, 8, 20, 10, 5, 28, 100000, tzinfo=UTC)
    assert [line.text for line in tekton.logs("smoke-pod", "step-probe", since=since)] == ["new"]
    assert server.requests[0].query["sinceTime"] == "2026-08-20T10:05:28Z"


def test_a_followed_log_is_taken_up_again_after_a_cut(server: Loopback, tekton: TektonClient) -> None:
    def cut(exchange: Exchange) -> None:
        exchange.start()
        exchange.send(b"2026-08-20T10:05:28Z one\n2026-08-20T10:0")
        exchange.cut()

    server.on("GET", LOG, cut, Answer(b"2026-08-20T10:05:28Z one\n2026-08-20T10:05:29Z two\n"))
    assert [line.text for line in tekton.logs("smoke-pod", "step-probe", follow=True)] == ["one", "two"]
    assert server.requests[0].query["follow"] == "true"
    assert server.requests[1].query["sinceTime"] == "2026-08-20T10:05:28Z"


def test_a_container_that_waits_has_no_lines_yet(server: Loopback, tekton: TektonClient) -> None:
    server.on("GET", LOG, status_answer(400, "before the container"))
    assert list(tekton.logs("smoke-pod", "step-probe")) == []


def test_following_waits_for_the_container(server: Loopback, tekton: TektonClient) -> None:
    server.on("GET", LOG, status_answer(400, "before the container"), Answer(b"2026-08-20T10:05:28Z one\n"))
    assert [line.text for line in tekton.logs("smoke-pod", "step-probe", follow=True)] == ["one"]


def test_a_log_that_was_rotated_away_is_not_output(server: Loopback, tekton: TektonClient) -> None:
    server.on("GET", LOG, Answer(b"unable to retrieve container logs for containerd://ab12"))
    assert list(tekton.logs("smoke-pod", "step-probe")) == []


def test_a_pod_that_is_gone_is_not_found(server: Loopback, tekton: TektonClient) -> None:
    server.on("GET", LOG, status_answer(404, "logs after"))
    with pytest.raises(NotFound):
        list(tekton.logs("smoke-pod", "step-probe"))


def test_stop_ends_a_silent_log(server: Loopback, tekton: TektonClient) -> None:
    def silent(exchange: Exchange) -> None:
        exchange.start()
        exchange.send(b"2026-08-20T10:05:28Z one\n")
        exchange.stall()

    server.on("GET", LOG, silent)
    stop = threading.Event()
    lines = tekton.logs("smoke-pod", "step-probe", follow=True, stop=stop)
    assert next(lines).text == "one"
    stop.set()
    assert list(lines) == []


def test_a_line_without_a_time_is_kept() -> None:
    assert log_line(b"plain words").text == "plain words"
    assert log_line(b"plain words").at is None
