"""Rolling back, breaking the glass and its reviews in the API."""

from __future__ import annotations

from django.utils import timezone

from promotions.choices import PromotionStatus
from promotions.models import Environment, Promotion
from tests.api.conftest import ClientOf
from tests.cast import HASH, Catalogue, People, make_promotion
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


def breaking(**more: object) -> dict[str, object]:
    said = {"gates": ["approvals"], "reason": "Orders are lost", "confirm": "flask-k8s-example / Production"}
    return {**said, **more}


def test_the_glass_is_broken_for_a_promotion_and_reviewed_by_somebody_else(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    promotion = make_promotion(catalogue, people.requester)
    path = f"/api/promotions/{promotion.pk}/break-glass/"
    said = breaking(change_hash=HASH)
    refused = client_of(people.approver).post(path, said, format="json")
    assert (refused.status_code, refused.json()["refusals"][0]["gate"]) == (409, "role")
    client = client_of(people.admin)
    unknown = client.post(path, {**said, "gates": ["role"]}, format="json")
    assert unknown.status_code == 400
    wrong = client.post(path, {**said, "confirm": "Production"}, format="json")
    assert (wrong.status_code, wrong.json()["refusals"][0]["gate"]) == (409, "confirmation")
    answer = client.post(path, said, format="json")
    assert answer.status_code == 200, answer.json()
    (glass,) = answer.json()["broken_glass"]
    assert (answer.json()["status"], glass["person"], glass["gates"]) == (
        "approved",
        "Mar Costa",
        ["approvals"],
    )
    review = f"/api/reviews/{glass['review']}/"
    assert client.get("/api/reviews/").json()["results"][0]["closed_at"] is None
    assert client_of(people.outsider).get(review).status_code == 404
    assert client.post(f"{review}close/", {"comment": "Fine"}, format="json").status_code == 409
    closed = client_of(people.approver).post(f"{review}close/", {"comment": "Fine"}, format="json")
    assert (closed.json()["closed_by"], closed.json()["comment"]) == ("Ada Weber", "Fine")


def test_a_promotion_is_asked_for_through_the_glass(
    catalogue: Catalogue, people: People, client_of: ClientOf, gitlab: Loopback
) -> None:
    Environment.objects.filter(slug="production").update(policy={"requires": ["dev"]})
    path = f"/api/stages/{catalogue.production.pk}/break-glass/"
    client = client_of(people.admin)
    refused = client.post(path, breaking(version=catalogue.newer.pk), format="json")
    assert [refusal["gate"] for refusal in refused.json()["refusals"]] == ["order"]
    said = breaking(version=catalogue.newer.pk, gates=["order", "approvals"])
    answer = client.post(path, said, format="json")
    assert (answer.status_code, answer.json()["status"]) == (201, "approved")
    assert answer.json()["broken_glass"][0]["gates"] == ["approvals", "order"]


def test_a_token_that_may_not_approve_may_not_break_the_glass(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    promotion = make_promotion(catalogue, people.requester)
    client = client_of(people.admin)
    people.admin.api_tokens.update(scopes=["read", "promote"])
    for path in (
        f"/api/promotions/{promotion.pk}/break-glass/",
        f"/api/stages/{catalogue.production.pk}/break-glass/",
    ):
        assert client.post(path, breaking(), format="json").status_code == 403
