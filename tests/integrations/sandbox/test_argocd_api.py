"""The simulated Argo CD API server against reference argocd-api.md sections 1 to 4."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from integrations.sandbox import invented
from tests.integrations.sandbox.running import Box, running, until
from tests.integrations.sandbox.test_argocd_controller import application, commit, get, settled, states

Object = dict[str, Any]
ONE = "/api/v1/applications/web"
STREAM = "/api/v1/stream/applications"
SSE = {"Accept": "text/event-stream"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with running(tmp_path_factory.mktemp("sandbox")) as found:
        found.call(found.registry.push, "k8s/web", "1.0.0", revision="0" * 40)
        commit(found, "1.0.0")
        for name in ("api", "web"):
            found.call(found.argo.apply, application(name, "plain", automated=True))
            settled(found, name)
        yield found


@pytest.fixture(autouse=True)
def no_faults(box: Box) -> None:
    box.world.faults.clear()


def refresh(box: Box, name: str = "web") -> None:
    get(box, name, refresh="normal")


@contextmanager
def stream(box: Box, headers: dict[str, str] | None = None, **query: str) -> Iterator[httpx.Response]:
    with box.argocd.stream("GET", STREAM, params=query, headers=headers) as answer:
        yield answer


def frames(answer: httpx.Response) -> Iterator[Object]:
    for line in answer.iter_lines():
        if line.startswith(("data: ", "{")):
            yield json.loads(line.removeprefix("data: "))


def test_a_missing_or_malformed_token_is_no_session_and_a_wrong_one_is_invalid(box: Box) -> None:
    """Section 1: a bearer value that is not JWT-shaped counts as absent."""
    texts = {"": "no session information", "plain": "no session information"}
    texts["a.b.c"] = "invalid session: failed to verify the token"
    for token, text in texts.items():
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = box.client("argocd", **headers).get("/api/v1/applications")
        assert (answer.status_code, answer.json()) == (401, {"error": text, "code": 16, "message": text})


def test_a_session_gives_a_token_that_works_as_header_and_as_cookie(box: Box) -> None:
    """Section 3, login."""
    client = box.client("argocd")
    wrong = client.post("/api/v1/session", json={"username": "admin", "password": "x"})
    assert (wrong.status_code, wrong.json()["error"]) == (401, "Invalid username or password")
    right = {"username": invented.ARGOCD_USER, "password": invented.ARGOCD_PASSWORD}
    token = client.post("/api/v1/session", json=right).json()["token"]
    assert client.get("/api/v1/applications").status_code == 200, "the cookie was set"
    other = box.client("argocd", Authorization=f"Bearer {token}")
    assert other.get("/api/v1/session/userinfo").json()["username"] == "admin"


def test_userinfo_answers_200_whoever_asks(box: Box) -> None:
    """Section 3: only the true fields are emitted."""
    assert box.argocd.get("/api/v1/session/userinfo").json()["loggedIn"] is True
    answer = box.client("argocd").get("/api/v1/session/userinfo")
    assert (answer.status_code, answer.json()) == (200, {})


def test_version_is_public_but_short(box: Box) -> None:
    """Section 3."""
    assert set(box.client("argocd").get("/api/version").json()) == {"Version"}
    assert "KustomizeVersion" in box.argocd.get("/api/version").json()


@pytest.mark.parametrize("content_type", ["", "application/json; charset=utf-8", "text/plain"])
def test_a_write_needs_exactly_application_json(box: Box, content_type: str) -> None:
    """Section 1: 415 in plain text, DELETE without a body included."""
    headers = {"Content-Type": content_type} if content_type else {}
    for method, path in (("POST", "/sync"), ("DELETE", "/operation")):
        answer = box.argocd.request(method, ONE + path, headers=headers)
        assert (answer.status_code, answer.text) == (415, "Invalid content type\n")


def test_routing_errors_are_plain_text(box: Box) -> None:
    """Section 1."""
    assert (box.argocd.get("/api/v1/nope").status_code, box.argocd.get("/api/v1/nope").text) == (
        404,
        "Not Found\n",
    )
    assert box.argocd.put("/api/v1/applications", json={}).text == "Method Not Allowed\n"


def test_a_missing_application_is_forbidden_unless_its_project_is_named(box: Box) -> None:
    """Section 2."""
    url = "/api/v1/applications/gone"
    assert box.argocd.get(url).json() == {
        "error": "permission denied",
        "code": 7,
        "message": "permission denied",
    }
    named = box.argocd.get(url, params={"project": "default"})
    assert (named.status_code, named.json()["code"]) == (404, 5)
    assert named.json()["error"] == 'applications.argoproj.io "gone" not found'
    assert box.argocd.get(ONE, params={"project": "other"}).status_code == 404
    two = box.argocd.get(ONE, params={"project": ["default", "other"]})
    assert (two.status_code, two.json()["code"]) == (400, 3)


def test_a_reader_may_look_but_not_sync(box: Box) -> None:
    """Section 2: the text names resource, action and object."""
    reader = box.client("argocd", Authorization=f"Bearer {invented.ARGOCD_READER_TOKEN}")
    assert reader.get(ONE).status_code == 200
    refused = reader.post(ONE + "/sync", json={})
    assert refused.status_code == 403
    assert refused.json()["error"].startswith("permission denied: applications, sync, default/web, sub: ")
    assert reader.get("/api/v1/account/can-i/applications/sync/default/web").json() == {"value": "no"}


def test_the_list_is_sorted_and_filtered(box: Box) -> None:
    """Section 3."""
    listed = box.argocd.get("/api/v1/applications").json()
    assert [item["metadata"]["name"] for item in listed["items"]] == ["api", "web"]
    assert listed["metadata"]["resourceVersion"].isdigit()
    assert box.argocd.get("/api/v1/applications", params={"projects": "other"}).json()["items"] == []
    one = box.argocd.get("/api/v1/applications", params={"name": "web"}).json()["items"]
    assert [item["metadata"]["name"] for item in one] == ["web"]


def test_fields_select_from_a_fixed_set_and_nothing_else(box: Box) -> None:
    """Section 3; application-list-fields.json."""
    wanted = "items.metadata.name,items.status.sync.status,items.status.reconciledAt"
    (item,) = box.argocd.get("/api/v1/applications", params={"name": "web", "fields": wanted}).json()["items"]
    assert item == {"metadata": {"name": "web"}, "spec": {}, "status": {"sync": {"status": "Synced"}}}
    wanted = "-items.status.resources,items.spec"
    (item,) = box.argocd.get("/api/v1/applications", params={"name": "web", "fields": wanted}).json()["items"]
    assert "resources" not in item["status"]
    assert "spec" not in item
    assert "reconciledAt" in item["status"]


def test_answers_are_compressed_for_clients_that_take_it(box: Box) -> None:
    """Section 1."""
    assert box.argocd.get(ONE).headers["content-encoding"] == "gzip"


def test_a_stream_of_json_lines_begins_with_every_application(box: Box) -> None:
    """Section 4."""
    with stream(box) as answer:
        assert answer.headers["content-type"] == "application/json"
        found = frames(answer)
        first = [next(found)["result"] for _ in range(2)]
        assert [f["type"] for f in first] == ["ADDED", "ADDED"]
        assert [f["application"]["metadata"]["name"] for f in first] == ["api", "web"]
        refresh(box)
        live = next(found)["result"]
        assert (live["type"], live["application"]["metadata"]["name"]) == ("MODIFIED", "web")


def test_server_sent_events_end_with_three_newlines_and_have_keepalives(box: Box) -> None:
    """Section 4: `data: JSON`, a space, two newlines and the gateway's own; `:` as keepalive."""
    with stream(box, SSE, name="web") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = ""
        for chunk in answer.iter_text():
            text += chunk
            if ":\n" in text.partition(" \n\n\n")[2]:
                break
    event, _, rest = text.partition(" \n\n\n")
    assert json.loads(event.removeprefix("data: "))["result"]["type"] == "ADDED"
    assert rest == ":\n"


