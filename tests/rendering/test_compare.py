"""The rendered difference of a Change, and the refusal when its result does not build."""

from __future__ import annotations

import pytest

from promotions.manifests import MemoryTree
from promotions.rendering import compare
from tests.integrations.render.test_build import OVERLAY

PLACE = "prod/kustomization.yaml"
NEWER = {PLACE: OVERLAY[PLACE].replace(b"1.0.0", b"1.1.0")}


def test_the_difference_is_that_of_the_built_manifests() -> None:
    seen = compare(MemoryTree(OVERLAY), "prod", NEWER)
    changed = [line for line in seen.diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert changed == [
        "-      - image: registry.example.com/shop:1.0.0",
        "+      - image: registry.example.com/shop:1.1.0",
    ]
    assert (seen.note, seen.problem) == ("", "")


def test_a_result_that_no_longer_builds_is_a_problem() -> None:
    seen = compare(MemoryTree(OVERLAY), "prod", {PLACE: b"resources: [../nowhere]\n"})
    assert seen.problem.startswith("With this change the manifests no longer build: ")
    assert "nowhere" in seen.problem


def test_what_did_not_build_before_is_said_and_refuses_nothing() -> None:
    broken = OVERLAY | {"base/kustomization.yaml": b"resources: [gone.yaml]\n"}
    seen = compare(MemoryTree(broken), "prod", NEWER)
    assert seen.problem == ""
    assert "do not build, with or without the change" in seen.note


@pytest.mark.parametrize(
    ("files", "note"),
    [
        ({"prod/deployment.yaml": b"kind: Deployment\n"}, "Plain manifests"),
        ({"prod/kustomization.yaml": b"resources: ['https://example.com/base?ref=v1']\n"}, "remote base"),
        ({"prod/kustomization.yaml": b"", **{f"prod/{n}.yaml": b"" for n in range(301)}}, "too many"),
    ],
)
def test_what_cannot_be_built_here_says_why(files: dict[str, bytes], note: str) -> None:
    seen = compare(MemoryTree(files), "prod", {})
    assert note in seen.note
    assert (seen.diff, seen.problem) == ("", "")


def test_without_the_programs_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "Neither kustomize nor kubectl is installed" in compare(MemoryTree(OVERLAY), "prod", NEWER).note
    chart = {"prod/Chart.yaml": b"name: shop\n"}
    assert "helm is not installed" in compare(MemoryTree(chart), "prod", {}).note


def test_links_are_not_followed() -> None:
    tree = MemoryTree(OVERLAY | {"prod/secret.yaml": b"kind: Secret\n"}, symlinks=["prod/secret.yaml"])
    assert compare(tree, "prod", NEWER).diff != ""
