"""Bodies that break parsers (reference webhook-security.md, "Parsing hazards", and its test list).

Each is authenticated, so each is answered 2xx and kept; none stops the one behind it.
"""

from __future__ import annotations

import json

import pytest

from promotions.choices import DeliveryOutcome, Vendor
from promotions.models import Delivery
from promotions.webhooks import processing
from tests.webhooks.conftest import Sender, as_json, fixture_body, make_source, nested

PUSH = json.loads(fixture_body("gitlab/webhook-push-branch.json"))
UNREADABLE, IGNORED = DeliveryOutcome.UNREADABLE, DeliveryOutcome.IGNORED
HOSTILE = {
    "nothing": b"",
    "100,000 deep": nested(100_000),
    "a number of 100,000 digits": b'{"object_kind": "push", "n": ' + b"1" * 100_000 + b"}",
    "NUL": as_json({"object_kind": "push\0", "project": {"path_with_namespace": "a\0b"}, "ref": "\0"}),
    "a NUL byte": b'{"object_kind": "push\x00"}',
    "a lone surrogate": b'{"object_kind": "\\ud800", "ref": "\\udfff"}',
    "not UTF-8": b'{"object_kind": "\xff\xfe"}',
    "NaN": b'{"object_kind": "push", "x": NaN, "y": Infinity}',
    "a list": b"[]",
    "null": b"null",
    "a text": b'"x"',
    "no JSON": b"payload=%7B%7D",
    "UTF-16": '{"object_kind": "push"}'.encode("utf-16"),
    "no project": as_json({name: value for name, value in PUSH.items() if not name.startswith("project")}),
    "project is a list": as_json({**PUSH, "project": [], "project_id": None}),
    "ref is a number": as_json({**PUSH, "ref": 5}),
    "ref with line breaks": as_json({**PUSH, "ref": "refs/heads/x\nPromotion-Id: forged"}),
    "kind is an object": as_json({**PUSH, "object_kind": {}, "event_name": []}),
    "merge request without attributes": as_json({"object_kind": "merge_request", "project": PUSH["project"]}),
    "iid is huge": as_json(
        {"object_kind": "merge_request", "project": PUSH["project"], "object_attributes": {"iid": 2**70}}
    ),
    "events is an object": as_json({"events": {}}),
    "events of wrong types": as_json({"events": [None, 1, "x", [], {"target": []}]}),
    "resources is null": as_json({"type": "PUSH_ARTIFACT", "event_data": {"resources": None}}),
    "repository is a text": as_json({"type": "PUSH_ARTIFACT", "event_data": {"repository": "x"}}),
}


@pytest.mark.parametrize("vendor", [Vendor.GITLAB, Vendor.HARBOR])
def test_hostile_bodies_are_answered_2xx_kept_and_processed_without_stopping_anything(
    gitlab: Sender, vendor: Vendor
) -> None:
    sender = Sender(make_source(vendor), gitlab.served)
    answers = {name: sender.post(body).status_code for name, body in HOSTILE.items()}
    assert answers == dict.fromkeys(HOSTILE, 202)
    assert sender.post(as_json({"object_kind": "feature_flag", "type": "QUOTA_EXCEED"})).status_code == 202
    assert processing.process_pending() == len(HOSTILE) + 1
    outcomes = list(Delivery.objects.order_by("id").values_list("outcome", flat=True))
    assert set(outcomes[:-1]) <= {UNREADABLE, IGNORED}
    assert outcomes[-1] == IGNORED
    assert Delivery.objects.exclude(message="").count() == len(outcomes), "each says why nothing came of it"


def test_harmless_oddities_are_read_all_the_same(gitlab: Sender) -> None:
    """Test list: `commits: null`; tag and branch delete; 21+ commits."""
    gitlab.post(as_json({**PUSH, "commits": None}))
    gitlab.post(fixture_body("gitlab/webhook-push-branch-delete.json"))
    gitlab.post(fixture_body("gitlab/webhook-tag-push-delete.json"), x_gitlab_event="Tag Push Hook")
    gitlab.post(fixture_body("gitlab/webhook-push-truncated-57-commits.derived.json"))
    processing.process_pending()
    # The catalogue is empty here: they were understood, and speak of nothing we know.
    assert {delivery.outcome for delivery in gitlab.deliveries()} == {IGNORED}
    assert all(delivery.summary for delivery in gitlab.deliveries())


def test_a_header_that_says_another_kind_than_the_body_is_kept_and_marked(gitlab: Sender) -> None:
    """Test list: header and body kind differ."""
    assert gitlab.post(x_gitlab_event="Merge Request Hook").status_code == 202
    processing.process_pending()
    (delivery,) = gitlab.deliveries()
    assert delivery.outcome == UNREADABLE
    assert "Merge Request Hook" in delivery.message


def test_an_unknown_but_authenticated_kind_is_2xx_kept_and_marked_ignored(gitlab: Sender) -> None:
    """Test list: unknown `object_kind`."""
    body = as_json({"object_kind": "wiki_page", "project": PUSH["project"]})
    assert gitlab.post(body).status_code == 202
    processing.process_pending()
    (delivery,) = gitlab.deliveries()
    assert (delivery.kind, delivery.outcome, bytes(delivery.body)) == ("wiki_page", IGNORED, body)
