"""The simulated EventListeners against reference tekton-api.md section 7."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from integrations.sandbox import invented
from integrations.sandbox.kubernetes import cel
from tests.integrations.sandbox.running import NAMESPACE, TEKTON, Box, condition, running, task, until

Object = dict[str, Any]
URL = "/listeners/ci/el-builds"
PUSH = {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": invented.GITLAB_HOOK_TOKEN}
BODY = {"ref": "refs/heads/dev", "checkout_sha": "0123456789abcdef", "project": {"name": "web"}}


def resource(kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": "ci"}
    return {"apiVersion": "triggers.tekton.dev/v1beta1", "kind": kind, "metadata": metadata, "spec": spec}


def listener() -> Object:
    secret = {"name": "secretRef", "value": {"secretName": "s", "secretKey": "k"}}
    gitlab = {"ref": {"name": "gitlab"}, "params": [secret, {"name": "eventTypes", "value": ["Push Hook"]}]}
    filtered = {
        "name": "filter",
        "value": "body.ref.startsWith('refs/heads/') && body.ref != 'refs/heads/main'",
    }
    overlays = {
        "name": "overlays",
        "value": [{"key": "short", "expression": "body.checkout_sha.truncate(7)"}],
    }
    interceptors = [gitlab, {"ref": {"name": "cel"}, "params": [filtered, overlays]}]
    bindings = [{"ref": "source"}, {"name": "short", "value": "$(extensions.short)"}]
    trigger = {
        "name": "push",
        "interceptors": interceptors,
        "bindings": bindings,
        "template": {"ref": "build"},
    }
    return resource("EventListener", "builds", {"triggers": [trigger]})


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    params = [
        {"name": "revision", "value": "$(tt.params.revision)"},
        {"name": "short", "value": "$(tt.params.short)"},
    ]
    template = {
        "apiVersion": "tekton.dev/v1",
        "kind": "TaskRun",
        "metadata": {"generateName": "build-"},
        "spec": {"taskRef": {"name": "hello"}, "params": params},
    }
    binding = {"params": [{"name": "revision", "value": "$(body.checkout_sha)"}]}
    with running(tmp_path / "sandbox") as found:
        found.apply(
            NAMESPACE,
            task("hello", "echo hello"),
            resource("TriggerBinding", "source", binding),
            resource(
                "TriggerTemplate",
                "build",
                {"params": [{"name": "revision"}], "resourcetemplates": [template]},
            ),
            listener(),
        )
        yield found


def send(box: Box, headers: dict[str, str], body: Object) -> httpx.Response:
    return box.client("kubernetes").post(URL, headers=headers, json=body)


def created(box: Box) -> list[Object]:
    found: list[Object] = box.kubernetes.get(f"{TEKTON}/taskruns").json()["items"]
    return found


def test_an_accepted_event_is_answered_with_the_id_its_runs_are_labelled_with(box: Box) -> None:
    """202 before interceptors run; eventlistener-response-202.json; labels of what is created."""
    answer = send(box, PUSH, BODY)
    assert answer.status_code == 202
    told = answer.json()
    assert (told["eventListener"], told["namespace"]) == ("builds", "ci")
    (run,) = until(lambda: created(box))
    labels = run["metadata"]["labels"]
    assert labels["triggers.tekton.dev/triggers-eventid"] == told["eventID"]
    assert labels["triggers.tekton.dev/eventlistener"] == "builds"
    assert labels["triggers.tekton.dev/trigger"] == "push"
    values = {item["name"]: item["value"] for item in run["spec"]["params"]}
    assert values == {"revision": "0123456789abcdef", "short": "0123456"}
    assert condition(box.finished(run["metadata"]["name"], "taskruns"))["reason"] == "Succeeded"


def test_a_refused_event_is_answered_202_all_the_same_and_creates_nothing(box: Box) -> None:
    """Wrong token, other event type, false filter, missing body field: silence."""
    send(box, PUSH | {"X-Gitlab-Token": "wrong"}, BODY)
    send(box, PUSH | {"X-Gitlab-Event": "Tag Push Hook"}, BODY)
    send(box, PUSH, BODY | {"ref": "refs/heads/main"})
    assert send(box, PUSH, {"ref": "refs/heads/dev"}).status_code == 202
    wanted = send(box, PUSH, BODY).json()["eventID"]
    (run,) = until(lambda: created(box))
    assert run["metadata"]["labels"]["triggers.tekton.dev/triggers-eventid"] == wanted


def test_a_body_that_is_no_object_is_refused_and_a_missing_listener_is_a_500(box: Box) -> None:
    """400 with errorMessage; 500 with an empty body."""
    wrong = box.client("kubernetes").post(URL, content="[1]")
    assert wrong.status_code == 400
    assert wrong.json()["errorMessage"].startswith("Invalid event body format : ")
    assert wrong.json()["eventListenerUID"] == ""
    lost = box.client("kubernetes").post("/listeners/ci/el-nobody", json=BODY)
    assert (lost.status_code, lost.text) == (500, "")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("body.a.b == 'x && y'", True),
        ("!(body.n > 3) || has(body.missing)", False),
        ("header.match('X-Kind', 'push') && body.list[0] in ['one', 'two']", True),
        ("body.ref.split('/')[2]", "v1.2"),
        ("body.ref.replace('refs/tags/v', '')", "1.2"),
    ],
)
def test_the_expressions_of_filters_and_overlays_mean_what_they_say(expression: str, value: object) -> None:
    """CEL, as far as triggers use it."""
    body = {"a": {"b": "x && y"}, "n": 4, "list": ["one"], "ref": "refs/tags/v1.2"}
    header = cel.Header({"x-kind": "push"})
    assert cel.evaluate(expression, {"body": body, "header": header}) == value


@pytest.mark.parametrize("expression", ["body.missing == 1", "__import__('os')", "body.__class__", "1 +"])
def test_an_expression_that_asks_for_what_is_not_there_is_an_error(expression: str) -> None:
    """Nothing but the event's own data can be reached."""
    with pytest.raises(cel.CelError):
        cel.evaluate(expression, {"body": {}})