def test_with_a_version_nothing_is_sent_not_even_headers_until_something_happens(box: Box) -> None:
    """Section 4: the gateway waits for the first message."""
    version = box.argocd.get("/api/v1/applications").json()["metadata"]["resourceVersion"]
    with pytest.raises(httpx.ReadTimeout):
        box.argocd.get(STREAM, params={"resourceVersion": version}, timeout=0.5)
    with stream(box, name="web", resourceVersion=version) as answer:
        # With a name the initial state comes all the same.
        assert next(frames(answer))["result"]["type"] == "ADDED"


def test_identical_frames_are_sent_once(box: Box) -> None:
    """Section 4: `fields` without reconciledAt hides reconciles that changed nothing else."""
    wanted = "result.application.metadata.name,result.application.status.sync.status"
    with stream(box, name="web", fields=wanted) as answer:
        found = frames(answer)
        assert next(found)["result"]["application"]["status"] == {"sync": {"status": "Synced"}}
        refresh(box)
        box.world.faults["argocd"] = {"error_frames": 1}
        assert "error" in next(found), "no frame for the refresh"


def test_an_error_frame_ends_a_stream_that_had_begun(box: Box) -> None:
    """Section 4; stream-promotion-shop-prod.sse."""
    with stream(box, SSE, name="web") as answer:
        found = frames(answer)
        next(found)
        box.world.faults["argocd"] = {"error_frames": 1}
        (last,) = list(found)
    assert last["error"] == {
        "grpc_code": 14,
        "http_code": 503,
        "message": "error reading from server: EOF",
        "http_status": "Service Unavailable",
    }


