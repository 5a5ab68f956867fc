"""The simulated application controller against reference argocd-api.md sections 5 to 9."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.integrations.sandbox.running import Box, running, until

Object = dict[str, Any]
PROJECT = "team/manifests"
IMAGE = "harbor.centre.com/k8s/web"


def deployment(tag: str, *, image: str = IMAGE, replicas: int = 2) -> Object:
    container = {"name": "web", "image": f"{image}:{tag}"}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def commit(box: Box, tag: str, path: str = "plain/web.yaml", **more: Any) -> str:
    return box.git.commit(PROJECT, "main", {path: yaml.safe_dump(deployment(tag, **more))}, f"web {tag}")


def application(name: str, path: str, *, automated: bool = False, **spec: Any) -> Object:
    source = {"repoURL": f"https://gitlab.centre.com/{PROJECT}.git", "path": path, "targetRevision": "main"}
    policy: Object = {"automated": {"prune": True, "selfHeal": True}} if automated else {}
    destination = {"name": "prod", "namespace": "web"}
    found = {"project": "default", "source": source, "destination": destination, "syncPolicy": policy}
    return {"metadata": {"name": name}, "spec": {**found, **spec}}


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with running(tmp_path / "sandbox") as found:
        for tag in ("1.0.0", "1.1.0"):
            found.call(found.registry.push, "k8s/web", tag, revision="0" * 40)
        commit(found, "1.0.0")
        yield found


def get(box: Box, name: str = "web", **query: str) -> Object:
    found: Object = box.argocd.get(
        f"/api/v1/applications/{name}", params={"project": "default", **query}
    ).json()
    return found


def states(item: Object) -> tuple[str, str]:
    return item["status"]["sync"]["status"], item["status"]["health"].get("status", "")


def sync(box: Box, name: str = "web", **body: Any) -> httpx.Response:
    headers = {"Content-Type": "application/json"}
    content = json.dumps({"project": "default", **body})
    return box.argocd.post(f"/api/v1/applications/{name}/sync", content=content, headers=headers)


def ended(box: Box, name: str = "web") -> Object:
    def look() -> Object:
        item = get(box, name)
        phase = item["status"].get("operationState", {}).get("phase")
        return item if phase in ("Succeeded", "Failed", "Error") and "operation" not in item else {}

    return until(look)


def settled(box: Box, name: str = "web") -> Object:
    return until(lambda: item if states(item := get(box, name)) == ("Synced", "Healthy") else {})


def seen(box: Box, name: str = "web") -> Any:
    """Watch an Application from now on: a list that a subscriber inside the sandbox fills."""
    queue: asyncio.Queue[Any] = asyncio.Queue()
    box.call(box.argo.apps.watchers.add, queue)

    def drain() -> list[Object]:
        found = []
        while not queue.empty():
            _, item = queue.get_nowait()
            if item["metadata"]["name"] == name:
                found.append(item)
        return found

    return drain


def test_a_manual_application_waits_out_of_sync_until_it_is_told(box: Box) -> None:
    """Section 5: 200 means queued; operation set and operationState removed in the same answer."""
    box.call(box.argo.apply, application("web", "plain"))
    item = until(lambda: i if states(i := get(box)) == ("OutOfSync", "Missing") else {})
    assert "operation" not in item
    answer = sync(box, revision="main", infos=[{"name": "promotion-id", "value": "prm-1"}])
    assert answer.status_code == 200
    assert "operationState" not in answer.json()["status"]
    assert answer.json()["operation"]["info"] == [{"name": "promotion-id", "value": "prm-1"}]
    done = settled(box)
    state = done["status"]["operationState"]
    assert state["phase"] == "Succeeded"
    assert state["message"] == "successfully synced (all tasks run)"
    assert state["operation"]["info"] == [{"name": "promotion-id", "value": "prm-1"}]
    assert state["syncResult"]["revision"] == box.git.tip(PROJECT, "main")
    assert [entry["revision"] for entry in done["status"]["history"]] == [box.git.tip(PROJECT, "main")]
    assert done["status"]["summary"]["images"] == [f"{IMAGE}:1.0.0"]


def test_an_automated_application_follows_the_branch_with_stale_health_in_between(box: Box) -> None:
    """Sections 8 and 9: Succeeded with the health of before, Progressing with both images, Healthy."""
    box.call(box.argo.apply, application("web", "plain", automated=True))
    settled(box)
    drain = seen(box)
    tip = commit(box, "1.1.0")
    get(box, refresh="normal")
    done = until(
        lambda: (
            i
            if states(i := get(box)) == ("Synced", "Healthy") and i["status"]["sync"]["revision"] == tip
            else {}
        )
    )
    frames = drain()
    stale = [
        f
        for f in frames
        if f["status"].get("operationState", {}).get("phase") == "Succeeded"
        and f["status"]["operationState"]["syncResult"]["revision"] == tip
        and states(f) == ("OutOfSync", "Healthy")
    ]
    assert stale, "race 1: operation done, health and sync status still from before"
    both = [f"{IMAGE}:1.0.0", f"{IMAGE}:1.1.0"]
    rolling = [f for f in frames if f["status"].get("summary", {}).get("images") == both]
    assert {states(f) for f in rolling} == {("Synced", "Progressing")}
    # Live changes move health and leave reconciledAt alone.
    assert done["status"]["reconciledAt"] == rolling[-1]["status"]["reconciledAt"]
    versions = [int(f["metadata"]["resourceVersion"]) for f in frames]
    assert versions == sorted(set(versions))
    assert done["status"]["operationState"]["operation"]["initiatedBy"] == {"automated": True}


def test_an_automated_application_takes_no_explicit_commit(box: Box) -> None:
    """Section 5: code 9, the literal branch name is allowed."""
    box.call(box.argo.apply, application("web", "plain", automated=True))
    settled(box)
    tip = box.git.tip(PROJECT, "main")
    refused = sync(box, revision=tip)
    assert (refused.status_code, refused.json()["code"]) == (400, 9)
    assert refused.json()["error"] == f"Cannot sync to {tip}: auto-sync currently set to main"
    assert sync(box, revision="main").status_code == 200


def test_a_second_sync_is_refused_while_one_runs_and_the_first_can_be_terminated(box: Box) -> None:
    """Sections 5 and 9."""
    box.call(box.argo.apply, application("web", "plain"))
    until(lambda: states(get(box))[0] == "OutOfSync")
    nothing = box.argocd.delete(
        "/api/v1/applications/web/operation",
        params={"project": "default"},
        headers={"Content-Type": "application/json"},
    )
    assert (nothing.status_code, nothing.json()["code"]) == (400, 3)
    box.world.faults["sync_errors"] = {"web": 5}
    sync(box, retryStrategy={"limit": 3, "backoff": {"duration": "2m0s"}})
    second = sync(box)
    assert second.json()["error"] == "another operation is already in progress"
    waiting = until(
        lambda: (
            i
            if "Retrying attempt #1 at"
            in (i := get(box))["status"].get("operationState", {}).get("message", "")
            else {}
        )
    )
    state = waiting["status"]["operationState"]
    # The trap of section 7: Running, with finishedAt and the operation still there.
    assert (state["phase"], state["retryCount"], "finishedAt" in state) == ("Running", 1, True)
    assert "operation" in waiting
    box.argocd.delete(
        "/api/v1/applications/web/operation",
        params={"project": "default"},
        headers={"Content-Type": "application/json"},
    )
    done = ended(box)
    assert done["status"]["operationState"]["phase"] == "Failed"
    assert done["status"]["operationState"]["message"] == "Operation terminated"


def test_a_refused_object_fails_the_sync_and_is_not_tried_again_by_itself(box: Box) -> None:
    """Section 8 race 7: SyncError condition; application-sync-failed.json."""
    box.world.faults["sync_errors"] = {"web": 1}
    policy = {"automated": {}, "retry": {"limit": 0}}
    box.call(box.argo.apply, application("web", "plain", syncPolicy=policy))
    item = until(lambda: i if (i := get(box))["status"].get("conditions") else {})
    (condition,) = item["status"]["conditions"]
    tip = box.git.tip(PROJECT, "main")
    assert condition["type"] == "SyncError"
    assert condition["message"].startswith(
        f"Failed last sync attempt to [{tip}]: one or more objects failed to apply"
    )
    assert item["status"]["operationState"]["syncResult"]["resources"][0]["status"] == "SyncFailed"


def test_a_tree_that_does_not_build_is_a_comparison_error_with_known_health(box: Box) -> None:
    """Section 7; application-comparison-error.json."""
    box.call(box.argo.apply, application("web", "plain", automated=True))
    settled(box)
    box.git.commit(PROJECT, "main", {"plain/web.yaml": "kind: [\n"})
    item = get(box, refresh="normal")
    assert states(item) == ("Unknown", "Healthy")
    (condition,) = item["status"]["conditions"]
    assert condition["type"] == "ComparisonError"
    assert "failed to generate manifest for source 1 of 1" in condition["message"]
    commit(box, "1.0.0")
    assert "conditions" not in get(box, refresh="normal")["status"]


def test_a_degraded_application_says_why_and_recovers(box: Box) -> None:
    """Section 7; application-degraded.json."""
    box.call(box.argo.apply, application("web", "plain", automated=True))
    settled(box)
    box.world.faults["degraded"] = ["web"]
    item = until(lambda: i if states(i := get(box))[1] == "Degraded" else {})
    assert item["status"]["health"]["message"] == 'Deployment "web" exceeded its progress deadline'
    box.world.faults["degraded"] = []
    settled(box)


def test_an_image_that_does_not_exist_never_becomes_healthy(box: Box) -> None:
    """Section 7: Progressing, and Degraded after the progress deadline."""
    manifest = deployment("9.9.9")
    manifest["spec"]["progressDeadlineSeconds"] = 20
    box.git.commit(PROJECT, "main", {"plain/web.yaml": yaml.safe_dump(manifest)})
    box.call(box.argo.apply, application("web", "plain", automated=True))
    until(lambda: states(get(box)) == ("Synced", "Progressing"))
    until(lambda: states(get(box)) == ("Synced", "Degraded"))


def test_the_pods_of_a_mutable_tag_run_the_new_digest_after_a_requested_sync(box: Box) -> None:
    """A pod's imageID is what was pulled when it started."""
    first = box.call(box.registry.push, "k8s/web", "latest", revision="1" * 40)
    commit(box, "latest")
    box.call(box.argo.apply, application("web", "plain", automated=True))
    settled(box)
    assert running_images(box) == {f"{IMAGE}@{first}"}
    second = box.call(box.registry.push, "k8s/web", "latest", revision="2" * 40)
    assert running_images(box) == {f"{IMAGE}@{first}"}
    box.call(box.argo.request_sync, "web")
    assert box.argo.verdict("web")[0] == "Unknown"
    until(lambda: box.argo.verdict("web") == ("Synced", "Healthy"))
    assert running_images(box) == {f"{IMAGE}@{second}"}


