"""Locks, marks, exceptions, checks and the dry-run in the API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from promotions import checking
from promotions.models import CheckResult, Environment, FreezeWindow, Lock, Promotion
from tests.api.conftest import ClientOf
from tests.cast import HASH, Catalogue, People, make_promotion
from tests.integrations.loopback import Answer, Loopback, loopback


@pytest.fixture
def checks() -> Iterator[Loopback]:
    with loopback() as server:
        yield server


def test_a_lock_is_set_listed_and_lifted(catalogue: Catalogue, people: People, client_of: ClientOf) -> None:
    client = client_of(people.approver)
    place = {"application": "flask-k8s-example", "environment": "production", "reason": "A migration"}
    made = client.post("/api/locks/", place, format="json")
    assert made.status_code == 201, made.json()
    assert made.json() | place == made.json()
    assert made.json()["set_by"] == "Ada Weber"
    again = client.post("/api/locks/", place, format="json")
    assert (again.status_code, again.json()["stale"]) == (409, True)
    everything = client.post("/api/locks/", {"reason": "x"}, format="json")
    assert (everything.status_code, everything.json()["refusals"][0]["gate"]) == (409, "role")
    path = f"/api/locks/{made.json()['id']}/"
    assert client_of(people.outsider).get(path).status_code == 404
    refused = client_of(people.requester).post(f"{path}lift/", {"reason": "x"}, format="json")
    assert refused.status_code == 409
    lifted = client.post(f"{path}lift/", {"reason": "Done"}, format="json")
    assert lifted.json()["lifted_by"] == "Ada Weber"
    assert client.get("/api/locks/").json()["results"][0]["lifted_at"] is not None


def test_places_that_one_may_not_see_are_not_there(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    client = client_of(people.outsider)
    place = {"application": "flask-k8s-example", "reason": "x"}
    assert client.post("/api/locks/", place, format="json").status_code == 404


def test_a_version_is_blocked_and_unblocked(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    client, path = client_of(people.approver), f"/api/versions/{catalogue.newer.pk}/"
    assert client.get(path).json()["blocked"] is None
    said = {"reason": "It loses orders"}
    assert client_of(people.requester).post(f"{path}block/", said, format="json").status_code == 409
    assert client.post(f"{path}block/", said, format="json").status_code == 200
    assert client.get(path).json()["blocked"] == "It loses orders"
    assert client.post(f"{path}unblock/", said, format="json").json()["blocked"] is None


def test_may_it_go_there_now_and_if_not_when(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    path = f"/api/stages/{catalogue.production.pk}/may/{catalogue.newer.pk}/"
    client = client_of(people.requester)
    yes = {"may": True, "refusals": [], "not_before": None, "approvals_needed": 1}
    assert client.get(path).json() == yes
    ends = (timezone.now() + timedelta(hours=1)).replace(microsecond=0)
    FreezeWindow.objects.create(
        slug="x", begins_at="2020-01-01T00:00", ends_at=ends.replace(tzinfo=None).isoformat()
    )
    answer = client.get(path).json()
    assert (answer["may"], [refusal["gate"] for refusal in answer["refusals"]]) == (False, ["freeze"])
    assert answer["not_before"] == ends.isoformat().replace("+00:00", "Z")
    assert client_of(people.outsider).get(path).status_code == 404
    assert client.get(f"/api/stages/{catalogue.production.pk}/may/999999/").status_code == 404


def test_an_exception_from_a_freeze(catalogue: Catalogue, people: People, client_of: ClientOf) -> None:
    promotion = make_promotion(catalogue, people.requester)
    path = f"/api/promotions/{promotion.pk}/freeze-exception/"
    said = {"change_hash": HASH, "reason": "A security hole"}
    assert client_of(people.requester).post(path, said, format="json").status_code == 409
    assert client_of(people.approver).post(path, said, format="json").status_code == 200
    assert promotion.freeze_exception.person == people.approver


def with_checks(*rules: dict[str, str]) -> None:
    empty = {"url": "", "secret": "", "group": ""}
    Environment.objects.filter(slug="production").update(policy={"checks": [{**empty, **r} for r in rules]})


def test_a_test_suite_reports_its_state(catalogue: Catalogue, people: People, client_of: ClientOf) -> None:
    with_checks({"name": "tests"}, {"name": "asked", "url": "https://checks.example.com"})
    promotion = make_promotion(catalogue, people.requester)
    path = f"/api/promotions/{promotion.pk}/checks/"
    client = client_of(people.approver)
    said = {"state": "passed", "message": "40 of 40", "link": "https://ci.example.com/1"}
    answer = client.post(f"{path}tests/", said, format="json")
    assert answer.status_code == 200, answer.json()
    (check,) = answer.json()["checks"]
    assert check | said == check
    assert (check["by"], check["change_hash"]) == ("Ada Weber", HASH)
    assert client.post(f"{path}tests/", {"state": "maybe"}, format="json").status_code == 400
    stale = {**said, "change_hash": "0" * 64}
    assert client.post(f"{path}tests/", stale, format="json").json()["stale"] is True
    for name, who in (("asked", people.approver), ("other", people.approver), ("tests", people.requester)):
        refused = client_of(who).post(f"{path}{name}/", said, format="json")
        assert refused.status_code == 409, name
    assert client_of(people.outsider).post(f"{path}tests/", said, format="json").status_code == 404


def test_a_check_with_an_address_is_asked_until_it_decides(
    catalogue: Catalogue, people: People, checks: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHECKS_SECRET", "whsec_c2VjcmV0")
    with_checks({"name": "tests", "url": f"{checks.url}/ask", "secret": "env:CHECKS_SECRET"})
    checks.on("POST", "/ask", Answer(b"", status=503), Answer({"state": "passed", "message": "40 of 40"}))
    promotion = make_promotion(catalogue, people.requester)
    checking.look_at_waiting()
    result = CheckResult.objects.get()
    assert (result.state, result.by_name) == ("pending", "Slipway")
    assert "could not be asked" in result.message
    checking.look_at_waiting()
    assert len(checks.requests) == 1, "not again at once"
    CheckResult.objects.update(asked_at=timezone.now() - checking.ASK_EVERY)
    checking.look_at_waiting()
    result.refresh_from_db()
    assert (result.state, result.message) == ("passed", "40 of 40")
    asked = json.loads(checks.requests[-1].body)
    assert (asked["digest"], asked["change_hash"]) == (catalogue.newer.digest, HASH)
    CheckResult.objects.update(asked_at=None)
    checking.look_at_waiting()
    assert len(checks.requests) == 2, "it has decided"
    # Another change is another question.
    Promotion.objects.filter(pk=promotion.pk).update(change_hash="d" * 64)
    checking.look_at_waiting()
    assert len(checks.requests) == 3


def test_a_check_without_its_secret_is_not_asked_and_says_so(
    catalogue: Catalogue, people: People, checks: Loopback
) -> None:
    with_checks({"name": "tests", "url": f"{checks.url}/ask", "secret": "env:NOBODY_SET_THIS"})
    make_promotion(catalogue, people.requester)
    checking.look_at_waiting()
    assert checks.requests == []
    assert "NOBODY_SET_THIS" in CheckResult.objects.get().message


def test_a_policy_is_shown_without_addresses_and_secrets(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    with_checks({"name": "tests", "url": "https://inside.example.com", "secret": "env:CHECKS_SECRET"})
    text = client_of(people.viewer).get("/api/environments/production/").content.decode()
    assert '"checks":["tests"]' in text
    assert "inside.example.com" not in text
    assert Lock.objects.count() == 0
