"""The registry client against a real CNCF distribution 2.8 (registry-and-harbor.md)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from integrations.errors import NotFound
from integrations.hints import Hint, WebhookSecrets
from integrations.registry import RegistryClient, webhooks
from tests.integrations.loopback import Answer, Loopback
from tests.integrations.registry.real import BINARY, INDEX, push_image, push_index, registry

REVISION = "2adc9465c4edfc33834e173fe89436a7cb899a1d"

pytestmark = pytest.mark.skipif(BINARY is None, reason="needs Debian's docker-registry")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[RegistryClient]:
    client = RegistryClient(url, host_alias="harbor.centre.com")
    yield client
    client.close()


def test_an_image_is_found_by_tag_and_digest(url: str, client: RegistryClient) -> None:
    digest = push_image(url, "k8s/app", "1.0.0", revision=REVISION, created="2026-02-03T09:00:00Z")
    assert client.resolve("k8s/app", "1.0.0") == digest
    assert client.resolve("k8s/app", digest) == digest
    assert client.exists("k8s/app", digest)
    assert not client.exists("k8s/app", "sha256:" + "0" * 64)


def test_an_image_tells_its_commit_and_build_time(url: str, client: RegistryClient) -> None:
    digest = push_image(url, "k8s/labelled", "1.1.0", revision=REVISION, created="2026-02-03T09:00:00Z")
    info = client.image("k8s/labelled", "1.1.0")
    assert (info.digest, info.tags, info.revision) == (digest, ("1.1.0",), REVISION)
    assert info.created_at == datetime(2026, 2, 3, 9, tzinfo=UTC)
    assert info.source == "https://gitlab.example.com/k8s/app"
    assert info.pushed_at is None
    assert info.size


def test_a_fixed_build_date_is_no_date(url: str, client: RegistryClient) -> None:
    push_image(url, "k8s/reproducible", "1", revision=REVISION, created="1970-01-01T00:00:00Z")
    assert client.image("k8s/reproducible", "1").created_at is None


def test_an_index_is_its_own_digest_with_the_labels_of_a_platform(url: str, client: RegistryClient) -> None:
    child = push_image(url, "k8s/multi", "child", revision=REVISION, created="2026-02-03T09:00:00Z")
    size = int(
        httpx.get(f"{url}/v2/k8s/multi/manifests/child", headers={"Accept": "*/*"}).headers["content-length"]
    )
    index = push_index(url, "k8s/multi", "2.0.0", child, size)
    assert client.resolve("k8s/multi", "2.0.0") == index
    info = client.image("k8s/multi", "2.0.0")
    assert (info.digest, info.media_type, info.revision) == (index, INDEX, REVISION)


def test_two_tags_of_one_digest_are_one_image_and_noise_is_left_out(url: str, client: RegistryClient) -> None:
    for tag in ("3.0.0", "sha256-" + "a" * 64 + ".sig"):
        push_image(url, "k8s/tags", tag, revision=REVISION, created="2026-02-03T09:00:00Z")
    manifest = httpx.get(
        f"{url}/v2/k8s/tags/manifests/3.0.0", headers={"Accept": "application/vnd.oci.image.manifest.v1+json"}
    )
    httpx.put(
        f"{url}/v2/k8s/tags/manifests/3.0",
        content=manifest.content,
        headers={"Content-Type": manifest.headers["content-type"]},
    )
    assert client.tags("k8s/tags") == ["3.0", "3.0.0"]
    (image,) = client.list_images("k8s/tags")
    assert image.tags == ("3.0", "3.0.0")


def test_a_mutable_tag_moves_to_the_new_digest(url: str, client: RegistryClient) -> None:
    before = push_image(url, "k8s/dev", "latest", revision=REVISION, created="2026-02-03T09:00:00Z")
    after = push_image(url, "k8s/dev", "latest", revision="b" * 40, created="2026-02-03T10:00:00Z")
    assert before != after
    assert client.resolve("k8s/dev", "latest") == after
    assert client.exists("k8s/dev", before)


def test_a_deleted_image_is_gone(url: str, client: RegistryClient) -> None:
    digest = push_image(url, "k8s/deleted", "1", revision=REVISION, created="2026-02-03T09:00:00Z")
    httpx.delete(f"{url}/v2/k8s/deleted/manifests/{digest}").raise_for_status()
    assert not client.exists("k8s/deleted", digest)
    with pytest.raises(NotFound):
        client.resolve("k8s/deleted", "1")
    with pytest.raises(NotFound):
        client.tags("k8s/nothing")


def test_a_real_notification_is_verified_and_read(tmp_path: Path, server: Loopback) -> None:
    server.on("POST", "/hook", Answer(b"", status=202))
    with registry(tmp_path, notify=f"{server.url}/hook") as url:
        push_image(url, "k8s/app", "1.1.0", revision=REVISION, created="2026-02-03T09:00:00Z")
        secrets = WebhookSecrets(tokens=["Bearer hook-secret"])
        now = datetime.now(UTC)
        deadline = time.monotonic() + 20
        hints: set[Hint] = set()
        while not hints and time.monotonic() < deadline:
            server.stopping.wait(0.05)
            for request in list(server.requests):
                assert webhooks.verify(request.headers, request.body, secrets, now)
                hints |= set(webhooks.read(request.headers, request.body).hints)
    assert hints == {Hint("image", "k8s/app", "1.1.0")}