def running_images(box: Box) -> set[str]:
    tree = box.argocd.get("/api/v1/applications/web/resource-tree", params={"project": "default"}).json()
    found = set()
    for node in tree["nodes"]:
        if node["kind"] == "Pod":
            query = {
                "resourceName": node["name"],
                "namespace": "web",
                "version": "v1",
                "group": "",
                "kind": "Pod",
            }
            answer = box.argocd.get("/api/v1/applications/web/resource", params=query).json()
            found |= {s["imageID"] for s in json.loads(answer["manifest"])["status"]["containerStatuses"]}
    return found


def test_a_rollback_runs_an_older_history_entry_of_a_manual_application(box: Box) -> None:
    """Sections 3 and 5; errors.json."""
    box.call(box.argo.apply, application("web", "plain"))
    until(lambda: states(get(box))[0] == "OutOfSync")
    sync(box)
    settled(box)
    commit(box, "1.1.0")
    get(box, refresh="normal")
    sync(box)
    until(lambda: len(get(box)["status"]["history"]) == 2)
    settled(box)
    headers = {"Content-Type": "application/json"}
    url = "/api/v1/applications/web/rollback"
    unknown = box.argocd.post(url, content=json.dumps({"id": 99}), headers=headers)
    assert unknown.json()["error"] == "application argocd/web does not have deployment with id 99"
    assert box.argocd.post(url, content=json.dumps({"id": 0}), headers=headers).status_code == 200
    until(lambda: get(box)["status"]["summary"]["images"] == [f"{IMAGE}:1.0.0"])
    assert until(lambda: states(get(box))[0] == "OutOfSync")


