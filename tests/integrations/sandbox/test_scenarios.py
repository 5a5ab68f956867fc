"""Scenarios B to E in one sandbox: what they start with, and what their plays do."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from integrations.sandbox import invented
from integrations.sandbox.scenarios import chosen
from integrations.sandbox.server import InThread, Options
from tests.integrations.sandbox.running import until


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InThread]:
    folder = tmp_path_factory.mktemp("sandbox")
    with InThread(Options(folder, scenario="b,c,d,e", speed=50, seed=1)) as running:
        yield running


def play(box: InThread, action: str, **given: Any) -> Any:
    answer = httpx.post(f"{box.urls['control']}/api/play/{action}", json=given, trust_env=False, verify=False)
    assert answer.status_code == 200, answer.text
    return answer.json()


def argocd(box: InThread, path: str, **body: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {invented.ARGOCD_TOKEN}", "Content-Type": "application/json"}
    url = f"{box.urls['argocd']}/api/v1/{path}"
    if body:
        return httpx.post(url, json=body, headers=headers, trust_env=False, verify=False)
    return httpx.get(url, headers=headers, trust_env=False, verify=False)


def git(box: InThread, project: str, *arguments: str) -> str:
    command = ["git", "-C", str(box.world.git.repository(project)), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def images(box: InThread, name: str) -> list[str]:
    found: list[str] = argocd(box, f"applications/{name}").json()["status"]["summary"]["images"]
    return found


def test_scenarios_are_chosen_by_name() -> None:
    assert chosen("b") == ("b",)
    assert chosen("e, a") == ("a", "e")
    assert chosen("all") == ("a", "b", "c", "d", "e")
    with pytest.raises(ValueError, match="there is no scenario x"):
        chosen("a,x")


def test_every_application_starts_synced_and_healthy(box: InThread) -> None:
    """Reference scenarios README, sections B to E."""
    rows = argocd(box, "applications").json()["items"]
    assert {row["metadata"]["name"] for row in rows} == {
        "webapp",
        "go-sampleapp-dev",
        "go-sampleapp-prod",
        "shop-dev",
        "shop-prod",
        "billing-dev",
        "billing-prod",
    }
    assert {(row["status"]["sync"]["status"], row["status"]["health"]["status"]) for row in rows} == {
        ("Synced", "Healthy")
    }
    assert images(box, "webapp")[0].startswith("docker.io/centre/gitops-demo-app:master-")


def test_an_automated_application_refuses_a_revision(box: InThread) -> None:
    """Reference argocd-api.md section 5: a commit never equals the branch that auto-sync follows."""
    tip = git(box, "gitlab/gitops-demo-chart", "rev-parse", "master").strip()
    refused = argocd(box, "applications/webapp/sync", revision=tip)
    assert refused.status_code == 400
    assert "auto-sync currently set to master" in refused.json()["message"]


def test_gitlab_ci_pushes_an_image_without_labels(box: InThread) -> None:
    """Scenario B: the tag `<branch>-<short sha>` is all that names the commit."""
    done = play(box, "push-app")
    tip = git(box, "gitlab/gitops-demo-app", "rev-parse", "master").strip()
    assert done["tag"] == f"master-{tip[:8]}"
    repository = "centre/gitops-demo-app"
    assert until(lambda: box.world.images.digest(repository, done["tag"]))
    registry: Any = box.world.images
    assert "org.opencontainers.image.revision" not in registry.labels(repository, done["tag"])


def test_tekton_pushes_the_manifest_of_its_build_and_starts_no_second_one(box: InThread) -> None:
    """Scenario C: test, build, update manifest, git push."""
    done = play(box, "push-go")
    until(lambda: "[skip ci]" in git(box, "gitlab/go-sampleapp", "log", "-1", "--format=%B", "main"))
    diff = git(box, "gitlab/go-sampleapp", "show", "--format=%an", "--unified=0", "main")
    assert diff.startswith("Tekton\n")
    assert diff.rstrip().endswith(f"+    image: harbor.centre.com/ns/go-sampleapp:{done['commit']}")
    assert box.world.images.digest("ns/go-sampleapp", done["commit"])
    until(lambda: images(box, "go-sampleapp-dev") == [f"harbor.centre.com/ns/go-sampleapp:{done['commit']}"])
    assert git(box, "gitlab/go-sampleapp", "rev-list", "--count", "main").strip() == "5"


def test_the_image_updater_and_a_person_write_beside_slipway(box: InThread) -> None:
    """Scenario E: the override file for dev, the kustomization for prod."""
    newest = play(box, "billing-release")["version"]
    assert play(box, "image-updater")["version"] == newest
    until(lambda: images(box, "billing-dev") == [f"harbor.centre.com/billing/billing:{newest}"])
    author = git(box, "gitlab/billing-manifest", "log", "-1", "--format=%an %s", "main").strip()
    assert author == "argocd-image-updater build: automatic update of billing-dev"
    play(box, "image-updater", application="billing-prod", version="2.1.0")
    play(box, "hand-edit", version="2.2.0")
    play(box, "hand-edit")
    until(lambda: images(box, "billing-prod") == ["harbor.centre.com/billing/billing:2.2.0"])
    again = httpx.post(
        f"{box.urls['control']}/api/play/hand-edit", json={"version": "2.2.0"}, trust_env=False
    )
    assert again.status_code == 409
    assert "says that already" in again.json()["message"]


def test_the_shop_is_released_as_three_images_of_one_commit(box: InThread) -> None:
    done = play(box, "shop-release")
    registry: Any = box.world.images
    for image in ("shop/web", "shop/worker", "shop/migrations"):
        labels = registry.labels(image, done["version"])
        assert labels["org.opencontainers.image.revision"] == done["commit"]


def test_the_page_offers_the_plays_of_the_loaded_scenarios(box: InThread) -> None:
    page = httpx.get(box.urls["control"], trust_env=False, verify=False).text
    for name in ("push-app", "push-go", "shop-release", "image-updater", "hand-edit", "calm"):
        assert f'action="/play/{name}"' in page
    assert 'action="/play/push-dev"' not in page


def test_a_second_start_leaves_everything_as_it_is(tmp_path: Path) -> None:
    def tips(box: InThread) -> list[str]:
        state: Any = box.world.git
        paths = [row["path_with_namespace"] for row in state.state.projects.values()]
        return [git(box, path, "for-each-ref", "--format=%(refname) %(objectname)") for path in paths]

    with InThread(Options(tmp_path, scenario="b,c,d,e", speed=50, seed=1)) as first:
        before, hooks = tips(first), len(list(first.world.store("gitlab")["projects"]))
    with InThread(Options(tmp_path, scenario="b,c,d,e", speed=50, seed=1)) as second:
        assert tips(second) == before
        assert len(list(second.world.store("gitlab")["projects"])) == hooks
