"""Who is let in, what is kept, and what the sender hears (reference webhook-security.md)."""

from __future__ import annotations

import base64
import hmac
import json
import time
import uuid

import httpx
import pytest

from promotions.choices import DeliveryOutcome, Vendor
from promotions.models import WebhookSource
from tests.webhooks.conftest import (
    BODY,
    HEADER,
    SECRET,
    Sender,
    Serve,
    Served,
    fixture_body,
    make_source,
    post,
)

SIGNING = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
BODIES = fixture_body(BODY[Vendor.GITLAB])


def signature(body: bytes, identifier: str, stamp: int, token: str = SIGNING) -> str:
    key = base64.b64decode(token.removeprefix("whsec_"))
    signed = f"{identifier}.{stamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def refused(sender: Sender) -> int:
    return WebhookSource.objects.get(pk=sender.source.pk).refused_count


def test_a_delivery_with_the_right_secret_is_kept_raw_and_answered_202_without_a_body(sender: Sender) -> None:
    answer = sender.post()
    assert (answer.status_code, answer.content) == (202, b"")
    (delivery,) = sender.deliveries()
    assert bytes(delivery.body) == fixture_body(BODY[sender.vendor])
    assert delivery.outcome == DeliveryOutcome.PENDING


def test_a_missing_empty_wrong_or_non_ascii_secret_is_401_counted_and_its_body_not_kept(
    sender: Sender,
) -> None:
    """Reference webhook-security.md, test list: missing/empty/wrong/non-ASCII token."""
    secrets = [None, "", "wrong", SECRET + " x", SECRET[:-1], "g\u00e9heim".encode(), b"\xff\xfe"]
    assert [sender.post(secret=secret).status_code for secret in secrets] == [401] * len(secrets)
    assert sender.deliveries() == []
    assert refused(sender) == len(secrets)
    assert WebhookSource.objects.get(pk=sender.source.pk).last_refused_at is not None


@pytest.mark.parametrize("tokens", [[], [""], ["env:HOOK_SECRET_THAT_NOBODY_SET"], ["file:/nowhere/at/all"]])
def test_a_source_whose_secret_is_unset_lets_nobody_in(served: Served, tokens: list[str]) -> None:
    """Section "Pipeline", 3: no "no secret means open" mode."""
    for vendor in (Vendor.GITLAB, Vendor.HARBOR):
        sender = Sender(make_source(vendor, tokens=tokens), served)
        for secret in (None, "", SECRET, "None"):
            assert sender.post(secret=secret).status_code == 401
        assert sender.deliveries() == []


