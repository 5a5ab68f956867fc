"""Argo CD's API over real sockets, with the reference's bodies (argocd-api.md)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from integrations.argocd import ArgoCDClient
from integrations.argocd.client import AnotherOperation
from integrations.argocd.types import Keepalive, PodImage, StreamEvent
from integrations.errors import IntegrationError, NotFound, Rejected, Unauthorized, Unavailable
from integrations.http import Retry
from tests.integrations.loopback import Answer, Exchange, Loopback, fixture, raw_fixture

APP = "/api/v1/applications/shop-prod"
STREAM = "/api/v1/stream/applications"
SSE = {"Content-Type": "text/event-stream"}
DIGEST = "sha256:" + "ab" * 32


@pytest.fixture
def argocd(server: Loopback, retry: Retry) -> Iterator[ArgoCDClient]:
    client = ArgoCDClient(server.url, "a.very.secret", timeout=2.0, refresh_timeout=0.3, retry=retry)
    yield client
    client.close()


def error_answer(case: str) -> Answer:
    entries = fixture("argocd/errors.json")
    assert isinstance(entries, list)
    entry = next(entry for entry in entries if entry["case"] == case)
    body = entry["body"] if "body" in entry else entry["body_text"].encode()
    return Answer(
        body, status=entry["status"], headers={"Content-Type": entry.get("content_type", "application/json")}
    )


def sse(*frames: bytes) -> object:
    def handler(exchange: Exchange) -> None:
        exchange.start(headers=SSE)
        for frame in frames:
            exchange.send(frame)
        exchange.end()

    return handler


def test_applications_are_listed_with_all_that_the_verdict_needs(
    server: Loopback, argocd: ArgoCDClient
) -> None:
    server.on("GET", "/api/v1/applications", Answer(fixture("argocd/application-list.json")))
    apps = argocd.applications(["shop", "tools"])
    assert [app.name for app in apps] == ["shop-dev", "shop-prod", "shop-staging"]
    assert server.requests[0].queries["projects"] == ["shop", "tools"]
    assert server.requests[0].headers["authorization"] == "Bearer a.very.secret"
    assert apps[0].web_url == f"{server.url}/applications/argocd/shop-dev"


def test_a_null_list_is_an_empty_one(server: Loopback, argocd: ArgoCDClient) -> None:
    """argocd-api.md section 3: older versions."""
    server.on("GET", "/api/v1/applications", Answer({"metadata": {}, "items": None}))
    assert argocd.applications() == []


def test_an_application_is_read_whole(server: Loopback, argocd: ArgoCDClient) -> None:
    server.on("GET", APP, Answer(fixture("argocd/application-synced-healthy.json")))
    app = argocd.application("shop-prod", project="shop", namespace="team")
    assert server.requests[0].query == {"project": "shop", "appNamespace": "team"}
    assert (app.sync_status, app.health_status, app.automated) == ("Synced", "Healthy", True)
    assert app.reconciled_at == datetime(2026, 8, 20, 10, 6, 2, tzinfo=UTC)
    assert app.operation is not None
    assert app.operation.infos["promotion-id"] == "prm-7f3a"
    assert [entry.initiated_by for entry in app.history] == ["automated", "promoter"]
    assert app.images == ("registry.example.com/shop/web:1.5.0",)


def test_several_sources_win_over_the_empty_single_one(server: Loopback, argocd: ArgoCDClient) -> None:
    """argocd-api.md section 7."""
    server.on("GET", APP, Answer(fixture("argocd/application-multi-source.json")))
    app = argocd.application("shop-prod", project="shop")
    assert [source.chart for source in app.sources] == ["shop-web", ""]
    assert app.revisions[0] == "2.3.4"
    assert app.operation is not None
    assert len(app.operation.revisions) == 2


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("no or malformed bearer token, unary endpoint", Unauthorized),
        ("expired token", Unauthorized),
        ("app missing OR not permitted, no project parameter", Unauthorized),
        ("app missing, project parameter given and permitted", NotFound),
        ("unknown API path", NotFound),
        ("method not allowed on known API path", Rejected),
    ],
)
def test_a_refused_read_is_an_error_of_the_right_kind(
    case: str, kind: type[IntegrationError], server: Loopback, argocd: ArgoCDClient
) -> None:
    """argocd-api.md sections 1 and 2."""
    server.on("GET", APP, error_answer(case))
    with pytest.raises(kind) as caught:
        argocd.application("shop-prod", project="shop")
    assert "very.secret" not in str(caught.value) + repr(argocd)
    assert caught.value.vendor == "argocd"


def test_a_sync_is_tagged_and_sends_exactly_the_json_content_type(
    server: Loopback, argocd: ArgoCDClient
) -> None:
    """argocd-api.md sections 1 and 5."""
    server.on("POST", f"{APP}/sync", Answer(fixture("argocd/application-operation-requested.json")))
    app = argocd.sync("shop-prod", project="shop", infos={"promotion-id": "7"}, revision="abc", prune=True)
    assert app.operation_requested
    assert app.operation is None
    request = server.requests[0]
    assert request.headers["content-type"] == "application/json"
    assert request.json() == {
        "project": "shop",
        "prune": True,
        "revision": "abc",
        "infos": [{"name": "promotion-id", "value": "7"}],
    }


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("sync while another operation runs", AnotherOperation),
        ("sync to explicit revision while auto-sync enabled", Rejected),
        ("sync window closed", Unauthorized),
        ("visible app but caller lacks sync permission", Unauthorized),
        ("non-GET without Content-Type application/json", Rejected),
    ],
)
def test_a_refused_sync_is_an_error_of_the_right_kind(
    case: str, kind: type[IntegrationError], server: Loopback, argocd: ArgoCDClient
) -> None:
    server.on("POST", f"{APP}/sync", error_answer(case))
    with pytest.raises(kind) as caught:
        argocd.sync("shop-prod", project="shop", infos={})
    assert type(caught.value) is kind
    assert len(server.requests) == 1


def test_a_sync_is_never_sent_twice(server: Loopback, argocd: ArgoCDClient) -> None:
    server.on("POST", f"{APP}/sync", Answer(b"", status=503))
    with pytest.raises(Unavailable):
        argocd.sync("shop-prod", project="shop", infos={})
    assert len(server.requests) == 1


def test_terminating_sends_the_content_type_without_a_body(server: Loopback, argocd: ArgoCDClient) -> None:
    """argocd-api.md section 1: 415 otherwise."""
    server.on("DELETE", f"{APP}/operation", Answer({}), error_answer("terminate with nothing running"))
    argocd.terminate("shop-prod", project="shop")
    assert server.requests[0].headers["content-type"] == "application/json"
    with pytest.raises(Rejected, match="No operation is in progress"):
        argocd.terminate("shop-prod", project="shop")


@pytest.mark.parametrize("hard", [True, False])
def test_a_refresh_asks_for_the_right_kind(hard: bool, server: Loopback, argocd: ArgoCDClient) -> None:
    server.on("GET", APP, Answer(fixture("argocd/application-refresh-requested.json")))
    argocd.refresh("shop-prod", project="shop", hard=hard)
    assert server.requests[0].query == {"refresh": "hard" if hard else "normal", "project": "shop"}


def test_a_refresh_that_hangs_is_no_error_and_is_not_repeated(server: Loopback, argocd: ArgoCDClient) -> None:
    """argocd-api.md section 6, pitfall 7."""
    server.on("GET", APP, lambda exchange: exchange.stall())
    argocd.refresh("shop-prod", project="shop")
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", ["deadline", "proxy"])
def test_a_refresh_the_server_gave_up_on_is_no_error(
    answer: str, server: Loopback, argocd: ArgoCDClient
) -> None:
    late = error_answer("GET ?refresh= did not finish before request deadline")
    server.on("GET", APP, late if answer == "deadline" else Answer(b"<html>", status=504))
    argocd.refresh("shop-prod", project="shop")
    assert len(server.requests) == 1


def test_a_refresh_reports_other_failures(server: Loopback, argocd: ArgoCDClient) -> None:
    server.on("GET", APP, Answer(b"", status=503), error_answer("expired token"))
    with pytest.raises(Unavailable):
        argocd.refresh("shop-prod", project="shop")
    with pytest.raises(Unauthorized):
        argocd.refresh("shop-prod", project="shop")


def test_the_stream_gives_events_and_keepalives_and_raises_on_the_error_frame(
    server: Loopback, argocd: ArgoCDClient
) -> None:
    """argocd-api.md section 4, fixtures/argocd/stream-promotion-shop-prod.sse, cut at odd places."""
    data = raw_fixture("argocd/stream-promotion-shop-prod.sse")
    pieces = [data[start : start + 977] for start in range(0, len(data), 977)]
    server.on("GET", STREAM, sse(*pieces))  # type: ignore[arg-type]
    seen: list[StreamEvent | Keepalive] = []
    with pytest.raises(Unavailable, match="error reading from server: EOF"):
        seen.extend(argocd.stream(projects=["shop"], stop=threading.Event()))
    assert server.requests[0].headers["accept"] == "text/event-stream"
    assert server.requests[0].query == {"projects": "shop"}
    assert "resourceVersion" not in server.requests[0].query


def collect(argocd: ArgoCDClient, **timeouts: float) -> tuple[list[str], IntegrationError | None]:
    kinds: list[str] = []
    try:
        for event in argocd.stream(stop=threading.Event(), **timeouts):
            kinds.append(event.type if isinstance(event, StreamEvent) else "keepalive")
    except IntegrationError as error:
        return kinds, error
    return kinds, None


def test_the_stream_counts_all_frames_of_the_reference(server: Loopback, argocd: ArgoCDClient) -> None:
    server.on("GET", STREAM, sse(raw_fixture("argocd/stream-promotion-shop-prod.sse")))  # type: ignore[arg-type]
    kinds, error = collect(argocd)
    assert (kinds[0], kinds.count("MODIFIED"), kinds.count("keepalive"), len(kinds)) == ("ADDED", 7, 2, 10)
    assert isinstance(error, Unavailable)


def test_a_deleted_frame_carries_the_last_state(server: Loopback, argocd: ArgoCDClient) -> None:
    frame = b"data: " + raw_fixture("argocd/stream-deleted-event.ndjson").strip() + b" \n\n\n"
    server.on("GET", STREAM, sse(frame))  # type: ignore[arg-type]
    events = list(argocd.stream(stop=threading.Event()))
    assert isinstance(events[0], StreamEvent)
    assert (events[0].type, events[0].snapshot.project) == ("DELETED", "shop")


def test_an_orderly_end_of_the_stream_ends_the_iterator(server: Loopback, argocd: ArgoCDClient) -> None:
    server.on("GET", STREAM, sse(b":\n"))  # type: ignore[arg-type]
    assert collect(argocd) == (["keepalive"], None)


@pytest.mark.parametrize(
    "frame",
    [
        b'data: {"error":{"grpc_code":14,"http_code":503,"message":"gone"}} \n\n',
        b'data: {"error":"gone","code":14,"message":"gone"} \n\n',
        b'{"error":{"grpc_code":14,"http_code":503,"message":"gone"}}\n',
    ],
)
def test_error_frames_of_both_shapes_raise(frame: bytes, server: Loopback, argocd: ArgoCDClient) -> None:
    server.on("GET", STREAM, sse(b":\n", frame))  # type: ignore[arg-type]
    kinds, error = collect(argocd)
    assert kinds == ["keepalive"]
    assert isinstance(error, Unavailable)
    assert "gone" in error.message


def test_a_refused_stream_is_unauthorized(server: Loopback, argocd: ArgoCDClient) -> None:
    server.on("GET", STREAM, error_answer("stream endpoint, auth failure before first message"))
    error = collect(argocd)[1]
    assert isinstance(error, Unauthorized)
    assert "no session information" in error.message


@pytest.mark.parametrize("frame", [b"data: {half\n", b'data: {"result":{}}\n', b"data: [1]\n", b"data: \n"])
def test_a_frame_that_cannot_be_read_breaks_the_stream(
    frame: bytes, server: Loopback, argocd: ArgoCDClient
) -> None:
    server.on("GET", STREAM, sse(frame))  # type: ignore[arg-type]
    assert isinstance(collect(argocd)[1], Unavailable)


def test_a_cut_connection_breaks_the_stream(server: Loopback, argocd: ArgoCDClient) -> None:
    def cut(exchange: Exchange) -> None:
        exchange.start(headers=SSE)
        exchange.send(b':\ndata: {"result":')
        exchange.cut()

    server.on("GET", STREAM, cut)
    kinds, error = collect(argocd)
    assert kinds == ["keepalive"]
    assert isinstance(error, Unavailable)


def test_silence_before_the_first_byte_is_borne_longer_than_silence_after_it(
    server: Loopback, argocd: ArgoCDClient
) -> None:
    """argocd-api.md section 4: no headers, no keepalive until the first event."""

    def late(exchange: Exchange) -> None:
        exchange.stopping.wait(0.6)
        exchange.start(headers=SSE)
        exchange.send(b":\n")
        exchange.stall()

    server.on("GET", STREAM, late)
    kinds, error = collect(argocd, first_byte_timeout=5.0, silence_timeout=0.3)
    assert kinds == ["keepalive"]
    assert isinstance(error, Unavailable)
    assert "in time" in error.message


def test_a_silent_server_is_given_up_after_the_first_byte_timeout(
    server: Loopback, argocd: ArgoCDClient
) -> None:
    server.on("GET", STREAM, lambda exchange: exchange.stall())
    assert isinstance(collect(argocd, first_byte_timeout=0.2)[1], Unavailable)


def test_stop_ends_a_silent_stream_quickly(server: Loopback, argocd: ArgoCDClient) -> None:
    stop = threading.Event()

    def silent(exchange: Exchange) -> None:
        exchange.start(headers=SSE)
        exchange.send(b":\n")
        exchange.stall()

    server.on("GET", STREAM, silent)
    stream = argocd.stream(stop=stop, silence_timeout=20.0)
    assert isinstance(next(stream), Keepalive)
    stop.set()
    assert list(stream) == []


def test_what_pods_run_is_read_from_their_live_manifests(server: Loopback, argocd: ArgoCDClient) -> None:
    pod = {
        "spec": {
            "containers": [{"name": "web", "image": "harbor.centre.com/k8s/web:latest"}, {"name": "proxy"}]
        },
        "status": {
            "containerStatuses": [
                {"name": "web", "imageID": f"docker-pullable://harbor.centre.com/k8s/web@{DIGEST}"}
            ]
        },
    }
    server.on("GET", f"{APP}/resource-tree", Answer(fixture("argocd/resource-tree.json")))
    server.on("GET", f"{APP}/resource", Answer({"manifest": json.dumps(pod)}))
    images = argocd.pod_images("shop-prod", project="shop")
    name = "shop-web-6c9f7d8b5-x2x7p"
    assert images == [
        PodImage(name, "web", "harbor.centre.com/k8s/web:latest", DIGEST),
        PodImage(name, "proxy", "", ""),
    ]
    assert server.requests[1].query == {
        "namespace": "shop-prod",
        "resourceName": name,
        "version": "v1",
        "group": "",
        "kind": "Pod",
        "project": "shop",
    }


@pytest.mark.parametrize(
    "answer", [Answer({"message": "gone"}, status=404), Answer({"manifest": "{"}), Answer({})]
)
def test_a_pod_that_vanished_or_is_unreadable_is_left_out(
    answer: Answer, server: Loopback, argocd: ArgoCDClient
) -> None:
    server.on("GET", f"{APP}/resource-tree", Answer(fixture("argocd/resource-tree.json")))
    server.on("GET", f"{APP}/resource", answer)
    assert argocd.pod_images("shop-prod", project="shop") == []


def test_a_bad_token_is_an_answer_of_user_info(server: Loopback, argocd: ArgoCDClient) -> None:
    server.on("GET", "/api/v1/session/userinfo", Answer(fixture("argocd/session-userinfo.json")), Answer({}))
    assert argocd.user_info().username == "proj:shop:promoter"
    assert not argocd.user_info().logged_in


def test_a_commit_is_described(server: Loopback, argocd: ArgoCDClient) -> None:
    server.on("GET", f"{APP}/revisions/abc/metadata", Answer(fixture("argocd/revision-metadata.json")))
    found = argocd.revision_metadata("shop-prod", "abc", project="shop")
    assert found.date == datetime(2026, 8, 20, 10, 2, 31, tzinfo=UTC)
    assert "Promotion-Id: prm-7f3a" in found.message
