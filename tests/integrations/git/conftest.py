"""One HTTP and one SSH server for a module's tests, and a repository of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.git import Mirror, Remote
from tests.gitserver import PASSWORD, USER, GitOverHttp, GitOverSsh, make_repository, over_http, over_ssh

MANIFEST = b"image: registry.example.com/shop:1.0.0 # by hand\n"
FILES = {
    "apps/shop/deployment.yml": MANIFEST,
    "apps/shop/run.sh": b"#!/bin/sh\n",
    "apps/café one/values.yaml": b"tag: 1\n",
    "README.md": b"Kept by hand\n",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def http(root: Path) -> Iterator[GitOverHttp]:
    with over_http(root) as served:
        yield served


@pytest.fixture(scope="module")
def ssh(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitOverSsh]:
    with over_ssh(root, tmp_path_factory.mktemp("sshd")) as served:
        yield served


@pytest.fixture
def bare(root: Path, request: pytest.FixtureRequest) -> Path:
    """A repository of the test's own."""
    path = root / f"{abs(hash(request.node.nodeid))}.git"
    return make_repository(path, FILES, executable=("apps/shop/run.sh",))


@pytest.fixture(params=["http", "ssh"])
def remote(request: pytest.FixtureRequest, bare: Path) -> Remote:
    """The way in, by password and by key."""
    served = request.getfixturevalue(request.param)
    url = f"{served.url}/{bare.name}"
    if isinstance(served, GitOverSsh):
        return Remote(url, ssh_key=served.key, known_hosts=served.known_hosts)
    served.log.clear()
    return Remote(url, username=USER, password=PASSWORD)


@pytest.fixture
def mirror(remote: Remote, tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "cache", remote, timeout=20)
