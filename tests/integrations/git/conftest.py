"""One HTTP server and one sshd for all tests of a worker; a repository of its own for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from integrations.git import Commit, Mirror, Person, Remote, Signing
from tests.gitserver import TOKEN, USER, Bare, HttpServer, SshServer, http_server, ssh_server

ADA = Person("Ada Ödegård", "ada@example.com")
SLIPWAY = Person("Slipway", "slipway@example.com")
WHEN = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
FILES = {
    "base/deployment.yml": "image: app:1.0.0\n",
    "overlays/prod/deployment.yml": "image: app:1.0.0 # pinned\n",
    "bin/run.sh": "#!/bin/sh\n",
    "README.md": "hello\n",
}
PROD = "overlays/prod/deployment.yml"
_numbers = itertools.count()


@dataclass
class Project:
    """A repository on a server, and a mirror of it."""

    bare: Bare
    remote: Remote
    cache: Path

    def mirror(self, *, cache: Path | None = None, timeout: float = 30) -> Mirror:
        return Mirror(cache or self.cache, self.remote, timeout=timeout)

    @property
    def copy(self) -> Path:
        """The mirror's folder on disk."""
        (found,) = self.cache.glob("*.git")
        return found


def write(
    mirror: Mirror,
    base: str | None,
    files: dict[str, bytes],
    *,
    branch: str = "main",
    message: str = "Promote app to 1.1.0\n\nPromotion-Id: 7\n",
    signing: Signing | None = None,
    new_branch: bool = False,
) -> Commit:
    """A commit by the usual people at the usual time."""
    return mirror.create_commit(
        branch,
        base,
        files,
        message=message,
        author=ADA,
        committer=SLIPWAY,
        when=WHEN,
        signing=signing,
        new_branch=new_branch,
    )


@pytest.fixture(scope="session")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with http_server(tmp_path_factory.mktemp("git-http")) as running:
        yield running


@pytest.fixture(scope="session")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("git-ssh")) as running:
        yield running


@pytest.fixture
def well(http: HttpServer) -> Iterator[HttpServer]:
    """The HTTP server, whole again afterwards."""
    http.requests.clear()
    yield http
    http.faults.clear()
    http.silent.clear()
    http.deaf.clear()


@pytest.fixture
def project(well: HttpServer, tmp_path: Path) -> Project:
    name = f"app{next(_numbers)}"
    remote = Remote(well.url(name), username=USER, password=TOKEN)
    made = Project(well.make(name), remote, tmp_path / "cache")
    made.bare.commit(FILES, "Start", modes={"bin/run.sh": "100755"})
    return made


@pytest.fixture(params=["http", "ssh"])
def everywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A repository over HTTP, and one over SSH."""
    made = {"http": _over_http, "ssh": _over_ssh}[request.param](request)
    made.cache = tmp_path / "cache"
    made.bare.commit(FILES, "Start", modes={"bin/run.sh": "100755"})
    return made


def _over_http(request: pytest.FixtureRequest) -> Project:
    server: HttpServer = request.getfixturevalue("well")
    name = f"app{next(_numbers)}"
    return Project(server.make(name), Remote(server.url(name), USER, TOKEN), Path())


def _over_ssh(request: pytest.FixtureRequest) -> Project:
    server: SshServer = request.getfixturevalue("ssh")
    name = f"app{next(_numbers)}"
    key = server.key.read_text()
    return Project(
        server.make(name), Remote(server.url(name), ssh_key=key, known_hosts=server.known_hosts), Path()
    )