def test_an_error_that_comes_first_gives_the_stream_its_status(box: Box) -> None:
    """Section 4; errors.json."""
    answer = box.client("argocd").get(STREAM)
    assert answer.status_code == 401
    assert answer.json()["error"]["grpc_code"] == 16
    assert not answer.text.endswith("\n")


def test_a_dropped_stream_ends_and_a_stalled_one_says_nothing(box: Box) -> None:
    """Section 9."""
    far = 4_000_000_000
    box.world.faults["streams"] = {"argocd": {"mode": "stall", "until": far}}
    with stream(box, SSE, name="web") as answer:
        chunks = answer.iter_text()
        next(chunks)
        refresh(box)
        box.world.faults["streams"] = {"argocd": {"mode": "drop", "until": far}}
        assert list(chunks) == []
    box.world.faults["streams"] = {"argocd": {"mode": "refuse", "until": far}}
    assert box.argocd.get(STREAM).status_code == 503


def test_a_deleted_application_is_told_with_its_last_state(box: Box) -> None:
    """Section 4; stream-deleted-event.ndjson."""
    box.call(box.argo.apply, application("short", "plain"))
    until(lambda: states(get(box, "short"))[0] == "OutOfSync")
    with stream(box, name="short") as answer:
        found = frames(answer)
        next(found)
        box.call(box.argo.delete, "short")
        gone = next(f["result"] for f in found if f["result"]["type"] == "DELETED")
    assert gone["application"]["status"]["sync"]["status"] == "OutOfSync"


def test_refresh_blocks_until_its_annotation_is_gone(box: Box) -> None:
    """Section 6."""
    with stream(box, name="web") as answer:
        found = frames(answer)
        next(found)
        item = get(box, refresh="hard")
        marked = next(found)["result"]["application"]
    assert marked["metadata"]["annotations"]["argocd.argoproj.io/refresh"] == "hard"
    assert "argocd.argoproj.io/refresh" not in item["metadata"].get("annotations", {})


def test_details_of_an_application_can_be_read(box: Box) -> None:
    """Section 3: tree, diff, commit, events, windows."""
    tree = box.argocd.get(ONE + "/resource-tree").json()
    assert {node["kind"] for node in tree["nodes"]} == {"Deployment", "ReplicaSet", "Pod"}
    managed = box.argocd.get(ONE + "/managed-resources").json()["items"][0]
    assert json.loads(managed["targetState"]) == json.loads(managed["liveState"])
    revision = get(box)["status"]["sync"]["revision"]
    metadata = box.argocd.get(f"{ONE}/revisions/{revision}/metadata").json()
    assert metadata["author"] == "Ada <ada@example.com>"
    assert metadata["message"].startswith("web 1.0.0")
    events = box.argocd.get(ONE + "/events").json()["items"]
    assert {"OperationStarted", "OperationCompleted", "ResourceUpdated"} <= {e["reason"] for e in events}
    assert box.argocd.get(ONE + "/syncwindows").json()["canSync"] is True
    absent = box.argocd.get(
        ONE + "/resource", params={"kind": "Pod", "resourceName": "x", "namespace": "web"}
    )
    assert (absent.status_code, absent.json()["code"]) == (400, 3)


def test_a_closed_sync_window_refuses_a_sync(box: Box) -> None:
    """Section 5; errors.json."""
    box.world.faults["argocd"] = {"sync_window": True}
    refused = box.argocd.post(ONE + "/sync", json={})
    assert (refused.status_code, refused.json()["error"]) == (403, "cannot sync: blocked by sync window")
    assert box.argocd.get(ONE + "/syncwindows").json()["canSync"] is False
