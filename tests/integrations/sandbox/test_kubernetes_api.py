"""The simulated API server against reference kubernetes-watch.md, with raw HTTP and with real clients."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from kubernetes import client as kubernetes_client
from kubernetes import config as kubernetes_config
from kubernetes import watch as kubernetes_watch

from integrations.sandbox.kubernetes import kubeconfig
from tests.integrations.sandbox.running import (
    NAMESPACE,
    TEKTON,
    Box,
    pipeline,
    pipeline_run,
    running,
    step,
    task,
    until,
)

Object = dict[str, Any]
PENDING = {"status": "PipelineRunPending"}


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with running(tmp_path / "sandbox") as found:
        found.apply(NAMESPACE, task("hello", "echo hello\nsleep 2"), pipeline("greet", step("a", "hello")))
        yield found


def create(box: Box, name: str, **metadata: Any) -> Object:
    """Create a pending run: nothing happens to it by itself."""
    body = pipeline_run(name, "greet", **PENDING)
    body["metadata"] |= metadata
    answer = box.kubernetes.post(f"{TEKTON}/pipelineruns", json=body)
    assert answer.status_code == 201, answer.text
    return until(lambda: found if (found := box.run(name)).get("status") else {})


def version(box: Box) -> str:
    found: str = box.kubernetes.get(f"{TEKTON}/pipelineruns").json()["metadata"]["resourceVersion"]
    return found


@contextmanager
def watch(box: Box, **query: str) -> Iterator[Iterator[Object]]:
    asked = {"watch": "1", "timeoutSeconds": "5", **query}
    with box.kubernetes.stream("GET", f"{TEKTON}/pipelineruns", params=asked) as answer:
        yield (json.loads(line) for line in answer.iter_lines())


def test_requests_without_the_token_get_a_status_401_without_details(box: Box) -> None:
    """kubernetes-watch.md section 1, status-errors.json."""
    answer = box.client("kubernetes").get(f"{TEKTON}/pipelineruns")
    assert answer.status_code == 401
    assert answer.json()["reason"] == "Unauthorized"
    assert "details" not in answer.json()


def test_a_kind_that_is_not_installed_answers_404_in_plain_text(box: Box) -> None:
    """kubernetes-watch.md section 1."""
    answer = box.kubernetes.get("/apis/tekton.dev/v1/namespaces/ci/unheardof")
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")
    assert answer.headers["content-type"].startswith("text/plain")


def test_custom_items_of_a_list_carry_their_kind_and_core_items_do_not(box: Box) -> None:
    """kubernetes-watch.md section 1."""
    create(box, "one")
    listed = box.kubernetes.get(f"{TEKTON}/pipelineruns").json()
    assert (listed["kind"], listed["items"][0]["kind"]) == ("PipelineRunList", "PipelineRun")
    namespaces = box.kubernetes.get("/api/v1/namespaces").json()
    assert all("kind" not in item and "apiVersion" not in item for item in namespaces["items"])


def test_a_list_is_read_in_pages_until_its_token_expires(box: Box) -> None:
    """kubernetes-watch.md section 1, paging."""
    for name in ("a", "b", "c"):
        create(box, name)
    first = box.kubernetes.get(f"{TEKTON}/pipelineruns", params={"limit": 2}).json()
    assert len(first["items"]) == 2
    assert first["metadata"]["remainingItemCount"] == 1
    token = first["metadata"]["continue"]
    rest = box.kubernetes.get(f"{TEKTON}/pipelineruns", params={"limit": 2, "continue": token}).json()
    assert [item["metadata"]["name"] for item in rest["items"]] == ["c"]
    create(box, "d")
    box.call(box.cluster.objects.compact)
    late = box.kubernetes.get(f"{TEKTON}/pipelineruns", params={"limit": 2, "continue": token})
    assert (late.status_code, late.json()["reason"]) == (410, "Expired")


def test_a_generated_name_ends_in_five_letters_that_spell_no_word(box: Box) -> None:
    """kubernetes-watch.md section 5."""
    body = pipeline_run("", "greet", **PENDING)
    body["metadata"] = {"generateName": "greet-"}
    made = box.kubernetes.post(f"{TEKTON}/pipelineruns", json=body).json()
    suffix = made["metadata"]["name"].removeprefix("greet-")
    assert len(suffix) == 5
    assert set(suffix) <= set("bcdfghjklmnpqrstvwxz2456789")


def test_a_fixed_name_can_be_created_once(box: Box) -> None:
    """kubernetes-watch.md section 1: safe idempotence."""
    create(box, "once")
    again = box.kubernetes.post(f"{TEKTON}/pipelineruns", json=pipeline_run("once", "greet"))
    assert (again.status_code, again.json()["reason"]) == (409, "AlreadyExists")
    assert again.json()["message"] == 'pipelineruns.tekton.dev "once" already exists'


def test_a_dry_run_creates_nothing_but_runs_admission(box: Box) -> None:
    """kubernetes-watch.md section 1."""
    url, query = f"{TEKTON}/pipelineruns", {"dryRun": "All"}
    assert box.kubernetes.post(url, params=query, json=pipeline_run("dry", "greet")).status_code == 201
    assert box.kubernetes.get(f"{url}/dry").status_code == 404
    wrong = box.kubernetes.post(url, params=query, json=pipeline_run("dry", "greet", status="Nonsense"))
    assert wrong.status_code == 400
    assert "denied the request" in wrong.json()["message"]


def test_patches_are_merge_or_json_and_never_strategic(box: Box) -> None:
    """kubernetes-watch.md section 1, patch types."""
    create(box, "one")
    url = f"{TEKTON}/pipelineruns/one"
    merged = box.kubernetes.patch(
        url,
        content=json.dumps({"metadata": {"labels": {"a": "b"}}, "status": {"startTime": "x"}}),
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert merged.json()["metadata"]["labels"]["a"] == "b"
    assert merged.json()["status"].get("startTime") != "x", "the main URL ignores status"
    removed = box.kubernetes.patch(
        url,
        content=json.dumps([{"op": "remove", "path": "/metadata/labels/a"}]),
        headers={"Content-Type": "application/json-patch+json"},
    )
    assert "a" not in removed.json()["metadata"].get("labels", {})
    strategic = box.kubernetes.patch(
        url, content="{}", headers={"Content-Type": "application/strategic-merge-patch+json"}
    )
    assert strategic.status_code == 415


def test_a_stale_version_in_a_put_conflicts(box: Box) -> None:
    """kubernetes-watch.md section 1: 409 Conflict, status-errors.json."""
    item = create(box, "one")
    item["metadata"]["resourceVersion"] = "1"
    item["metadata"]["labels"] = {"x": "y"}
    answer = box.kubernetes.put(f"{TEKTON}/pipelineruns/one", json=item)
    assert (answer.status_code, answer.json()["reason"]) == (409, "Conflict")


def test_a_watch_replays_what_happened_after_its_version(box: Box) -> None:
    """kubernetes-watch.md section 1: start point."""
    start = version(box)
    create(box, "one")
    with watch(box, resourceVersion=start) as events:
        first = next(events)
        assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "one")
        assert int(first["object"]["metadata"]["resourceVersion"]) > int(start)
        assert next(events)["type"] == "MODIFIED"


def test_a_watch_sends_its_headers_before_any_event_and_ends_at_its_timeout(box: Box) -> None:
    """kubernetes-watch.md section 1: status line at once, timeoutSeconds ends cleanly."""
    with watch(box, resourceVersion=version(box), timeoutSeconds="1") as events:
        assert list(events) == []


def test_an_object_that_stops_matching_a_selector_is_deleted_for_the_watcher(box: Box) -> None:
    """kubernetes-watch.md section 1, label selector."""
    create(box, "one", labels={"team": "red"})
    with watch(box, resourceVersion=version(box), labelSelector="team in (red, blue),!old") as events:
        box.kubernetes.patch(
            f"{TEKTON}/pipelineruns/one",
            content=json.dumps({"metadata": {"labels": {"old": "yes"}}}),
            headers={"Content-Type": "application/merge-patch+json"},
        )
        assert next(events)["type"] == "DELETED"
    assert box.run("one")["metadata"]["labels"]["old"] == "yes"


def test_custom_objects_are_selected_by_name_and_namespace_alone(box: Box) -> None:
    """kubernetes-watch.md section 1, field selector."""
    create(box, "one")
    create(box, "two")
    url = f"{TEKTON}/pipelineruns"
    found = box.kubernetes.get(url, params={"fieldSelector": "metadata.name=two"}).json()
    assert [item["metadata"]["name"] for item in found["items"]] == ["two"]
    assert box.kubernetes.get(url, params={"fieldSelector": "status.phase=x"}).status_code == 400


def test_a_version_too_old_ends_the_watch_with_an_error_event(box: Box) -> None:
    """kubernetes-watch.md section 1, watch-expired.ndjson."""
    start = version(box)
    create(box, "one")
    box.call(box.cluster.objects.compact)
    with watch(box, resourceVersion=start) as events:
        lines = list(events)
    assert [line["type"] for line in lines] == ["ERROR"]
    assert lines[0]["object"]["code"] == 410
    assert lines[0]["object"]["message"].startswith(f"too old resource version: {start} (")


def test_a_version_too_old_may_also_answer_410_before_streaming(box: Box) -> None:
    """kubernetes-watch.md section 1: the other form."""
    start = version(box)
    create(box, "one")
    box.call(box.cluster.objects.compact)
    box.world.faults["watch"] = {"gone": "http"}
    asked = {"watch": "1", "resourceVersion": start}
    assert box.kubernetes.get(f"{TEKTON}/pipelineruns", params=asked).status_code == 410


def test_bookmarks_carry_a_version_and_nothing_else(box: Box) -> None:
    """kubernetes-watch.md section 1, bookmark; here sped up."""
    create(box, "one")
    with watch(box, resourceVersion=version(box), allowWatchBookmarks="true") as events:
        bookmark = next(events)
    assert bookmark["type"] == "BOOKMARK"
    assert bookmark["object"]["metadata"]["resourceVersion"] == version(box)
    assert set(bookmark["object"]) == {"kind", "apiVersion", "metadata"}


def test_events_can_be_cut_and_doubled_on_demand(box: Box) -> None:
    """kubernetes-watch.md section 5: fault switches."""
    start = version(box)
    create(box, "one")
    box.world.faults["watch"] = {"duplicate": 1, "cut": 0}
    with watch(box, resourceVersion=start) as events:
        assert next(events) == next(events)
    box.world.faults["watch"] = {"cut": 1}
    asked = {"watch": "1", "resourceVersion": start}
    text = box.kubernetes.get(f"{TEKTON}/pipelineruns", params=asked).text
    with pytest.raises(ValueError):
        json.loads(text)


def test_a_dropped_stream_ends_and_a_refused_one_answers_503(box: Box) -> None:
    """kubernetes-watch.md section 5: fault switches."""
    far = 4_000_000_000
    with watch(box, resourceVersion=version(box), timeoutSeconds="60") as events:
        box.world.faults["streams"] = {"kubernetes": {"mode": "drop", "until": far}}
        assert list(events) == []
    box.world.faults["streams"] = {"kubernetes": {"mode": "refuse", "until": far}}
    assert box.kubernetes.get(f"{TEKTON}/pipelineruns", params={"watch": "1"}).status_code == 503


def test_objects_and_their_versions_survive_a_restart(tmp_path: Path) -> None:
    """kubernetes-watch.md section 1: versions rise; a watch from before the restart is too old."""
    with running(tmp_path) as box:
        box.apply(NAMESPACE, pipeline("greet"))
        start = version(box)
        create(box, "kept")
        last = version(box)
    with running(tmp_path) as box:
        assert box.run("kept")["spec"]["status"] == "PipelineRunPending"
        assert int(version(box)) >= int(last)
        with watch(box, resourceVersion=start) as events:
            assert next(events)["type"] == "ERROR"


def test_the_python_client_lists_creates_watches_and_reads_logs(box: Box, tmp_path: Path) -> None:
    """kubernetes-watch.md sections 2 and 4: list, then watch from the list's version."""
    config = tmp_path / "config"
    config.write_text(kubeconfig(box.urls["kubernetes"], namespace="ci"))
    with kubernetes_config.new_client_from_config(str(config)) as client:
        custom = kubernetes_client.CustomObjectsApi(client)
        where = ("tekton.dev", "v1", "ci", "pipelineruns")
        start = custom.list_namespaced_custom_object(*where)["metadata"]["resourceVersion"]
        custom.create_namespaced_custom_object(*where, body=pipeline_run("greet-1", "greet"))
        seen: list[tuple[str, Object]] = []
        watcher = kubernetes_watch.Watch()
        for event in watcher.stream(
            custom.list_namespaced_custom_object, *where, resource_version=start, timeout_seconds=10
        ):
            seen.append((event["type"], event["raw_object"]))
            if "completionTime" in event["raw_object"].get("status", {}):
                break
        watcher.stop()
        assert seen[0][0] == "ADDED"
        assert "status" not in seen[0][1]
        core = kubernetes_client.CoreV1Api(client)
        (pod,) = core.list_namespaced_pod("ci", label_selector="tekton.dev/pipelineRun=greet-1").items
        log = core.read_namespaced_pod_log(pod.metadata.name, "ci", container="step-s1")
        assert log == "hello\n"
        with pytest.raises(kubernetes_client.ApiException) as missing:
            core.read_namespaced_pod_log("nope", "ci")
        assert missing.value.status == 404