def test_a_partial_or_dry_sync_leaves_no_history(box: Box) -> None:
    """Section 8 race 9."""
    box.call(box.argo.apply, application("web", "plain"))
    until(lambda: states(get(box))[0] == "OutOfSync")
    sync(box, dryRun=True)
    done = ended(box)
    assert done["status"]["operationState"]["phase"] == "Succeeded"
    assert "history" not in done["status"]
    assert states(done)[0] == "OutOfSync"


def test_gitlabs_push_hook_refreshes_the_applications_of_that_branch(box: Box) -> None:
    """Section 6."""
    box.call(box.argo.apply, application("web", "plain", automated=True))
    settled(box)
    tip = commit(box, "1.1.0")
    url = f"http://GitLab.Centre.com:8929/{PROJECT}"
    body = {"ref": "refs/heads/main", "after": tip, "project": {"web_url": url, "default_branch": "main"}}
    headers = {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": "sandbox-gitlab-hook-token"}
    answer = box.argocd.post("/api/webhook", content=json.dumps(body), headers=headers)
    assert (answer.status_code, answer.text) == (200, "")
    until(lambda: get(box)["status"]["sync"].get("revision") == tip)
    wrong = box.argocd.post(
        "/api/webhook", content=json.dumps(body), headers=headers | {"X-Gitlab-Token": "x"}
    )
    assert (wrong.status_code, wrong.text) == (400, "Webhook processing failed\n")
    assert box.argocd.post("/api/webhook", content="{}").text == "Unknown webhook event\n"
    assert box.argocd.get("/api/webhook", headers=headers).status_code == 405


def test_kustomize_overlays_patches_and_images_are_rendered(box: Box) -> None:
    """Scenario A's layout: base, overlay patch by container name; and an images entry."""
    patch = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    container = {"name": "web", "image": f"{IMAGE}:1.0.0", "env": [{"name": "A", "value": "b"}]}
    patch["spec"] = {"replicas": 3, "template": {"spec": {"containers": [container]}}}
    files = {
        "base/kustomization.yaml": "resources: [web.yaml]\n",
        "base/web.yaml": yaml.safe_dump(deployment("0")),
        "overlay/kustomization.yml": (
            "namespace: other\nresources: [../base]\npatches: [{path: patch.yaml}]\n"
        ),
        "overlay/patch.yaml": yaml.safe_dump(patch),
        "images/kustomization.yaml": (
            f"resources: [../base]\nimages: [{{name: {IMAGE}, newName: {IMAGE}, newTag: 1.1.0}}]\n"
        ),
    }
    box.git.commit(PROJECT, "main", files)
    for name in ("overlay", "images"):
        box.call(box.argo.apply, application(name, name, automated=True))
    assert settled(box, "overlay")["status"]["summary"]["images"] == [f"{IMAGE}:1.0.0"]
    item = settled(box, "images")
    assert item["status"]["summary"]["images"] == [f"{IMAGE}:1.1.0"]
    assert item["status"]["sourceType"] == "Kustomize"
    manifests = box.argocd.get("/api/v1/applications/overlay/manifests").json()["manifests"]
    rendered = json.loads(manifests[0])
    assert (rendered["metadata"]["namespace"], rendered["spec"]["replicas"]) == ("other", 3)
    assert rendered["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "A", "value": "b"}]


def test_a_chart_takes_its_tag_from_app_version_or_values(box: Box) -> None:
    """Scenarios B and D."""
    template = yaml.safe_dump(deployment("TAG")).replace(
        f"{IMAGE}:TAG", '"{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"'
    )
    files = {
        "chart/Chart.yaml": "apiVersion: v2\nname: web\nversion: 0.1.0\nappVersion: 1.0.0\n",
        "chart/values.yaml": f"image:\n  repository: {IMAGE}\n  tag: ''\n",
        "chart/values-prod.yaml": "image: {tag: 1.1.0}\n",
        "chart/templates/web.yaml": template,
    }
    box.git.commit(PROJECT, "main", files)
    plain = application("plain-values", "chart", automated=True)
    prod = application("prod-values", "chart", automated=True)
    prod["spec"]["source"]["helm"] = {"valueFiles": ["values-prod.yaml"]}
    box.call(box.argo.apply, plain)
    box.call(box.argo.apply, prod)
    assert settled(box, "plain-values")["status"]["summary"]["images"] == [f"{IMAGE}:1.0.0"]
    item = settled(box, "prod-values")
    assert item["status"]["summary"]["images"] == [f"{IMAGE}:1.1.0"]
    assert item["status"]["sourceType"] == "Helm"


def test_the_image_updaters_override_file_wins(box: Box) -> None:
    """Scenario E: .argocd-source-APP.yaml."""
    files = {
        "app/kustomization.yaml": "resources: [web.yaml]\n",
        "app/web.yaml": yaml.safe_dump(deployment("1.0.0")),
        "app/.argocd-source-web.yaml": f"kustomize: {{images: ['{IMAGE}:1.1.0']}}\n",
    }
    box.git.commit(PROJECT, "main", files)
    box.call(box.argo.apply, application("web", "app", automated=True))
    assert settled(box)["status"]["summary"]["images"] == [f"{IMAGE}:1.1.0"]


def test_pruning_removes_what_git_no_longer_has(box: Box) -> None:
    """Section 7: per-resource result Pruned."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {}}
    box.git.commit(PROJECT, "main", {"plain/service.yaml": yaml.safe_dump(service)})
    box.call(box.argo.apply, application("web", "plain", automated=True))
    assert len(settled(box)["status"]["resources"]) == 2
    box.git.commit(PROJECT, "main", {"plain/service.yaml": "# gone\n"})
    get(box, refresh="normal")
    done = until(lambda: i if len((i := get(box))["status"]["resources"]) == 1 else {})
    assert "Pruned" in [r["status"] for r in done["status"]["operationState"]["syncResult"]["resources"]]


def test_without_any_hint_the_controller_polls_git(tmp_path: Path) -> None:
    """Section 6: 120 s plus up to 60 s, divided by the speed."""
    with running(tmp_path, speed=200) as box:
        box.call(box.registry.push, "k8s/web", "1.0.0", revision="0" * 40)
        commit(box, "1.0.0")
        box.call(box.argo.apply, application("web", "plain"))
        until(lambda: "revision" in get(box)["status"]["sync"])
        tip = commit(box, "1.1.0")
        until(lambda: get(box)["status"]["sync"]["revision"] == tip)


def test_applications_and_their_pods_survive_a_restart(tmp_path: Path) -> None:
    """State is kept; a restart finds the same live objects."""
    with running(tmp_path) as box:
        box.call(box.registry.push, "k8s/web", "1.0.0", revision="0" * 40)
        commit(box, "1.0.0")
        box.call(box.argo.apply, application("web", "plain", automated=True))
        settled(box)
        before = running_images(box), get(box)["metadata"]["uid"]
    with running(tmp_path) as box:
        assert states(get(box)) == ("Synced", "Healthy")
        assert (running_images(box), get(box)["metadata"]["uid"]) == before
