"""Scenario A's cluster side: at rest on 1.0.0, then from a push to a new digest and a new version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from integrations.sandbox import invented
from tests.integrations.sandbox.running import Box, condition, running, until

Object = dict[str, Any]
RUNS = "/apis/tekton.dev/v1/namespaces/flask-app/pipelineruns"
TASKS = "/apis/tekton.dev/v1/namespaces/flask-app/taskruns"
SOURCE = "/api/v4/projects/gitlab%2Fflask-k8s-example/repository"
MANIFEST = "/api/v4/projects/gitlab%2Fflask-k8s-manifest"
FILE = "overlays/prod/deployment.yml"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with running(tmp_path / "sandbox", scenario="a") as found:
        yield found


def gitlab(box: Box) -> httpx.Client:
    return box.client("gitlab", **{"PRIVATE-TOKEN": invented.GITLAB_TOKEN})


def app(box: Box, name: str) -> Object:
    found: Object = box.argocd.get(f"/api/v1/applications/{name}", params={"project": "default"}).json()
    return found


def settled(box: Box, name: str, revision: str = "") -> Object:
    def look() -> Object:
        item = app(box, name)
        sync = item["status"]["sync"]
        good = (sync["status"], item["status"]["health"]["status"]) == ("Synced", "Healthy")
        return item if good and revision in ("", sync["revision"]) else {}

    return until(look)


def finished(box: Box, pipeline: str, known: set[str]) -> Object:
    """Wait for the next run of a pipeline to end."""

    def look() -> Object:
        listed = box.kubernetes.get(RUNS, params={"labelSelector": f"tekton.dev/pipeline={pipeline}"}).json()
        new = [item for item in listed["items"] if item["metadata"]["name"] not in known]
        return new[0] if new and condition(new[0]).get("status") in ("True", "False") else {}

    return until(look)


def names(box: Box) -> set[str]:
    return {item["metadata"]["name"] for item in box.kubernetes.get(RUNS).json()["items"]}


def push_to_dev(box: Box) -> str:
    action = {"action": "create", "file_path": "NOTES", "content": "hello"}
    body = {"branch": "dev", "commit_message": "Note", "actions": [action]}
    answer = gitlab(box).post(f"{SOURCE}/commits", json=body)
    assert answer.status_code == 201, answer.text
    commit: str = answer.json()["id"]
    return commit


def results(run: Object) -> dict[str, str]:
    return {item["name"]: item["value"].strip() for item in run["status"]["results"]}


def running_image(box: Box, name: str) -> str:
    url = f"/api/v1/applications/{name}"
    nodes = box.argocd.get(f"{url}/resource-tree").json()["nodes"]
    pod = next(node for node in nodes if node["kind"] == "Pod")
    query = {
        "resourceName": pod["name"],
        "namespace": pod["namespace"],
        "version": "v1",
        "group": "",
        "kind": "Pod",
    }
    manifest = json.loads(box.argocd.get(f"{url}/resource", params=query).json()["manifest"])
    image: str = manifest["status"]["containerStatuses"][0]["imageID"]
    return image


def test_the_scenario_starts_with_1_0_0_everywhere_and_the_runs_that_built_it(box: Box) -> None:
    """Scenario A, start."""
    for name in ("flask-dev", "flask-prod"):
        item = app(box, name)
        assert (item["status"]["sync"]["status"], item["status"]["health"]["status"]) == ("Synced", "Healthy")
        assert len(item["status"]["history"]) == 1
    prod = "harbor.centre.com/k8s/flask-k8s-example"
    assert app(box, "flask-prod")["status"]["summary"]["images"] == [f"{prod}:1.0.0"]
    runs = {
        item["metadata"]["labels"]["tekton.dev/pipeline"]: item
        for item in box.kubernetes.get(RUNS).json()["items"]
    }
    assert set(runs) == {"build-dev-image", "build-prod-image"}
    assert running_image(box, "flask-prod") == f"{prod}@{results(runs['build-prod-image'])['IMAGE_DIGEST']}"


def test_a_push_to_dev_is_built_and_brought_to_the_dev_cluster_alone(box: Box) -> None:
    """Scenario A, step 1; tekton-api.md section 8: IMAGE_URL ends with a newline."""
    known, before, prod = names(box), running_image(box, "flask-dev"), running_image(box, "flask-prod")
    commit = push_to_dev(box)
    run = finished(box, "build-dev-image", known)
    assert condition(run)["reason"] == "Succeeded"
    order = [child["pipelineTaskName"] for child in run["status"]["childReferences"]]
    assert order == ["git-clone", "build", "deploy"]
    found = results(run)
    assert found["commit"] == commit
    image = "harbor.centre.com/k8s/flask-k8s-example-dev"
    assert {item["name"]: item["value"] for item in run["status"]["results"]}[
        "IMAGE_URL"
    ] == f"{image}:latest\n"
    assert running_image(box, "flask-dev") == f"{image}@{found['IMAGE_DIGEST']}" != before
    assert running_image(box, "flask-prod") == prod
    assert (
        box.registry.labels("k8s/flask-k8s-example-dev", "latest")["org.opencontainers.image.revision"]
        == commit
    )


def test_a_version_tag_builds_the_production_image_without_its_v(box: Box) -> None:
    """Scenario A, step 2."""
    known = names(box)
    assert gitlab(box).post(f"{SOURCE}/tags", params={"tag_name": "v1.1.0", "ref": "main"}).status_code == 201
    run = finished(box, "build-prod-image", known)
    assert results(run)["IMAGE_URL"] == "harbor.centre.com/k8s/flask-k8s-example:1.1.0"
    assert box.registry.digest("k8s/flask-k8s-example", "1.1.0") == results(run)["IMAGE_DIGEST"]


def test_a_merged_manifest_change_has_production_synced_by_the_listener(box: Box) -> None:
    """Scenario A, step 4: TaskRun argocd-sync, long before Argo CD's own poll."""
    box.call(box.registry.push, "k8s/flask-k8s-example", "1.1.0", revision="0" * 40)
    client = gitlab(box)
    raw = client.get(
        f"{MANIFEST}/repository/files/{FILE.replace('/', '%2F')}/raw", params={"ref": "dev"}
    ).text
    action = {"action": "update", "file_path": FILE, "content": raw.replace(":1.0.0", ":1.1.0")}
    body = {"branch": "dev", "commit_message": "Promote", "actions": [action]}
    assert client.post(f"{MANIFEST}/repository/commits", json=body).status_code == 201
    asked = {"source_branch": "dev", "target_branch": "main", "title": "Promote"}
    iid = client.post(f"{MANIFEST}/merge_requests", json=asked).json()["iid"]
    merge = f"{MANIFEST}/merge_requests/{iid}"
    until(lambda: client.get(merge).json()["detailed_merge_status"] == "mergeable")
    assert client.put(f"{merge}/merge").status_code == 200
    sync = until(
        lambda: [
            i
            for i in box.kubernetes.get(TASKS).json()["items"]
            if i["metadata"]["name"].startswith("argocd-sync-")
        ]
    )
    name = sync[0]["metadata"]["name"]
    done = until(
        lambda: (
            i if condition(i := box.kubernetes.get(f"{TASKS}/{name}").json()).get("status") == "True" else {}
        )
    )
    assert done["spec"]["params"] == [{"name": "application-name", "value": "flask-prod"}]
    tip = box.git.tip("gitlab/flask-k8s-manifest", "main") or ""
    assert settled(box, "flask-prod", tip)["status"]["summary"]["images"] == [
        "harbor.centre.com/k8s/flask-k8s-example:1.1.0"
    ]


