"""Held to reference gitlab-webhooks.md."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest

from integrations.sandbox import invented
from integrations.sandbox.gitlab.webhooks import alert_status, signed
from integrations.sandbox.server import InThread
from tests.integrations.sandbox.gitlab.conftest import MANIFEST, PROD, Api, Receiver, fixture, until


@pytest.fixture(autouse=True)
def slipway_listens(box: InThread, receiver: Receiver) -> None:
    """Send Slipway's hooks to the receiver."""
    box.world.hook_base = receiver.url


def hook_id(api: Api) -> int:
    """Return the id of the hook to Slipway."""
    return int(next(row["id"] for row in api.get("/hooks").json() if row["name"] == "Slipway"))


def test_a_delivery_carries_every_header(api: Api, receiver: Receiver) -> None:
    """Section "Request headers", and the recorded webhook-headers.sample.json."""
    api.commit("dev", PROD, "a: 1\n")
    until(lambda: receiver.requests)
    path, headers, body = receiver.requests[0]
    assert path == f"/webhooks/gitlab/{invented.GITLAB_SOURCE}"
    assert {name.lower() for name in fixture("webhook-headers.sample")} - {"connection"} <= headers.keys()
    assert headers["x-gitlab-event"] == "Push Hook"
    assert headers["x-gitlab-token"] == invented.GITLAB_HOOK_TOKEN
    assert headers["webhook-id"] == headers["idempotency-key"]
    key = base64.b64decode(invented.GITLAB_SIGNING_TOKEN.removeprefix("whsec_"))
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"


def test_the_signature_agrees_with_the_vector() -> None:
    """Section "Signing token": webhook-signature-vector.json."""
    vector = fixture("webhook-signature-vector")
    given = vector["headers"]
    made = signed(
        vector["signing_token"], given["webhook-id"], int(given["webhook-timestamp"]), vector["body"].encode()
    )
    assert made["webhook-signature"] == given["webhook-signature"]


def shape(sample: Any, body: Any, where: str = "") -> list[str]:
    """List the fields of a fixture that a body lacks."""
    if isinstance(sample, dict) and isinstance(body, dict):
        missing = [f"{where}.{name}" for name in sample.keys() - body.keys()]
        return missing + [
            line
            for name in sample.keys() & body.keys()
            for line in shape(sample[name], body[name], f"{where}.{name}")
        ]
    if isinstance(sample, list) and isinstance(body, list) and sample and body:
        return shape(sample[0], body[0], f"{where}[]")
    return []


def test_a_push_is_shaped_as_the_fixture(api: Api, receiver: Receiver) -> None:
    """Section "Events", push."""
    before = api.tip("dev")
    after = api.commit("dev", PROD, "a: 1\n").json()["id"]
    body = until(lambda: receiver.events("push"))[0]
    assert shape(fixture("webhook-push-branch"), body) == []
    assert (body["before"], body["after"], body["checkout_sha"]) == (before, after, after)
    assert body["commits"][0]["modified"] == [PROD]
    assert body["project"]["path_with_namespace"] == MANIFEST


def test_a_new_branch_has_zeros_before_and_lists_only_new_commits(api: Api, receiver: Receiver) -> None:
    """Section "push": before is zeros; no new commits, no list; a deletion has none either."""
    api.post("/repository/branches", params={"branch": "x", "ref": "main"})
    body = until(lambda: receiver.events("push"))[0]
    assert (body["before"], body["commits"]) == ("0" * 40, [])
    api.delete("/repository/branches/x")
    body = until(lambda: receiver.events("push")[1:])[0]
    assert (body["after"], body["checkout_sha"], body["commits"]) == ("0" * 40, None, [])


def test_an_annotated_tag_names_its_object_and_its_commit(source: Api, receiver: Receiver) -> None:
    """Section "tag_push": after is the tag object, checkout_sha the commit."""
    row = {"tag_name": "v9.0.0", "ref": "main", "message": "Nine"}
    tag = source.post("/repository/tags", json=row).json()
    body = until(lambda: receiver.events("tag_push"))[0]
    assert shape(fixture("webhook-tag-push-create"), body) == []
    assert (body["after"], body["checkout_sha"]) == (tag["target"], tag["commit"]["id"])
    assert body["message"] == "Nine"


def test_a_merge_request_tells_each_of_its_changes(api: Api, receiver: Receiver) -> None:
    """Section "merge_request": open, update with oldrev, approved, close, reopen, merge."""
    first = api.commit("dev", PROD, "a: 1\n").json()["id"]
    mr = {"source_branch": "dev", "target_branch": "main", "title": "Bring it"}
    iid = api.post("/merge_requests", json=mr).json()["iid"]
    api.commit("dev", PROD, "a: 2\n")
    until(lambda: "update" in actions(receiver))
    for event in ("close", "reopen"):
        api.put(f"/merge_requests/{iid}", json={"state_event": event})
    url = f"/merge_requests/{iid}"
    until(lambda: api.get(url).json()["detailed_merge_status"] == "mergeable")
    api.put(f"{url}/merge")
    until(lambda: "merge" in actions(receiver))
    until(lambda: len(actions(receiver)) == 5)
    assert sorted(actions(receiver)) == ["close", "merge", "open", "reopen", "update"]
    bodies = {body["object_attributes"]["action"]: body for body in receiver.events("merge_request")}
    assert bodies["update"]["object_attributes"]["oldrev"] == first
    assert "oldrev" not in bodies["open"]["object_attributes"]
    ignored = {".object_attributes.total_time_spent", ".object_attributes.time_change"}
    ignored |= {
        line for line in shape(fixture("webhook-mr-merge.derived"), bodies["merge"]) if "time_" in line
    }
    assert set(shape(fixture("webhook-mr-merge.derived"), bodies["merge"])) <= ignored
    assert bodies["merge"]["object_attributes"]["state"] == "merged"
    assert bodies["merge"]["object_attributes"]["merge_commit_sha"] == api.tip("main")


