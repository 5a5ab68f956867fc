"""Deliveries of Harbor and distribution (registry-and-harbor.md)."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from integrations.hints import Hint, WebhookSecrets
from integrations.registry.webhooks import dedupe_key, natural_key, read, redact, verify
from tests.integrations.hostile import HOSTILE
from tests.integrations.loopback import raw_fixture

NOW = datetime(2026, 2, 3, 9, 0, 0, tzinfo=UTC)
SECRETS = WebhookSecrets(tokens=["current", "Secret previous"])


@pytest.mark.parametrize("value", ["current", "Bearer current", "Secret previous"])
def test_the_authorization_value_is_compared_whole(value: str) -> None:
    assert verify({"Authorization": value}, b"", SECRETS, NOW)


@pytest.mark.parametrize(
    "value", ["", "Bearer ", "Bearer", "previous", "Basic current", "current ", "ü", "\udcff"]
)
def test_any_other_value_is_refused(value: str) -> None:
    assert not verify({"authorization": value}, b"", SECRETS, NOW)


def test_a_missing_header_or_an_unset_secret_never_means_open() -> None:
    assert not verify({}, b"", SECRETS, NOW)
    assert not verify({}, b"", WebhookSecrets(), NOW)
    assert not verify({"Authorization": ""}, b"", WebhookSecrets(tokens=[""]), NOW)
    assert not verify({"Authorization": "Bearer "}, b"", WebhookSecrets(tokens=[""]), NOW)


@pytest.mark.parametrize(
    ("name", "kind", "hint"),
    [
        (
            "harbor/push-artifact.default.by-tag.derived",
            "PUSH_ARTIFACT",
            Hint("image", "harbor/alpine", "1.4.2"),
        ),
        ("harbor/push-artifact.default.by-digest", "PUSH_ARTIFACT", Hint("image", "harbor/alpine", "")),
        ("harbor/push-artifact.cloudevents", "PUSH_ARTIFACT", Hint("image", "harbor/alpine", "")),
        ("harbor/delete-artifact.default", "DELETE_ARTIFACT", Hint("image", "harbor/alpine", "3.8")),
        ("harbor/delete-artifact.cloudevents", "DELETE_ARTIFACT", Hint("image", "harbor/alpine", "3.8")),
        ("harbor/scanning-completed.default", "SCANNING_COMPLETED", Hint("image", "harbor/alpine", "")),
        ("registry/notification-push-tag.derived", "events", Hint("image", "hello-world", "1.4.2")),
        ("registry/notification-push-batch", "events", Hint("image", "library/test", "")),
        ("registry/notification-delete.derived", "events", Hint("image", "library/test", "")),
    ],
)
def test_a_delivery_says_where_to_look(name: str, kind: str, hint: Hint) -> None:
    """A digest where the tag should be is no version (registry-and-harbor.md, "Traps")."""
    found = read({}, raw_fixture(f"{name}.json"))
    assert (found.kind, found.hints, found.problem) == (kind, (hint,), None)


def test_a_pull_is_noise() -> None:
    found = read({}, raw_fixture("registry/notification-pull.json"))
    assert (found.hints, found.problem) == ((), None)


def test_an_envelope_of_a_thousand_events_gives_each_image_once() -> None:
    target = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "repository": "a/b"}
    events = [{"action": "push", "target": target | {"tag": f"1.{number % 7}"}} for number in range(1000)]
    found = read({}, json.dumps({"events": [*events, None, "x", {}]}).encode())
    assert len(found.hints) == 7
    assert found.summary.startswith("1003 events")


def test_signatures_are_no_images() -> None:
    target = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "repository": "a/b"}
    signed = target | {"tag": "sha256-" + "a" * 64 + ".sig"}
    assert read({}, json.dumps({"events": [{"action": "push", "target": signed}]}).encode()).hints == ()


def test_an_unknown_kind_is_kept_without_hints_or_problem() -> None:
    found = read({}, b'{"type":"QUOTA_EXCEED","event_data":{}}')
    assert (found.kind, found.hints, found.problem) == ("QUOTA_EXCEED", (), None)


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_body_is_a_reading_and_never_an_exception(name: str) -> None:
    """webhook-security.md, "Test list for our receiver"."""
    body = HOSTILE[name]
    found = read({}, body)
    assert found.problem
    assert found.hints == ()
    assert natural_key({}, body) == ""
    assert redact({}, body) == body
    assert dedupe_key({}, body).startswith("body:")
    assert not verify({}, body, SECRETS, NOW)


@pytest.mark.parametrize(
    "data",
    [
        {"type": "PUSH_ARTIFACT"},
        {"type": "PUSH_ARTIFACT", "event_data": []},
        {"type": "PUSH_ARTIFACT", "event_data": {"repository": {"repo_full_name": "a\u0000b"}}},
        {"specversion": "1.0", "type": "harbor.artifact.pushed", "data": None},
        {"events": None},
        {"events": {}},
    ],
)
def test_fields_of_the_wrong_shape_are_a_problem(data: dict[str, object]) -> None:
    found = read({}, json.dumps(data).encode())
    assert found.problem
    assert found.hints == ()


@pytest.mark.parametrize("tag", ["a\u0000", "a\nb", "\ud800", "x" * 300, ["1"], {"a": 1}, None])
def test_a_tag_of_the_wrong_shape_only_hints_at_the_repository(tag: object) -> None:
    event = {"resources": [{"tag": tag}], "repository": {"repo_full_name": "a/b"}}
    found = read({}, json.dumps({"type": "PUSH_ARTIFACT", "event_data": event}).encode())
    assert found.hints == (Hint("image", "a/b", ""),)


def test_a_retry_has_the_same_key_and_another_event_has_not() -> None:
    one = raw_fixture("harbor/push-artifact.default.by-tag.derived.json")
    assert dedupe_key({}, one) == dedupe_key({"other": "header"}, one)
    assert dedupe_key({}, one) != dedupe_key({}, one.replace(b"1.4.2", b"1.4.3"))


def test_the_natural_key_is_about_the_event() -> None:
    one = raw_fixture("harbor/push-artifact.default.by-tag.derived.json")
    assert natural_key({}, one) == natural_key({}, json.dumps(json.loads(one)).encode()) != ""
    assert natural_key({}, one) != natural_key({}, one.replace(b"1680501893", b"1680501894"))
    assert natural_key({}, raw_fixture("registry/notification-pull.json")) == ""
