"""A sandbox in a thread, clients for it, and a place its webhooks reach."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gitlab
import httpx
import pytest

from integrations.sandbox import invented
from integrations.sandbox.server import InThread, Options

FIXTURES = Path(__file__).parents[3] / "fixtures" / "gitlab"
SOURCE = "gitlab/flask-k8s-example"
MANIFEST = "gitlab/flask-k8s-manifest"
PROD = "overlays/prod/deployment.yml"


def fixture(name: str) -> Any:
    """Return a fixture of the reference."""
    return json.loads((FIXTURES / f"{name}.json").read_text())


def until(condition: Callable[[], Any], seconds: float = 10) -> Any:
    """Wait for a condition to hold, and return what it gave."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        threading.Event().wait(0.02)
    return value


@dataclass
class Receiver:
    """What the sandbox's webhooks reached: (path, headers, body) in order, and the answer they get."""

    url: str
    status: int = 200
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return the bodies of one `object_kind`."""
        bodies = [json.loads(body) for _, _, body in list(self.requests)]
        return [body for body in bodies if body["object_kind"] == kind]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Serve a hook receiver on a free port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Stay quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[InThread]:
    """Run scenario A fifty times as fast as a demonstration."""
    with InThread(Options(tmp_path / "sandbox", speed=50, seed=1)) as running:
        yield running


class Api(httpx.Client):
    """The REST API below one project."""

    def __init__(self, box: InThread, token: str, project: str = MANIFEST) -> None:
        headers = {"PRIVATE-TOKEN": token} if token else {}
        base = f"{box.urls['gitlab']}/api/v4/projects/{quote(project, safe='')}"
        super().__init__(base_url=base, headers=headers, timeout=20, trust_env=False, verify=False)

    def tip(self, branch: str) -> str:
        """Return a branch's commit."""
        return str(self.get(f"/repository/branches/{quote(branch, safe='')}").json()["commit"]["id"])

    def commit(self, branch: str, path: str, content: str, **more: Any) -> httpx.Response:
        """Write one file with the Commits API; `action` and `last_commit_id` go into the action."""
        action = {"action": more.pop("action", "update"), "file_path": path, "content": content}
        if "last_commit_id" in more:
            action["last_commit_id"] = more.pop("last_commit_id")
        body = {"branch": branch, "commit_message": f"Change {path}", "actions": [action]} | more
        return self.post("/repository/commits", json=body)


@pytest.fixture
def api(box: InThread) -> Iterator[Api]:
    """The manifest project, as Slipway's bot."""
    with Api(box, invented.GITLAB_TOKEN) as client:
        yield client


@pytest.fixture
def source(box: InThread) -> Iterator[Api]:
    """The source project, as Slipway's bot."""
    with Api(box, invented.GITLAB_TOKEN, SOURCE) as client:
        yield client


@pytest.fixture
def person(box: InThread) -> Iterator[Api]:
    """The manifest project, as a developer."""
    with Api(box, invented.GITLAB_PERSON_TOKEN) as client:
        yield client


@pytest.fixture
def python_gitlab(box: InThread) -> Iterator[gitlab.Gitlab]:
    """The client library that adapters use, unchanged."""
    with gitlab.Gitlab(box.urls["gitlab"], private_token=invented.GITLAB_TOKEN) as client:
        yield client