def first_event(receiver: Receiver, kind: str) -> dict[str, Any]:
    """Wait for an event of a kind."""
    return dict(until(lambda: receiver.events(kind))[0])


def arrived(receiver: Receiver, count: int) -> None:
    """Wait for so many deliveries."""
    until(lambda: len(receiver.requests) == count)


def actions(receiver: Receiver) -> list[str]:
    """Return the merge request actions that arrived."""
    return [body["object_attributes"]["action"] for body in receiver.events("merge_request")]


def test_deployments_releases_and_pipelines_are_told(api: Api, receiver: Receiver) -> None:
    """Section "Events": deployment (deployable_* null over the API), release, pipeline."""
    head = api.tip("main")
    row = {"environment": "production", "sha": head, "ref": "main", "tag": False, "status": "running"}
    made = api.post("/deployments", json=row).json()
    assert fixture("api-deployment-create.201").keys() <= made.keys()
    api.post("/repository/tags", json={"tag_name": "v2.0.0", "ref": "main"})
    api.post("/releases", json={"tag_name": "v2.0.0", "name": "Two", "description": "Notes"})
    api.post("/pipeline", json={"ref": "main"})
    for kind, name in (
        ("deployment", "webhook-deployment-api-created.derived"),
        ("release", "webhook-release"),
        ("pipeline", "webhook-pipeline-success"),
    ):
        body = first_event(receiver, kind)
        missing = shape(fixture(name), body)
        assert [line for line in missing if "source_pipeline" not in line and "runner" not in line] == []
    assert receiver.events("deployment")[0]["deployable_url"] is None
    assert receiver.events("deployment")[0]["short_sha"] == head[:8]
    assert receiver.events("pipeline")[0]["object_attributes"]["created_at"].endswith(" UTC")


def test_faults_drop_and_duplicate(box: InThread, api: Api, receiver: Receiver) -> None:
    """Section "Transport": duplicates happen, with the same Idempotency-Key; losses too."""
    box.world.faults["hooks"] = {"drop": 1, "duplicate": 1}
    api.commit("dev", PROD, "a: 1\n")
    until(lambda: box.world.faults["hooks"]["drop"] == 0)
    twice = api.commit("dev", PROD, "a: 2\n").json()["id"]
    until(lambda: len(receiver.requests) == 2)
    assert {body["after"] for body in receiver.events("push")} == {twice}
    assert len({headers["idempotency-key"] for _, headers, _ in receiver.requests}) == 1


def test_a_resend_keeps_the_key_and_has_a_new_webhook_uuid(api: Api, receiver: Receiver) -> None:
    """Section "Request headers": Idempotency-Key stays on Resend, X-Gitlab-Webhook-UUID does not."""
    api.commit("dev", PROD, "a: 1\n")
    until(lambda: receiver.requests)
    number = hook_id(api)
    event = api.get(f"/hooks/{number}/events").json()[0]["id"]
    assert api.post(f"/hooks/{number}/events/{event}/resend").status_code == 201
    until(lambda: len(receiver.requests) == 2)
    (_, first, body), (_, second, again) = receiver.requests
    assert first["idempotency-key"] == second["idempotency-key"]
    assert first["x-gitlab-webhook-uuid"] != second["x-gitlab-webhook-uuid"]
    assert body == again


def test_a_failing_hook_is_switched_off_after_the_fourth_time(api: Api, receiver: Receiver) -> None:
    """Section "Auto-disable": failures 1-3 nothing, the 4th disables for a minute; no retry."""
    receiver.status = 500
    for number in range(4):
        api.commit("dev", PROD, f"a: {number}\n")
        arrived(receiver, number + 1)
    url = f"/hooks/{hook_id(api)}"
    until(lambda: api.get(url).json()["alert_status"] == "temporarily_disabled")
    assert api.get(url).json()["disabled_until"] is not None
    api.commit("dev", PROD, "a: 9\n")
    rows = api.get("/repository/commits", params={"ref_name": "main..dev"}).json()
    assert len(rows) == 5
    assert len(receiver.requests) == 4


def test_forty_failures_are_for_good() -> None:
    """Section "Auto-disable": the 40th consecutive failure is permanent."""
    hook = {"failures": 40, "disabled_until": None}
    assert alert_status(hook, "2026-01-01") == "disabled"


def test_a_call_that_joins_a_chain_does_not_call_the_same_hook_again(api: Api, receiver: Receiver) -> None:
    """Section "Recursion": our API client must never forward X-Gitlab-Event-UUID."""
    api.commit("dev", PROD, "a: 1\n")
    until(lambda: receiver.requests)
    chain = receiver.requests[0][1]["x-gitlab-event-uuid"]
    api.headers["X-Gitlab-Event-UUID"] = chain
    silent = api.commit("dev", PROD, "a: 2\n").json()["id"]
    del api.headers["X-Gitlab-Event-UUID"]
    heard = api.commit("dev", PROD, "a: 3\n").json()["id"]
    until(lambda: heard in {body["after"] for body in receiver.events("push")})
    assert silent not in {body["after"] for body in receiver.events("push")}
