"""A catalogue file to start from, and the command as people call it."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

SHOP = """\
connections:
  gitlab: {vendor: gitlab, url: https://gitlab.example.com, secret: env:GITLAB_TOKEN}
  argocd: {vendor: argocd, url: https://argocd.example.com, secret: file:/run/secrets/argocd}
  tekton: {vendor: tekton, url: https://kubernetes.example.com, namespace: builds}
  harbor: {vendor: harbor, url: https://harbor.example.com, username: robot, secret: env:HARBOR_PASSWORD}
webhook_sources:
  - connection: gitlab
    tokens: env:GITLAB_HOOK_TOKEN
environments:
  dev: {}
  prod: {risk: production}
applications:
  shop:
    source: team/shop
    images: {web: harbor.example.com/team/shop}
    manifests: {project: team/manifests}
    stages:
      dev: {manifests: {path: dev}, promotable: false}
      prod: {manifests: {path: prod}, argocd: shop-prod, verification: smoke}
roles:
  - {group: shop-team, role: developer, application: shop}
  - {user: riku, role: approver, environment: [prod]}
"""

Run = Callable[..., str]


@pytest.fixture
def catalogue_file(tmp_path: Path) -> Path:
    file = tmp_path / "catalogue.yaml"
    file.write_text(SHOP)
    return file


@pytest.fixture
def apply_catalog(catalogue_file: Path) -> Run:
    """Run the command on the file; return what it printed."""

    def run(*options: str) -> str:
        out = StringIO()
        call_command("apply_catalog", str(catalogue_file), *options, stdout=out)
        return out.getvalue()

    return run


@pytest.fixture
def edit(catalogue_file: Path) -> Callable[[str, str], None]:
    """Replace a text that is in the file."""

    def replace(old: str, new: str) -> None:
        text = catalogue_file.read_text()
        assert old in text
        catalogue_file.write_text(text.replace(old, new))

    return replace