def test_the_next_build_and_the_next_verification_fail_on_demand(box: Box) -> None:
    """The control page's faults: kaniko exits 1 with a believable log; the smoke test turns red; once."""
    box.world.faults |= {"build": {"fail_next": 1}, "verification": {"fail_next": 1}}
    known, before = names(box), running_image(box, "flask-dev")
    push_to_dev(box)
    run = finished(box, "build-dev-image", known)
    assert condition(run)["reason"] == "Failed"
    child = next(c["name"] for c in run["status"]["childReferences"] if c["pipelineTaskName"] == "build")
    failed = box.kubernetes.get(f"{TASKS}/{child}").json()
    assert condition(failed)["message"] == '"step-build-and-push" exited with code 1: Error'
    url = f"/api/v1/namespaces/flask-app/pods/{failed['status']['podName']}/log"
    assert "error building image" in box.kubernetes.get(url, params={"container": "step-build-and-push"}).text
    assert running_image(box, "flask-dev") == before
    verdicts = [verify(box), verify(box)]
    assert [condition(item)["reason"] for item in verdicts] == ["Failed", "Succeeded"]
    assert all("finallyStartTime" in item["status"] for item in verdicts)


def verify(box: Box) -> Object:
    known = names(box)
    params = [{"name": "application", "value": "flask-prod"}, {"name": "version", "value": "1.0.0"}]
    spec = {"pipelineRef": {"name": "integration-test"}, "params": params}
    body = {"metadata": {"generateName": "verify-"}, "spec": spec}
    assert box.kubernetes.post(RUNS, json=body).status_code == 201
    return finished(box, "integration-test", known)


def test_seeding_again_changes_nothing(tmp_path: Path) -> None:
    """Idempotent: a restart finds the same objects."""
    with running(tmp_path, scenario="a") as box:
        before = (
            names(box),
            box.registry.digest("k8s/flask-k8s-example", "1.0.0"),
            app(box, "flask-prod")["metadata"]["uid"],
        )
    with running(tmp_path, scenario="a") as box:
        after = (
            names(box),
            box.registry.digest("k8s/flask-k8s-example", "1.0.0"),
            app(box, "flask-prod")["metadata"]["uid"],
        )
        settled(box, "flask-prod")
    assert before == after
