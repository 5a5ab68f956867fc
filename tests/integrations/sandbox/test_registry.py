"""The simulated registry against reference registry-and-harbor.md, with raw HTTP and with skopeo."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from integrations.sandbox import invented
from tests.integrations.sandbox.running import Box, running, until

Object = dict[str, Any]
LOGIN = (invented.HARBOR_USER, invented.HARBOR_PASSWORD)
REPOSITORY = "k8s/team/web"
ARTIFACTS = "/api/v2.0/projects/k8s/repositories/team%252Fweb/artifacts"


class Receiver:
    """What Slipway would be: keeps each delivery and answers with the next of `answers`, then 200."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.answers.pop(0) if receiver.answers else 200
                receiver.got.append((self.path, dict(self.headers), body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    found.thread.start()
    yield found
    found.server.shutdown()
    found.thread.join()
    found.server.server_close()


@pytest.fixture
def box(tmp_path: Path, receiver: Receiver) -> Iterator[Box]:
    with running(tmp_path / "sandbox", hook_base=receiver.url) as found:
        yield found


def push(box: Box, tag: str, revision: str = "a" * 40) -> str:
    digest: str = box.call(box.registry.push, REPOSITORY, tag, revision=revision, source="https://gitlab/x")
    return digest


def token(box: Box, scope: str, auth: tuple[str, str] | None = LOGIN) -> str:
    asked = {"service": "harbor-registry", "scope": scope}
    answer = httpx.get(f"{box.urls['registry']}/service/token", params=asked, auth=auth, verify=False)
    return str(answer.json()["token"])


def pulling(box: Box) -> httpx.Client:
    return box.client("registry", Authorization=f"Bearer {token(box, f'repository:{REPOSITORY}:pull')}")


def test_without_a_token_the_challenge_names_realm_service_and_scope(box: Box) -> None:
    """ "Token flow"; auth-challenge.json."""
    answer = box.client("registry").get(f"/v2/{REPOSITORY}/tags/list")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == (
        f'Bearer realm="{box.urls["registry"]}/service/token",service="harbor-registry",'
        f'scope="repository:{REPOSITORY}:pull"'
    )
    assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"


def test_a_token_for_another_scope_is_insufficient(box: Box) -> None:
    """ "Token flow": 401 again with error="insufficient_scope"."""
    push(box, "1.0.0")
    for made in (token(box, "repository:other:pull"), token(box, f"repository:{REPOSITORY}:pull", auth=None)):
        client = box.client("registry", Authorization=f"Bearer {made}")
        answer = client.get(f"/v2/{REPOSITORY}/tags/list")
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


def test_tags_are_listed_in_pages_by_relative_links(box: Box) -> None:
    """ "OCI distribution endpoints"; tags-list-page.json."""
    for tag in ("1.0.0", "1.1.0", "1.2.0"):
        push(box, tag)
    client = pulling(box)
    first = client.get(f"/v2/{REPOSITORY}/tags/list", params={"n": 2})
    assert first.json() == {"name": REPOSITORY, "tags": ["1.0.0", "1.1.0"]}
    assert first.headers["link"] == f'</v2/{REPOSITORY}/tags/list?n=2&last=1.1.0>; rel="next"'
    rest = client.get(f"/v2/{REPOSITORY}/tags/list?n=2&last=1.1.0")
    assert (rest.json()["tags"], "link" in rest.headers) == (["1.2.0"], False)


def test_a_manifest_leads_to_the_labels_of_its_image(box: Box) -> None:
    """ "OCI distribution endpoints": HEAD gives the digest, config.Labels the commit."""
    digest = push(box, "1.0.0")
    client = pulling(box)
    head = client.head(f"/v2/{REPOSITORY}/manifests/1.0.0")
    assert head.headers["docker-content-digest"] == digest
    manifest = client.get(f"/v2/{REPOSITORY}/manifests/{digest}")
    assert "sha256:" + hashlib.sha256(manifest.content).hexdigest() == digest
    assert int(head.headers["content-length"]) == len(manifest.content)
    config = client.get(f"/v2/{REPOSITORY}/blobs/{manifest.json()['config']['digest']}").json()
    assert config["config"]["Labels"]["org.opencontainers.image.revision"] == "a" * 40


def test_errors_carry_the_codes_of_the_distribution_api(box: Box) -> None:
    """ "OCI distribution endpoints": error body; absent referrers API."""
    digest = push(box, "1.0.0")
    client = pulling(box)
    unknown = client.get(f"/v2/{REPOSITORY}/manifests/9.9.9")
    assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")
    assert client.get(f"/v2/{REPOSITORY}/referrers/{digest}").status_code == 404
    other = box.client("registry", Authorization=f"Bearer {token(box, 'repository:k8s/nope:pull')}")
    assert other.get("/v2/k8s/nope/tags/list").json()["errors"][0]["code"] == "NAME_UNKNOWN"


def test_a_manifest_is_deleted_by_digest_and_not_by_tag(box: Box) -> None:
    """ "OCI distribution endpoints": 202; by tag it fails."""
    digest = push(box, "1.0.0")
    made = token(box, f"repository:{REPOSITORY}:pull,delete")
    client = box.client("registry", Authorization=f"Bearer {made}")
    assert client.delete(f"/v2/{REPOSITORY}/manifests/1.0.0").status_code == 400
    assert client.delete(f"/v2/{REPOSITORY}/manifests/{digest}").status_code == 202
    assert client.get(f"/v2/{REPOSITORY}/tags/list").json()["tags"] is None


def test_harbor_lists_artifacts_of_a_repository_whose_slash_is_encoded_twice(box: Box) -> None:
    """ "Harbor"; api-artifacts-list.derived.json."""
    first, second = push(box, "1.0.0"), push(box, "1.1.0")
    client = box.client("registry")
    client.auth = LOGIN
    answer = client.get(
        ARTIFACTS, params={"q": "tags=*", "sort": "-push_time", "page_size": 1, "with_tag": "true"}
    )
    assert [item["digest"] for item in answer.json()] == [second]
    assert answer.headers["x-total-count"] == "2"
    assert answer.headers["link"].startswith(f"<{ARTIFACTS}?")
    (item,) = client.get(ARTIFACTS, params={"q": "tags=1.0.0"}).json()
    assert (item["digest"], item["tags"][0]["name"], item["type"]) == (first, "1.0.0", "IMAGE")
    assert item["extra_attrs"]["config"]["Labels"]["org.opencontainers.image.revision"] == "a" * 40
    assert client.get(ARTIFACTS.replace("%252F", "%2F")).status_code == 404
    missing = client.get(ARTIFACTS + "/9.9.9")
    assert missing.json()["errors"] == [
        {"code": "NOT_FOUND", "message": f"artifact {REPOSITORY}:9.9.9 not found"}
    ]
    assert box.client("registry").get(ARTIFACTS).status_code == 401


def test_a_push_sends_harbors_hook_with_the_secret_verbatim(box: Box, receiver: Receiver) -> None:
    """ "Harbor": Default format; push-artifact.default.by-tag.derived.json."""
    digest = push(box, "1.0.0")
    path, headers, body = until(lambda: receiver.got[0] if receiver.got else None)  # type: ignore[misc]
    assert path == f"/webhooks/harbor/{invented.HARBOR_SOURCE}"
    assert headers["Authorization"] == invented.HARBOR_HOOK_AUTH
    assert headers["Content-Type"] == "application/json"
    event = json.loads(body)
    assert event["type"] == "PUSH_ARTIFACT"
    url = f"harbor.centre.com/{REPOSITORY}:1.0.0"
    assert event["event_data"]["resources"] == [{"digest": digest, "tag": "1.0.0", "resource_url": url}]
    assert event["event_data"]["repository"]["repo_full_name"] == REPOSITORY


def test_a_refused_hook_is_sent_three_times_byte_for_byte_the_same(box: Box, receiver: Receiver) -> None:
    """ "Harbor": 3 tries, success is 2xx only."""
    receiver.answers = [500, 302, 404]
    push(box, "1.0.0")
    until(lambda: len(receiver.got) == 3)
    push(box, "1.1.0")
    until(lambda: len(receiver.got) == 4)
    assert len({body for _, _, body in receiver.got[:3]}) == 1
    assert b"1.1.0" in receiver.got[3][2]


def test_hooks_are_lost_and_doubled_on_demand(box: Box, receiver: Receiver) -> None:
    """The control page's hook faults."""
    box.world.faults["hooks"] = {"drop": 1, "duplicate": 1}
    push(box, "1.0.0")
    until(lambda: box.world.faults["hooks"]["drop"] == 0)
    push(box, "1.1.0")
    until(lambda: len(receiver.got) == 2)
    assert receiver.got[0][2] == receiver.got[1][2]
    assert b"1.1.0" in receiver.got[0][2]


def test_distribution_notifications_are_repeated_until_they_are_taken(box: Box, receiver: Receiver) -> None:
    """ "distribution notifications": the same envelope, serially; 3xx counts as delivered."""
    box.world.store("registry")["notifications"] = True
    box.world.store("registry")["policies"] = []
    receiver.answers = [500, 400, 304]
    push(box, "1.0.0")
    push(box, "1.1.0")
    until(lambda: len(receiver.got) == 4)
    tags = [json.loads(body)["events"][0]["target"]["tag"] for _, _, body in receiver.got]
    assert tags == ["1.0.0", "1.0.0", "1.0.0", "1.1.0"]
    path, headers, _ = receiver.got[0]
    assert path == f"/webhooks/distribution/{invented.DISTRIBUTION_SOURCE}"
    assert headers["Content-Type"] == "application/vnd.docker.distribution.events.v2+json"


def test_skopeo_pulls_and_pushes_an_image(box: Box, receiver: Receiver, tmp_path: Path) -> None:
    """An OCI client talks to it unchanged: token flow, blobs, uploads, manifests."""
    program = shutil.which("skopeo")
    assert program, "skopeo is missing: apt-get install skopeo"
    digest = push(box, "1.0.0")
    place = box.urls["registry"].removeprefix("http://")
    policy = tmp_path / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    command = [program, f"--policy={policy}", "copy", "--preserve-digests"]
    login = ":".join(LOGIN)
    down = [f"--src-creds={login}", "--src-tls-verify=false", f"docker://{place}/{REPOSITORY}:1.0.0"]
    subprocess.run(
        [*command, *down, f"dir:{tmp_path / 'image'}"], check=True, capture_output=True, timeout=60
    )
    up = [f"--dest-creds={login}", "--dest-tls-verify=false", f"dir:{tmp_path / 'image'}"]
    target = f"docker://{place}/k8s/copied:stable"
    subprocess.run([*command, *up, target], check=True, capture_output=True, timeout=60)
    assert box.registry.digest("k8s/copied", "stable") == digest
    until(lambda: any(b"k8s/copied:stable" in body for _, _, body in receiver.got))


def test_images_survive_a_restart(tmp_path: Path) -> None:
    """State is kept on disk."""
    with running(tmp_path) as box:
        digest = push(box, "1.0.0")
    with running(tmp_path) as box:
        assert (
            pulling(box).head(f"/v2/{REPOSITORY}/manifests/1.0.0").headers["docker-content-digest"] == digest
        )
