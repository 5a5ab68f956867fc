"""GitLab's deliveries: who sent them, whether they are new, where to look (gitlab-webhooks.md)."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from integrations.gitlab.webhooks import dedupe_key, natural_key, read, redact, verify
from integrations.hints import Hint, WebhookSecrets
from tests.integrations.hostile import HOSTILE
from tests.integrations.loopback import FIXTURES, fixture, raw_fixture

NOW = datetime(2026, 2, 3, 9, 0, 0, tzinfo=UTC)
SECRETS = WebhookSecrets(tokens=["current", "previous"])
PUSH = {"X-Gitlab-Event": "Push Hook"}
BODY = b'{"object_kind":"push"}'


def vector() -> tuple[dict[str, str], bytes, WebhookSecrets]:
    data = fixture("gitlab/webhook-signature-vector.json")
    assert isinstance(data, dict)
    return (
        dict(data["headers"]),
        data["body"].encode(),
        WebhookSecrets(signing_tokens=[data["signing_token"]]),
    )


@pytest.mark.parametrize("token", ["current", "previous"])
def test_both_secrets_are_valid_while_they_are_rotated(token: str) -> None:
    assert verify({"X-Gitlab-Token": token}, BODY, SECRETS, NOW)
    assert verify({"x-gitlab-token": token}, BODY, SECRETS, NOW)


@pytest.mark.parametrize(
    "token", ["", "wrong", "currentx", "curren", "CURRENT", "ü\u20ac", "\udcff", "x" * 100_000]
)
def test_any_other_token_is_refused(token: str) -> None:
    assert not verify({"X-Gitlab-Token": token}, BODY, SECRETS, NOW)


def test_a_missing_token_or_an_unset_secret_never_means_open() -> None:
    assert not verify({}, BODY, SECRETS, NOW)
    assert not verify({}, BODY, WebhookSecrets(), NOW)
    assert not verify({"X-Gitlab-Token": ""}, BODY, WebhookSecrets(tokens=[""]), NOW)
    assert not verify({"X-Gitlab-Token": "x"}, BODY, WebhookSecrets(), NOW)


def test_a_secret_outside_ascii_works() -> None:
    assert verify({"X-Gitlab-Token": "gehëim"}, BODY, WebhookSecrets(tokens=["gehëim"]), NOW)


def test_the_signature_of_the_reference_holds() -> None:
    """fixtures/gitlab/webhook-signature-vector.json."""
    headers, body, secrets = vector()
    assert verify(headers, body, secrets, NOW)


def test_one_of_several_signatures_is_enough() -> None:
    headers, body, secrets = vector()
    several = f"v1,{base64.b64encode(b'x' * 32).decode()} v2,abc {headers['webhook-signature']}"
    assert verify(headers | {"webhook-signature": several}, body, secrets, NOW)
    both = WebhookSecrets(
        signing_tokens=["whsec_" + base64.b64encode(b"k" * 32).decode(), *secrets.signing_tokens]
    )
    assert verify(headers, body, both, NOW)


Change = Callable[[dict[str, str], bytes], tuple[dict[str, str], bytes]]


@pytest.mark.parametrize(
    "change",
    [
        lambda headers, body: (headers, body + b" "),
        lambda headers, body: (headers | {"webhook-id": "other"}, body),
        lambda headers, body: (headers | {"webhook-timestamp": "1770109201"}, body),
        lambda headers, body: (headers | {"webhook-timestamp": "now"}, body),
        lambda headers, body: (headers | {"webhook-timestamp": "9" * 5000}, body),
        lambda headers, body: (headers | {"webhook-timestamp": "١٢٣"}, body),
        lambda headers, body: (headers | {"webhook-signature": ""}, body),
        lambda headers, body: (headers | {"webhook-signature": "v1,"}, body),
        lambda headers, body: (headers | {"webhook-signature": "v1,\udcff \x00"}, body),
        lambda headers, body: ({"webhook-signature": headers["webhook-signature"]}, body),
    ],
)
def test_a_signature_that_does_not_hold_is_refused_however_good_the_token(change: Change) -> None:
    headers, body, secrets = vector()
    changed, altered = change(headers | {"X-Gitlab-Token": "current"}, body)
    both = WebhookSecrets(tokens=["current"], signing_tokens=secrets.signing_tokens)
    assert not verify(changed, altered, both, NOW)


@pytest.mark.parametrize(("minutes", "valid"), [(-6, False), (-4, True), (4, True), (6, False)])
def test_a_stale_timestamp_is_refused(minutes: int, valid: bool) -> None:
    headers, body, secrets = vector()
    assert verify(headers, body, secrets, NOW + timedelta(minutes=minutes)) is valid


def test_the_tolerance_can_be_widened_for_resent_deliveries() -> None:
    headers, body, secrets = vector()
    assert verify(headers, body, secrets, NOW + timedelta(hours=1), tolerance=timedelta(hours=2))


@pytest.mark.parametrize("token", ["whsec_", "whsec_!!!", "", "whsec_é"])
def test_an_unusable_signing_token_signs_nothing(token: str) -> None:
    """An empty key would let anybody sign."""
    forged = base64.b64encode(hmac.digest(b"", b"id.1770109200." + BODY, "sha256")).decode()
    headers = {"webhook-id": "id", "webhook-timestamp": "1770109200", "webhook-signature": f"v1,{forged}"}
    assert not verify(headers, BODY, WebhookSecrets(signing_tokens=[token]), NOW)


def test_without_a_signature_the_token_decides() -> None:
    """The feature flag may be off (gitlab-webhooks.md, "Signing token")."""
    both = WebhookSecrets(tokens=["current"], signing_tokens=["whsec_AAAA"])
    assert verify({"X-Gitlab-Token": "current"}, BODY, both, NOW)
    assert not verify({}, BODY, both, NOW)


def test_the_delivery_key_survives_a_resend_and_ignores_fresh_ids() -> None:
    sample = fixture("gitlab/webhook-headers.sample.json")
    assert isinstance(sample, dict)
    again = sample | {"X-Gitlab-Webhook-UUID": "fresh", "X-Gitlab-Event-UUID": "chain"}
    assert dedupe_key(sample, BODY) == dedupe_key(again, b"other bytes") == f"id:{sample['Idempotency-Key']}"
    headers, body, _ = vector()
    assert dedupe_key(headers, body) == dedupe_key({"Idempotency-Key": headers["webhook-id"]}, body)


def test_without_ids_the_bytes_are_the_key() -> None:
    assert dedupe_key(PUSH, BODY) == dedupe_key({"x-gitlab-event": "Push Hook"}, BODY)
    assert dedupe_key(PUSH, BODY) != dedupe_key(PUSH, BODY + b" ")
    assert dedupe_key(PUSH, BODY) != dedupe_key({"X-Gitlab-Event": "System Hook"}, BODY)


@pytest.mark.parametrize("key", ["x" * 10_000, "a\x00b", "a\nb", "\udcff"])
def test_a_hostile_delivery_id_becomes_a_key_that_fits(key: str) -> None:
    found = dedupe_key({"Idempotency-Key": key}, BODY)
    assert len(found) <= 200
    assert found.isprintable()


@pytest.mark.parametrize(
    ("name", "header", "kind", "hints"),
    [
        ("webhook-push-branch", "Push Hook", "push", [("branch", "master")]),
        ("webhook-push-branch-create", "Push Hook", "push", [("branch", "feature")]),
        ("webhook-push-branch-delete", "Push Hook", "push", [("branch", "feature")]),
        ("webhook-push-truncated-57-commits.derived", "Push Hook", "push", [("branch", "master")]),
        ("webhook-tag-push-create", "Tag Push Hook", "tag_push", [("tag", "v1.0.0")]),
        ("webhook-tag-push-delete", "Tag Push Hook", "tag_push", [("tag", "v1.0.0")]),
        ("webhook-mr-open.derived", "Merge Request Hook", "merge_request", [("merge_request", "1")]),
        ("webhook-pipeline-success", "Pipeline Hook", "pipeline", [("pipeline", "31")]),
        ("webhook-deployment-success", "Deployment Hook", "deployment", [("deployment", "15")]),
        ("webhook-release", "Release Hook", "release", [("tag", "1.0.0")]),
        ("systemhook-push", "System Hook", "push", [("branch", "master")]),
        ("systemhook-repository-update", "System Hook", "repository_update", [("branch", "master")]),
    ],
)
def test_a_delivery_says_where_to_look(
    name: str, header: str, kind: str, hints: list[tuple[str, str]]
) -> None:
    """gitlab-webhooks.md, "Events"."""
    body = raw_fixture(f"gitlab/{name}.json")
    data = json.loads(body)
    found = read({"X-Gitlab-Event": header}, body)
    assert (found.kind, found.problem) == (kind, None)
    assert [(hint.subject, hint.name) for hint in found.hints] == hints
    assert {hint.project for hint in found.hints} == {data["project"]["path_with_namespace"]}
    assert found.summary


def test_a_merge_hints_at_the_target_branch_too() -> None:
    body = raw_fixture("gitlab/webhook-mr-merge.derived.json")
    target = json.loads(body)["object_attributes"]["target_branch"]
    found = read({"X-Gitlab-Event": "Merge Request Hook"}, body)
    assert [hint.subject for hint in found.hints] == ["merge_request", "branch"]
    assert found.hints[1].name == target


def test_every_sample_of_the_reference_is_readable() -> None:
    for path in sorted((FIXTURES / "gitlab").glob("*hook-*.json")):
        if path.stem.endswith(("sample", "vector")):
            continue
        found = read({}, path.read_bytes())
        assert found.problem is None, path.name
        assert found.hints, path.name


def test_a_deletion_is_told_also_with_sha_256_zeros() -> None:
    data = json.loads(raw_fixture("gitlab/webhook-push-branch-delete.json")) | {"after": "0" * 64}
    assert "deleted" in read(PUSH, json.dumps(data).encode()).summary


def test_an_unknown_kind_is_kept_without_hints_or_problem() -> None:
    found = read({"X-Gitlab-Event": "Emoji Hook"}, b'{"object_kind":"emoji","project":{"id":1}}')
    assert (found.kind, found.hints, found.problem) == ("emoji", (), None)


def test_a_header_that_disagrees_with_the_body_is_a_problem() -> None:
    found = read({"X-Gitlab-Event": "Pipeline Hook"}, raw_fixture("gitlab/webhook-push-branch.json"))
    assert found.hints == ()
    assert found.problem == "The header says Pipeline Hook, the body push"


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_body_is_a_reading_and_never_an_exception(name: str) -> None:
    """webhook-security.md, "Test list for our receiver"."""
    body = HOSTILE[name]
    found = read(PUSH, body)
    assert found.problem
    assert found.hints == ()
    assert natural_key(PUSH, body) == ""
    assert redact(PUSH, body) == body
    assert dedupe_key(PUSH, body).startswith("body:")
    assert not verify(PUSH, body, SECRETS, NOW)


PROJECT = {"id": 1, "path_with_namespace": "a/b"}


@pytest.mark.parametrize(
    "data",
    [
        {"object_kind": "push", "ref": "refs/heads/x"},
        {"object_kind": "push", "ref": "refs/heads/x", "project": []},
        {"object_kind": "push", "ref": "refs/heads/x", "project": {"path_with_namespace": "a\u0000b"}},
        {"object_kind": "push", "ref": None, "project": PROJECT},
        {"object_kind": "push", "ref": "refs/heads/", "project": PROJECT},
        {"object_kind": "push", "ref": "refs/heads/a\nPromotion-Id: 7", "project": PROJECT},
        {"object_kind": "push", "ref": "refs/heads/a\u0000", "project": PROJECT},
        {"object_kind": "push", "ref": "refs/heads/\ud800", "project": PROJECT},
        {"object_kind": "push", "ref": "refs/heads/" + "x" * 300, "project": PROJECT},
        {"object_kind": "push", "ref": "refs/keep-around/x", "project": PROJECT},
        {"object_kind": "merge_request", "project": PROJECT},
        {"object_kind": "merge_request", "project": PROJECT, "object_attributes": []},
        {"object_kind": "merge_request", "project": PROJECT, "object_attributes": {"iid": "../1"}},
        {"object_kind": "merge_request", "project": PROJECT, "object_attributes": {"iid": -1}},
        {"object_kind": "pipeline", "project": PROJECT, "object_attributes": {"id": True}},
        {"object_kind": "pipeline", "project": PROJECT, "object_attributes": {"id": 2**63}},
        {"object_kind": "deployment", "project": PROJECT, "deployment_id": 1.5},
        {"object_kind": "release", "project": PROJECT, "tag": {}},
        {"event_name": "repository_update", "project": PROJECT, "refs": ["refs/heads/\u0007"]},
    ],
)
def test_fields_of_the_wrong_shape_are_a_problem(data: dict[str, object]) -> None:
    found = read({}, json.dumps(data).encode())
    assert found.problem
    assert found.hints == ()
    natural_key({}, json.dumps(data).encode())


def test_missing_commits_do_not_matter() -> None:
    data = {"object_kind": "push", "ref": "refs/heads/x", "project": PROJECT, "commits": None}
    assert read({}, json.dumps(data).encode()).hints == (Hint("branch", "a/b", "x"),)


def test_summaries_hold_no_control_characters() -> None:
    data = {
        "object_kind": "push",
        "ref": "refs/heads/x",
        "project": PROJECT,
        "user_name": "a\u0000\n\u202eb" * 500,
    }
    summary = read({}, json.dumps(data).encode()).summary
    assert summary.isprintable()
    assert len(summary) <= 200


def test_a_project_hook_and_a_system_hook_share_the_natural_key() -> None:
    """gitlab-webhooks.md, "Group and system hooks"."""
    system = json.loads(raw_fixture("gitlab/systemhook-push.json"))
    project = system | {"object_kind": "push", "extra": 1}
    one = natural_key({"X-Gitlab-Event": "System Hook"}, json.dumps(system).encode())
    other = natural_key(PUSH, json.dumps(project).encode())
    assert one == other != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("webhook-pipeline-running.derived", "webhook-pipeline-success"),
        ("webhook-mr-open.derived", "webhook-mr-close.derived"),
        ("webhook-deployment-running.derived", "webhook-deployment-success"),
        ("webhook-push-branch", "webhook-push-branch-delete"),
    ],
)
def test_different_events_have_different_natural_keys(one: str, other: str) -> None:
    keys = [natural_key({}, raw_fixture(f"gitlab/{name}.json")) for name in (one, other)]
    assert all(keys)
    assert keys[0] != keys[1]


def test_pipeline_variables_are_redacted_and_nothing_else() -> None:
    body = raw_fixture("gitlab/webhook-pipeline-success.json")
    clean = redact({"X-Gitlab-Event": "Pipeline Hook"}, body)
    assert b"us-west-1" not in clean
    expected = json.loads(body)
    expected["object_attributes"]["variables"][0]["value"] = "[redacted]"
    assert json.loads(clean) == expected


@pytest.mark.parametrize("variables", ["secret", {"k": "secret"}, [["secret"]], ["secret"], 5])
def test_variables_of_the_wrong_shape_are_redacted_too(variables: object) -> None:
    for data in ({"object_attributes": {"variables": variables}}, {"variables": variables}):
        assert b"secret" not in redact({}, json.dumps({"object_kind": "pipeline", **data}).encode())


def test_a_body_without_variables_stays_byte_for_byte() -> None:
    body = raw_fixture("gitlab/webhook-push-branch.json")
    assert redact(PUSH, body) is body


def test_secrets_are_in_no_repr() -> None:
    assert "current" not in repr(SECRETS)
