"""The cast, scenario A's catalogue, and a simulated GitLab for the pages that compute a change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from promotions import demo
from tests import cast
from tests.system import ROOT, wait_for

SignIn = Callable[[User], Client]


@pytest.fixture
def people(db: None) -> cast.People:
    return cast.make_people()


@pytest.fixture
def catalogue(people: cast.People) -> cast.Catalogue:
    return cast.make_catalogue(people)


@pytest.fixture
def sign_in() -> SignIn:
    def signed_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return signed_in


@pytest.fixture(scope="session")
def sandbox_gitlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a simulated GitLab with scenario A's repositories; nothing here writes to it."""
    folder = tmp_path_factory.mktemp("gitlab")
    ready = folder / "ready.json"
    arguments = ["--data-dir", str(folder / "data"), "--ready-file", str(ready)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "integrations.sandbox", *arguments], stderr=log, stdout=log, env=environ
        )
        try:
            wait_for(ready.exists, bool, what="the sandbox's start")
            yield read_address(ready)
        finally:
            process.terminate()
            process.wait(timeout=10)


def read_address(ready: Path) -> str:
    return str(json.loads(ready.read_text())["gitlab"])


@pytest.fixture
def reachable(
    catalogue: cast.Catalogue, sandbox_gitlab: str, monkeypatch: pytest.MonkeyPatch
) -> cast.Catalogue:
    """Scenario A's catalogue whose GitLab answers."""
    for name, value in demo.environment().items():
        monkeypatch.setenv(name, value)
    catalogue.gitlab.url = sandbox_gitlab
    catalogue.gitlab.secret = "env:SLIPWAY_DEMO_GITLAB_TOKEN"
    catalogue.gitlab.save()
    return catalogue
