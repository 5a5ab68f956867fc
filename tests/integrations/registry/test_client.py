"""Token flow, paging, Harbor's API and hostile registries (registry-and-harbor.md)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from integrations.errors import NotFound, Rejected, Unauthorized, Unavailable
from integrations.http import Retry
from integrations.registry import RegistryClient
from integrations.registry.auth import challenge_of
from tests.integrations.loopback import Answer, Exchange, Loopback, fixture

DIGEST = "sha256:954b378c375d852eb3c63ab88978f640b4348b01c1b3456a024a81536dafbbf4"
REALM = "/service/token"
MANIFEST = "/v2/k8s/app/manifests/1.0"

Make = Callable[..., RegistryClient]


@pytest.fixture
def make(server: Loopback, retry: Retry) -> Iterator[Make]:
    made: list[RegistryClient] = []

    def build(**settings: object) -> RegistryClient:
        credentials: dict[str, object] = {"username": "robot$ci", "password": "very-secret"}
        client = RegistryClient(server.url, retry=retry, timeout=2.0, **(credentials | settings))  # type: ignore[arg-type]
        made.append(client)
        return client

    yield build
    for client in made:
        client.close()


def guarded(realm: str, token: str, answer: Answer) -> Callable[[Exchange], None]:
    """Asks for a token, as fixtures/registry/auth-challenge.json does, until it is given."""

    def handler(exchange: Exchange) -> None:
        if exchange.request.headers.get("authorization") == f"Bearer {token}":
            exchange.answer(answer)
            return
        challenge = f'Bearer realm="{realm}",service="harbor-registry",scope="repository:k8s/app:pull"'
        exchange.answer(Answer({"errors": [{"code": "UNAUTHORIZED"}]}, 401, {"Www-Authenticate": challenge}))

    return handler


FOUND = Answer(b"", headers={"Docker-Content-Digest": DIGEST})


def test_a_token_is_fetched_once_and_used_again(server: Loopback, make: Make) -> None:
    server.on("HEAD", MANIFEST, guarded(server.url + REALM, "t1", FOUND))
    server.on("GET", REALM, Answer({"token": "t1", "expires_in": 300}))
    client = make()
    assert client.resolve("k8s/app", "1.0") == DIGEST
    assert client.resolve("k8s/app", "1.0") == DIGEST
    asked = [request for request in server.requests if request.path == REALM]
    assert len(asked) == 1
    assert asked[0].query == {"service": "harbor-registry", "scope": "repository:k8s/app:pull"}
    assert asked[0].headers["authorization"] == "Basic " + base64.b64encode(b"robot$ci:very-secret").decode()


def test_a_refused_token_is_fetched_anew(server: Loopback, make: Make) -> None:
    server.on("GET", REALM, Answer({"access_token": "t1"}), Answer({"access_token": "t2"}))
    server.on("HEAD", MANIFEST, guarded(server.url + REALM, "t1", FOUND))
    client = make()
    client.resolve("k8s/app", "1.0")
    server.on("HEAD", MANIFEST, guarded(server.url + REALM, "t2", FOUND))
    assert client.resolve("k8s/app", "1.0") == DIGEST


def test_a_token_that_never_suffices_is_unauthorized(server: Loopback, make: Make) -> None:
    server.on("GET", REALM, Answer({"token": "other"}))
    server.on("HEAD", MANIFEST, guarded(server.url + REALM, "t1", FOUND))
    with pytest.raises(Unauthorized):
        make().resolve("k8s/app", "1.0")
    assert len(server.requests) == 3


def test_the_password_goes_to_no_realm_that_is_not_allowed(
    server: Loopback, other_host: Loopback, make: Make
) -> None:
    """registry-and-harbor.md, "Token flow": a hostile registry could name any realm."""
    server.on("HEAD", MANIFEST, guarded(other_host.url + REALM, "t1", FOUND))
    with pytest.raises(Unauthorized, match="does not allow"):
        make().resolve("k8s/app", "1.0")
    with pytest.raises(Unauthorized, match="does not allow"):  # a bare name is meant with https
        make(realm_hosts=["127.0.0.1"]).resolve("k8s/app", "1.0")
    assert other_host.requests == []


def test_an_allowed_realm_elsewhere_is_asked(server: Loopback, other_host: Loopback, make: Make) -> None:
    server.on("HEAD", MANIFEST, guarded(other_host.url + REALM, "t1", FOUND))
    other_host.on("GET", REALM, Answer({"token": "t1"}))
    assert make(realm_hosts=[other_host.url]).resolve("k8s/app", "1.0") == DIGEST


def test_a_basic_challenge_is_answered(server: Loopback, make: Make) -> None:
    wanted = "Basic " + base64.b64encode(b"robot$ci:very-secret").decode()

    def handler(exchange: Exchange) -> None:
        known = exchange.request.headers.get("authorization") == wanted
        exchange.answer(FOUND if known else Answer(b"", 401, {"Www-Authenticate": 'Basic realm="x"'}))

    server.on("HEAD", MANIFEST, handler)
    assert make().resolve("k8s/app", "1.0") == DIGEST


def test_an_anonymous_client_has_no_basic_answer(server: Loopback, make: Make) -> None:
    server.on("HEAD", MANIFEST, Answer(b"", 401, {"Www-Authenticate": 'Basic realm="x"'}))
    with pytest.raises(Unauthorized):
        make(username="", password="").resolve("k8s/app", "1.0")


def test_the_challenge_of_the_reference_is_read() -> None:
    sample = fixture("registry/auth-challenge.json")
    assert isinstance(sample, dict)
    found = challenge_of(sample["headers"]["Www-Authenticate"])
    assert (found.scheme, found.realm) == ("bearer", "https://auth.docker.io/token")
    assert found.scope == "repository:samalba/my-app:pull,push"
    assert challenge_of("").scheme == ""
    assert challenge_of("Bearer" + " x" * 100_000).realm == ""


def test_all_four_manifest_types_are_accepted(server: Loopback, make: Make) -> None:
    server.on("HEAD", MANIFEST, FOUND)
    make().resolve("k8s/app", "1.0")
    accept = server.requests[0].headers["accept"]
    assert accept.count("application/vnd.") == 4
    assert "manifest.list.v2+json" in accept


def test_without_the_header_the_digest_is_computed(server: Loopback, make: Make) -> None:
    body = json.dumps(fixture("registry/image-index.derived.json")).encode()
    server.on("HEAD", MANIFEST, Answer(b""))
    server.on("GET", MANIFEST, Answer(body))
    assert make().resolve("k8s/app", "1.0") == f"sha256:{hashlib.sha256(body).hexdigest()}"


def test_tags_are_read_over_relative_links_and_null_is_none(server: Loopback, make: Make) -> None:
    sample = fixture("registry/tags-list-page.json")
    assert isinstance(sample, dict)
    pages = [Answer(sample["body"], headers=sample["headers"]), Answer({"name": "x", "tags": None})]
    server.on("GET", "/v2/library/test/tags/list", *pages)
    assert make().tags("library/test") == ["1.4.0", "1.4.1"]
    assert server.requests[1].query == {"n": "2", "last": "1.4.1"}


def test_a_next_page_on_another_host_is_refused(server: Loopback, other_host: Loopback, make: Make) -> None:
    link = {"Link": f'<{other_host.url}/v2/k8s/app/tags/list?last=x>; rel="next"'}
    server.on("GET", "/v2/k8s/app/tags/list", Answer({"tags": ["1"]}, headers=link))
    with pytest.raises(Rejected, match="another host"):
        make().tags("k8s/app")
    assert other_host.requests == []


def test_a_blob_in_an_object_store_is_read_without_our_credentials(
    server: Loopback, other_host: Loopback, make: Make
) -> None:
    """registry-and-harbor.md, "Labels": follow the redirect, drop Authorization."""
    manifest = fixture("registry/image-manifest.derived.json")
    server.on("GET", MANIFEST, guarded(server.url + REALM, "t1", Answer(manifest)))
    server.on("GET", REALM, Answer({"token": "t1"}))
    server.on("GET", "/v2/k8s/app/blobs/.*", Answer(b"", 307, {"Location": f"{other_host.url}/store/config"}))
    other_host.on("GET", "/store/config", Answer(fixture("registry/image-config.derived.json")))
    info = make().image("k8s/app", "1.0")
    assert info.revision == "2adc9465c4edfc33834e173fe89436a7cb899a1d"
    assert "authorization" not in other_host.requests[0].headers


def test_a_manifest_that_is_not_the_one_asked_for_is_no_answer(server: Loopback, make: Make) -> None:
    server.on(
        "GET", f"/v2/k8s/app/manifests/{DIGEST}", Answer(fixture("registry/image-manifest.derived.json"))
    )
    with pytest.raises(Unavailable, match="another image"):
        make().image("k8s/app", DIGEST)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Unauthorized), (403, Unauthorized), (404, NotFound), (429, Unavailable), (500, Unavailable)],
)
def test_a_refusal_is_an_error_of_the_right_kind(
    status: int, kind: type[Exception], server: Loopback, make: Make
) -> None:
    server.on(
        "GET", "/v2/.*", Answer({"errors": [{"code": "X", "message": "no very-secret"}]}, status=status)
    )
    with pytest.raises(kind) as caught:
        make().tags("k8s/app")
    assert "very-secret" not in str(caught.value) + repr(make())


ARTIFACTS = "/api/v2.0/projects/harbor/repositories/team%252Falpine/artifacts"


def test_harbor_gives_tag_digest_and_push_time_in_one_call(server: Loopback, make: Make) -> None:
    """registry-and-harbor.md, "Harbor": slashes of the repository are encoded twice."""
    server.on("GET", ARTIFACTS, Answer(fixture("harbor/api-artifacts-list.derived.json")))
    (image,) = make(harbor=True).list_images("harbor/team/alpine")
    assert (image.digest, image.tags) == (DIGEST, ("1.4.2",))
    assert image.pushed_at == datetime(2023, 4, 3, 6, 4, 53, tzinfo=UTC)
    assert image.revision == "2adc9465c4edfc33834e173fe89436a7cb899a1d"
    query = server.requests[0].query
    assert (query["q"], query["sort"], query["with_tag"]) == ("tags=*", "-push_time", "true")


def artifact(number: int, **changes: object) -> dict[str, object]:
    tags = [{"name": f"1.{number}"}]
    return {"type": "IMAGE", "digest": f"sha256:{number:064x}", "tags": tags, "push_time": None} | changes


def test_harbor_is_read_page_by_page_up_to_the_limit(server: Loopback, make: Make) -> None:
    pages = [[artifact(number) for number in range(start, start + 100)] for start in (0, 100)]
    server.on("GET", "/api/v2.0/.*", Answer(pages[0]), Answer(pages[1]))
    assert len(make(harbor=True).list_images("k8s/app", limit=150)) == 150
    assert [request.query["page"] for request in server.requests] == ["1", "2"]


def test_signatures_and_charts_in_harbor_are_no_images(server: Loopback, make: Make) -> None:
    noise = [
        artifact(1, type="CHART"),
        artifact(2, tags=None),
        artifact(3, tags=[{"name": "sha256-" + "a" * 64 + ".sig"}]),
    ]
    server.on("GET", "/api/v2.0/.*", Answer([*noise, artifact(4)]))
    assert [image.tags for image in make(harbor=True).list_images("k8s/app")] == [("1.4",)]


def test_one_image_of_harbor_is_asked_by_reference(server: Loopback, make: Make) -> None:
    entries = fixture("harbor/api-artifacts-list.derived.json")
    assert isinstance(entries, list)
    server.on("GET", "/api/v2.0/projects/k8s/repositories/app/artifacts/1.4.2", Answer(entries[0]))
    assert make(harbor=True).image("k8s/app", "1.4.2").digest == DIGEST


def test_an_index_in_harbor_gets_its_labels_from_a_platform(server: Loopback, make: Make) -> None:
    index = json.dumps(fixture("registry/image-index.derived.json")).encode()
    digest = f"sha256:{hashlib.sha256(index).hexdigest()}"
    server.on("GET", "/api/v2.0/.*", Answer(artifact(1, digest=digest, push_time="2026-02-03T10:00:00Z")))
    server.on(
        "GET", "/v2/k8s/app/manifests/sha256:a+", Answer(fixture("registry/image-manifest.derived.json"))
    )
    server.on("GET", f"/v2/k8s/app/manifests/{digest}", Answer(index))
    server.on("GET", "/v2/k8s/app/blobs/.*", Answer(fixture("registry/image-config.derived.json")))
    info = make(harbor=True).image("k8s/app", "1.1")
    assert info.pushed_at == datetime(2026, 2, 3, 10, tzinfo=UTC)
    assert info.revision == "2adc9465c4edfc33834e173fe89436a7cb899a1d"


def test_harbor_s_scan_is_read_whatever_its_media_type(server: Loopback, make: Make) -> None:
    """Reference fixtures/harbor/scanning-completed.default.json holds the report's shape."""
    resource = fixture("harbor/scanning-completed.default.json")["event_data"]["resources"][0]
    server.on("GET", ".*/artifacts/sha256.*", Answer(resource), Answer({"scan_overview": None}))
    client = make(harbor=True)
    report = client.scan("harbor/alpine", resource["digest"])
    assert report is not None
    assert (report.status, report.severity) == ("Success", "None")
    assert report.finished_at is not None
    assert client.scan("harbor/alpine", resource["digest"]) is None
    assert server.requests[0].query["with_scan_overview"] == "true"


def test_other_registries_have_no_scan(server: Loopback, make: Make) -> None:
    assert make().scan("team/shop", "sha256:" + "1" * 64) is None
    assert server.requests == []
