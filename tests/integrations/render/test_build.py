"""Manifests are built with the real kustomize inside kubectl; helm's part is played by a small program."""

from __future__ import annotations

from pathlib import Path

import pytest

from integrations import render
from integrations.errors import Rejected

OVERLAY = {
    "base/kustomization.yaml": b"resources: [deployment.yaml]\n",
    "base/deployment.yaml": b"""\
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  template:
    spec:
      containers:
        - {name: shop, image: registry.example.com/shop}
""",
    "prod/kustomization.yaml": b"""\
resources: [../base]
namePrefix: prod-
images:
  - name: registry.example.com/shop
    newTag: 1.0.0
""",
}


def test_an_overlay_is_built_with_its_base() -> None:
    built = render.build(render.kustomize_command(), OVERLAY, "prod").decode()
    assert "name: prod-shop" in built
    assert "image: registry.example.com/shop:1.0.0" in built


def test_the_same_files_are_built_once_and_any_other_anew(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho once >> {starts}\ncat "$1"/*\n')
    program.chmod(0o755)
    one, other = {"prod/a": b"1", "prod/b": b"2"}, {"prod/a": b"12", "prod/b": b""}
    assert [render.build([str(program)], files, "prod") for files in (one, other, one)] == [b"12"] * 3
    assert starts.read_text() == "once\nonce\n"


def test_what_does_not_build_is_refused_in_the_program_s_words_without_our_paths() -> None:
    broken = OVERLAY | {"prod/kustomization.yaml": b"resources: [../nowhere]\n"}
    with pytest.raises(Rejected, match="nowhere") as refused:
        render.build(render.kustomize_command(), broken, "prod")
    assert "slipway-render" not in str(refused.value)


@pytest.mark.parametrize("path", ["../outside.yaml", "/etc/outside.yaml"])
def test_nothing_is_written_outside_the_private_folder(path: str) -> None:
    with pytest.raises(Rejected, match="leads out"):
        render.build(render.kustomize_command(), {path: b""}, "")


def test_a_chart_is_rendered_with_the_values_files_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for helm, which Debian does not have: it prints the values files it is given."""
    helm = tmp_path / "helm"
    asked = '[ "$1 $2" = "template release" ] || exit 9'
    helm.write_text(f'#!/bin/sh\n{asked}\nshift 3\nfor v; do cat "${{v#--values=}}"; done\n')
    helm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    files = {"chart/Chart.yaml": b"name: shop\n", "chart/prod.yaml": b"tag: 1\n"}
    assert render.build(render.helm_command(), files, "chart", values=["chart/prod.yaml"]) == b"tag: 1\n"
