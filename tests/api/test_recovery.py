"""Rolling back, breaking the glass and its reviews in the API."""

from __future__ import annotations

from django.utils import timezone

from promotions.choices import PromotionStatus
from promotions.models import Promotion
from tests.api.conftest import ClientOf
from tests.cast import Catalogue, People, make_promotion
from tests.integrations.loopback import Loopback


def brought(catalogue: Catalogue, people: People) -> Promotion:
    """1.1.0 was promoted to production, and 1.0.0 over it."""
    done = {"status": PromotionStatus.SUCCEEDED, "target_commit": "f" * 40}
    now = timezone.now()
    first = make_promotion(catalogue, people.requester, **done, finished_at=now, written_at=now)
    versions = {"version": catalogue.old, "from_version": catalogue.newer}
    make_promotion(catalogue, people.requester, **done, **versions, finished_at=now, written_at=now)
    return first


def test_a_stage_s_past_versions_are_listed(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    first = brought(catalogue, people)
    path = f"/api/stages/{catalogue.production.pk}/history/"
    past = client_of(people.viewer).get(path).json()
    assert [(each["version"]["label"], each["is_here"]) for each in past] == [
        ("1.0.0", True),
        ("1.1.0", False),
    ]
    assert (past[1]["promotion"], past[1]["brought_by"]) == (first.pk, "Rin Sato")
    assert client_of(people.outsider).get(path).status_code == 404


def test_a_roll_back_is_looked_at_and_asked_for(
    catalogue: Catalogue, people: People, client_of: ClientOf, gitlab: Loopback
) -> None:
    brought(catalogue, people)
    path = f"/api/stages/{catalogue.production.pk}/roll-back/"
    client = client_of(people.requester)
    seen = client.get(path, {"version": catalogue.newer.pk}).json()
    assert seen["refusals"] == []
    assert seen["approvals_needed"] == 1
    assert [each["version"]["label"] for each in seen["reverting"]["promotions"]] == ["1.0.0"]
    said = {"version": catalogue.newer.pk, "reason": "It loses orders", "change_hash": seen["change"]["hash"]}
    refused = client_of(people.viewer).post(path, said, format="json")
    assert refused.status_code == 409
    answer = client.post(path, said, format="json")
    assert answer.status_code == 201, answer.json()
    assert (answer.json()["kind"], answer.json()["status"]) == ("rollback", "requested")
    assert answer["Location"].endswith(f"/api/promotions/{answer.json()['id']}/")
    stale = client.post(path, {**said, "change_hash": "0" * 64}, format="json")
    assert stale.status_code == 201, "the same request again gets the same promotion"
    assert stale.json()["id"] == answer.json()["id"]


def test_a_version_that_never_ran_there_is_refused(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    path = f"/api/stages/{catalogue.production.pk}/roll-back/"
    client = client_of(people.requester)
    for answer in (
        client.get(path, {"version": catalogue.newer.pk}),
        client.post(path, {"version": catalogue.newer.pk, "reason": "x"}, format="json"),
    ):
        assert answer.status_code == 409
        assert answer.json()["refusals"][0]["gate"] == "rollback"