def test_kubectl_get_watch_prints_a_run_until_it_succeeded(box: Box, tmp_path: Path) -> None:
    """The columns of Tekton's resource: NAME SUCCEEDED REASON STARTTIME COMPLETIONTIME."""
    program = shutil.which("kubectl")
    assert program, "kubectl is missing: apt-get install kubernetes-client"
    config = tmp_path / "config"
    config.write_text(kubeconfig(box.urls["kubernetes"], namespace="ci"))
    command = [program, f"--kubeconfig={config}", f"--cache-dir={tmp_path / 'cache'}"]
    made = subprocess.run(
        [*command, "create", "-f", "-"],
        input=json.dumps(pipeline_run("greet-1", "greet", timeouts={"pipeline": "20m0s"})),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert made.stdout == "pipelinerun.tekton.dev/greet-1 created\n", made.stderr
    with subprocess.Popen(
        [*command, "get", "pipelineruns", "-w"], stdout=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout is not None
        lines = [following.stdout.readline().split()]
        while lines[-1][1:3] != ["True", "Succeeded"]:
            lines.append(following.stdout.readline().split())
            assert lines[-1], "kubectl ended before the run did"
        following.terminate()
    assert lines[0] == ["NAME", "SUCCEEDED", "REASON", "STARTTIME", "COMPLETIONTIME"]
    assert lines[-1][0] == "greet-1"


def test_a_slow_reader_of_a_stalled_watch_gets_the_events_afterwards(box: Box) -> None:
    """kubernetes-watch.md section 5: silent stall."""
    far = 4_000_000_000
    with watch(box, resourceVersion=version(box), timeoutSeconds="20") as events:
        box.world.faults["streams"] = {"kubernetes": {"mode": "stall", "until": far}}
        create(box, "hidden")
        box.world.faults.pop("streams")
        assert next(events)["object"]["metadata"]["name"] == "hidden"


def test_a_watch_with_a_closed_connection_is_forgotten(box: Box) -> None:
    """A client that goes away must not keep the sandbox from stopping."""
    asked = {"watch": "1", "timeoutSeconds": "3600"}
    with httpx.Client(base_url=box.urls["kubernetes"], headers=box.kubernetes.headers) as client:
        request = client.build_request("GET", f"{TEKTON}/pipelineruns", params=asked)
        answer = client.send(request, stream=True)
        assert answer.status_code == 200
        answer.close()