def test_while_a_secret_is_rotated_both_are_good_and_a_third_is_not(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test list: two secrets."""
    monkeypatch.setenv("HOOK_SECRET_BEFORE", "the one before")
    sender = Sender(make_source(Vendor.HARBOR, tokens=["env:HOOK_SECRET", "env:HOOK_SECRET_BEFORE"]), served)
    answers = [
        sender.post(b"{}", secret=secret).status_code for secret in (SECRET, "the one before", "a third")
    ]
    assert answers == [202, 202, 401]


def test_a_secret_outside_ascii_works_as_gitlab_sends_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET_ODD", "geh\u00e9im-\u79d8\u5bc6")
    sender = Sender(make_source(Vendor.GITLAB, tokens=["env:HOOK_SECRET_ODD"]), served)
    assert sender.post(secret="geh\u00e9im-\u79d8\u5bc6".encode()).status_code == 202


@pytest.fixture
def signing(served: Served, monkeypatch: pytest.MonkeyPatch) -> Sender:
    """A GitLab that signs; a token would be good as well."""
    monkeypatch.setenv("HOOK_SIGNING", SIGNING)
    return Sender(make_source(Vendor.GITLAB, signing_tokens=["env:HOOK_SIGNING"]), served)


def post_signed(
    sender: Sender, body: bytes = BODIES, *, signed: bytes | None = None, age: int = 0, also: str = ""
) -> httpx.Response:
    identifier, stamp = str(uuid.uuid4()), int(time.time()) - age
    value = also + signature(body if signed is None else signed, identifier, stamp)
    headers = {"webhook_id": identifier, "webhook_timestamp": str(stamp), "webhook_signature": value}
    return sender.post(body, secret=None, **headers)


def test_a_signed_delivery_is_taken_and_one_of_several_signatures_is_enough(signing: Sender) -> None:
    """Test list: several signatures in one header."""
    assert post_signed(signing).status_code == 202
    other = signature(BODIES, "x", 1, "whsec_" + base64.b64encode(b"another key of theirs").decode())
    assert post_signed(signing, also=f"v1a,junk {other} ").status_code == 202
    assert len(signing.deliveries()) == 2


def test_an_altered_body_or_a_stale_or_future_time_stamp_is_refused(signing: Sender) -> None:
    """Test list: stale timestamp; altered body."""
    assert post_signed(signing, signed=BODIES + b" ").status_code == 401
    assert post_signed(signing, age=301).status_code == 401
    assert post_signed(signing, age=-301).status_code == 401
    assert signing.deliveries() == []


def test_a_replayed_id_is_answered_2xx_and_kept_once(signing: Sender) -> None:
    """Test list: replayed id."""
    stamp = int(time.time())
    headers = {"webhook_id": "one", "webhook_timestamp": str(stamp)}
    headers["webhook_signature"] = signature(BODIES, "one", stamp)
    assert [signing.post(BODIES, secret=None, **headers).status_code for _ in range(3)] == [202] * 3
    (delivery,) = signing.deliveries()
    assert delivery.duplicates == 2


def test_duplicates_are_answered_2xx_and_dropped(sender: Sender) -> None:
    assert [sender.post().status_code for _ in range(3)] == [202] * 3
    (delivery,) = sender.deliveries()
    assert delivery.duplicates == 2


def test_gitlab_s_idempotency_key_tells_two_equal_bodies_apart_and_a_resent_one_not(gitlab: Sender) -> None:
    for key in ("a", "b", "a"):
        gitlab.post(idempotency_key=key)
    assert [delivery.duplicates for delivery in gitlab.deliveries()] == [1, 0]


def test_equal_bodies_from_two_sources_are_two_deliveries(served: Served) -> None:
    first, second = (Sender(make_source(Vendor.HARBOR), served) for _ in range(2))
    assert [first.post().status_code, second.post().status_code] == [202, 202]
    assert [len(first.deliveries()), len(second.deliveries())] == [1, 1]


def test_no_credential_is_kept_with_the_delivery_nor_written_to_the_log(
    sender: Sender, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    sender.post(cookie="session=abc", x_gitlab_event="Push Hook")
    sender.post(secret="wrong-" + SECRET)
    (delivery,) = sender.deliveries()
    kept = json.dumps(delivery.headers).lower()
    assert delivery.headers["x-gitlab-event"] == "Push Hook"
    for word in (SECRET, HEADER[sender.vendor].lower(), "cookie", "authorization"):
        assert word not in kept
    said = caplog.text + "".join(capfd.readouterr())
    assert SECRET not in said


def test_pipeline_variables_are_not_kept(gitlab: Sender) -> None:
    """Section "Pipeline", 6: redact pipeline variables."""
    body = json.loads(fixture_body("gitlab/webhook-pipeline-success.json"))
    body["object_attributes"]["variables"] = [{"key": "NPM_TOKEN", "value": "hunter2"}]
    assert gitlab.post(json.dumps(body).encode()).status_code == 202
    assert b"hunter2" not in bytes(gitlab.deliveries()[0].body)


def test_unknown_ids_wrong_vendors_and_other_paths_are_404(gitlab: Sender) -> None:
    other = f"{gitlab.served.url}/webhooks/harbor/{gitlab.source.pk}"
    paths = [
        str(uuid.uuid4()),
        "-" * 36,
        "0" * 36,
        f"{gitlab.source.pk}/more",
        "",
        str(gitlab.source.pk).upper(),
    ]
    urls = [f"{gitlab.served.url}/webhooks/gitlab/{path}" for path in paths]
    known = set(gitlab.served.writer._sources)
    for url in [*urls, other, f"{gitlab.served.url}/webhooks/"]:
        assert post(url, b"{}", {"X-Gitlab-Token": SECRET}).status_code == 404
    assert gitlab.served.writer._sources.keys() <= known | {str(gitlab.source.pk)}, (
        "guessed ids must not be remembered"
    )


def test_only_post_is_taken(gitlab: Sender) -> None:
    answer = httpx.get(gitlab.url, trust_env=False, verify=False)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_compressed_body_is_415(gitlab: Sender) -> None:
    assert gitlab.post(content_encoding="gzip").status_code == 415


def test_who_guesses_secrets_is_stopped_for_a_while_and_costs_no_query(gitlab: Sender) -> None:
    """Section "Pipeline", 10: rate limit before the body is read."""
    with httpx.Client(trust_env=False, verify=False) as client:
        answers = [
            client.post(gitlab.url, content=b"{}", headers={"X-Gitlab-Token": "no"}) for _ in range(122)
        ]
    assert [answer.status_code for answer in answers] == [401] * 120 + [429] * 2
    assert answers[-1].headers["retry-after"] == "60"
    assert refused(gitlab) == 120


def test_a_source_that_was_removed_is_404_and_its_neighbours_in_the_batch_are_kept(serving: Serve) -> None:
    served = serving()
    gone, stays = (Sender(make_source(Vendor.HARBOR), served) for _ in range(2))
    assert gone.post(b"{}").status_code == 202
    url = gone.url
    gone.source.deliveries.all().delete()
    WebhookSource.objects.filter(pk=gone.source.pk).delete()
    # The receiver still remembers the source; only the database knows better.
    answer = post(url, b"[]", {"Authorization": SECRET})
    assert answer.status_code == 404
    assert stays.post().status_code == 202
