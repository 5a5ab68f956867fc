"""Every POST: allowed, forbidden, stale, wrong method; and the words of each refusal."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.test import APIClient

from promotions.choices import PromotionStatus
from promotions.models import AuditEntry, Promotion
from tests.api.conftest import ClientOf
from tests.cast import HASH, Catalogue, People, make_catalogue, make_delivery, make_promotion
from tests.integrations.loopback import Answer, Loopback

Status = PromotionStatus


def wish(catalogue: Catalogue, **fields: object) -> dict[str, object]:
    return {
        "stage": catalogue.production.pk,
        "version": catalogue.newer.pk,
        "reason": "It is time.",
        **fields,
    }


def post(client: APIClient, promotion: Promotion, act: str, **body: object) -> Any:
    return client.post(f"/api/promotions/{promotion.pk}/{act}/", body, format="json")


def ended(catalogue: Catalogue, people: People, status: PromotionStatus) -> Promotion:
    return make_promotion(catalogue, people.requester, status=status, finished_at=timezone.now())


# Asking for a promotion


def test_a_developer_asks_for_a_promotion(
    catalogue: Catalogue, people: People, client_of: ClientOf, gitlab: Loopback
) -> None:
    client = client_of(people.requester)
    answer = client.post("/api/promotions/", wish(catalogue), format="json")
    assert answer.status_code == 201, answer.json()
    made = answer.json()
    assert (made["status"], made["requested_by"], made["reason"]) == ("requested", "Rin Sato", "It is time.")
    assert answer.headers["Location"].endswith(f"/api/promotions/{made['id']}/")
    assert client.post("/api/promotions/", wish(catalogue), format="json").json()["id"] == made["id"]
    assert Promotion.objects.count() == 1


def test_a_viewer_may_not_ask_and_is_told_who_can_change_that(
    catalogue: Catalogue, people: People, client_of: ClientOf, gitlab: Loopback
) -> None:
    answer = client_of(people.viewer).post("/api/promotions/", wish(catalogue), format="json")
    assert answer.status_code == 409
    assert answer.json() == {
        "refusals": [
            {
                "gate": "role",
                "message": "Vic Lund is not a developer of flask-k8s-example / Production.",
                "who_can_fix_it": "an administrator",
                "waits": False,
                "until": None,
            }
        ]
    }


def test_asking_for_another_change_than_the_one_seen_is_stale(
    catalogue: Catalogue, people: People, client_of: ClientOf, gitlab: Loopback
) -> None:
    body = wish(catalogue, change_hash="0" * 64)
    answer = client_of(people.requester).post("/api/promotions/", body, format="json")
    assert answer.status_code == 409
    assert answer.json()["stale"] is True
    assert answer.json()["detail"] == "The manifests changed since you saw this change. Look at it again."
    assert not Promotion.objects.exists()


def test_a_gitlab_that_fails_is_a_refusal_with_its_own_words(
    catalogue: Catalogue, people: People, client_of: ClientOf, gitlab: Loopback
) -> None:
    gitlab.on("GET", ".*/branches/main", Answer({"message": "401 Unauthorized"}, status=401))
    answer = client_of(people.requester).post("/api/promotions/", wish(catalogue), format="json")
    assert answer.status_code == 409
    (refusal,) = answer.json()["refusals"]
    assert refusal["gate"] == "change"
    assert "GitLab" in refusal["message"]


@pytest.mark.parametrize(
    ("change", "name", "told"),
    [
        ({"resaon": "x"}, "resaon", 'Unknown key. Did you mean "reason"?'),
        ({"reason": ""}, "reason", "This field may not be blank."),
        ({"stage": "prod"}, "stage", "A valid integer is required."),
    ],
)
def test_a_wrong_body_is_told_by_key(
    catalogue: Catalogue, people: People, client_of: ClientOf, change: dict[str, object], name: str, told: str
) -> None:
    answer = client_of(people.requester).post("/api/promotions/", wish(catalogue, **change), format="json")
    assert answer.status_code == 400
    assert answer.json()[name] == [told]


def test_a_stage_one_may_not_see_does_not_exist(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    answer = client_of(people.outsider).post("/api/promotions/", wish(catalogue), format="json")
    assert answer.status_code == 404


# Deciding


def test_an_approver_approves_exactly_the_change_seen(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    promotion = make_promotion(catalogue, people.requester)
    answer = post(client_of(people.approver), promotion, "approve", change_hash=HASH, comment="Fine.")
    assert answer.status_code == 200
    assert answer.json()["status"] == "approved"
    assert answer.json()["approvals"][0]["comment"] == "Fine."


def test_an_approver_rejects_with_a_reason(catalogue: Catalogue, people: People, client_of: ClientOf) -> None:
    promotion = make_promotion(catalogue, people.requester)
    answer = post(client_of(people.approver), promotion, "reject", change_hash=HASH, comment="Not on Friday.")
    assert answer.status_code == 200
    assert answer.json()["message"] == "Ada Weber rejected it: Not on Friday."


@pytest.mark.parametrize("act", ["approve", "reject"])
def test_a_decision_about_another_change_is_stale(
    catalogue: Catalogue, people: People, client_of: ClientOf, act: str
) -> None:
    promotion = make_promotion(catalogue, people.requester)
    answer = post(client_of(people.approver), promotion, act, change_hash="0" * 64, comment="x")
    assert (answer.status_code, answer.json()["stale"]) == (409, True)
    assert not promotion.approvals.exists()


@pytest.mark.parametrize("act", ["approve", "reject"])
def test_a_decision_about_what_has_ended_is_stale(
    catalogue: Catalogue, people: People, client_of: ClientOf, act: str
) -> None:
    promotion = ended(catalogue, people, Status.SUPERSEDED)
    answer = post(client_of(people.approver), promotion, act, change_hash=HASH, comment="x")
    assert (answer.status_code, answer.json()["stale"]) == (409, True)
    assert "is not waiting for approval: it is superseded." in answer.json()["detail"]


@pytest.mark.parametrize("act", ["approve", "reject"])
def test_a_developer_may_not_decide(
    catalogue: Catalogue, people: People, client_of: ClientOf, act: str
) -> None:
    promotion = make_promotion(catalogue, people.approver)
    answer = post(client_of(people.requester), promotion, act, change_hash=HASH, comment="x")
    assert answer.status_code == 409
    assert [refusal["gate"] for refusal in answer.json()["refusals"]] == ["role"]


def test_who_asked_may_not_approve(catalogue: Catalogue, people: People, client_of: ClientOf) -> None:
    promotion = make_promotion(catalogue, people.approver)
    answer = post(client_of(people.approver), promotion, "approve", change_hash=HASH)
    assert answer.status_code == 409
    assert answer.json()["refusals"][0]["gate"] == "four-eyes"


def test_a_decision_needs_the_hash_of_the_change(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    promotion = make_promotion(catalogue, people.requester)
    answer = post(client_of(people.approver), promotion, "approve")
    assert (answer.status_code, answer.json()) == (400, {"change_hash": ["This field is required."]})


# Stopping, trying again, rolling back


def test_a_developer_aborts(catalogue: Catalogue, people: People, client_of: ClientOf) -> None:
    promotion = make_promotion(catalogue, people.requester)
    answer = post(client_of(people.requester), promotion, "abort", reason="Wrong version.")
    assert answer.json()["status"] == "aborted"
    assert AuditEntry.objects.filter(promotion=promotion, action="promotion.aborted").exists()


def test_aborting_what_has_ended_is_stale(catalogue: Catalogue, people: People, client_of: ClientOf) -> None:
    promotion = ended(catalogue, people, Status.SUCCEEDED)
    answer = post(client_of(people.requester), promotion, "abort", reason="x")
    assert answer.json() == {"detail": f"Promotion #{promotion.pk} has already ended.", "stale": True}


def test_a_developer_tries_again(catalogue: Catalogue, people: People, client_of: ClientOf) -> None:
    promotion = ended(catalogue, people, Status.FAILED)
    Promotion.objects.filter(pk=promotion.pk).update(step="arrive")
    promotion.approvals.create(
        person=people.approver, person_name="Ada Weber", decision="approved", change_hash=HASH
    )
    answer = post(client_of(people.requester), promotion, "retry")
    assert answer.status_code == 200, answer.json()
    assert (answer.json()["status"], answer.json()["attempt"]) == ("running", 2)


def test_trying_again_what_succeeded_is_stale(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    promotion = ended(catalogue, people, Status.SUCCEEDED)
    answer = post(client_of(people.requester), promotion, "retry")
    assert answer.json()["detail"].endswith("can't be tried again: it is succeeded.")


def test_a_developer_rolls_back(
    catalogue: Catalogue, people: People, client_of: ClientOf, gitlab: Loopback
) -> None:
    promotion = make_promotion(
        catalogue,
        people.requester,
        status=Status.FAILED,
        finished_at=timezone.now(),
        version=catalogue.old,
        from_version=catalogue.newer,
    )
    answer = post(client_of(people.requester), promotion, "roll-back", reason="It is broken.")
    assert answer.status_code == 201, answer.json()
    made = answer.json()
    assert (made["kind"], made["rollback_of"], made["version"]["tag"]) == ("rollback", promotion.pk, "1.1.0")


def test_rolling_back_to_another_change_than_the_one_seen_is_stale(
    catalogue: Catalogue, people: People, client_of: ClientOf, gitlab: Loopback
) -> None:
    promotion = make_promotion(
        catalogue,
        people.requester,
        status=Status.FAILED,
        finished_at=timezone.now(),
        from_version=catalogue.newer,
    )
    answer = post(
        client_of(people.requester), promotion, "roll-back", reason="It is broken.", change_hash="0" * 64
    )
    assert (answer.status_code, answer.json()["stale"]) == (409, True)


def test_nothing_to_roll_back_to_is_a_refusal(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    promotion = make_promotion(
        catalogue, people.requester, status=Status.FAILED, finished_at=timezone.now(), from_version=None
    )
    answer = post(client_of(people.requester), promotion, "roll-back", reason="x")
    assert (answer.status_code, answer.json()["refusals"][0]["gate"]) == (409, "rollback")


ACTS: dict[str, dict[str, object]] = {
    "approve": {"change_hash": HASH},
    "reject": {"change_hash": HASH, "comment": "x"},
    "abort": {"reason": "x"},
    "retry": {},
    "roll-back": {"reason": "x"},
}


@pytest.mark.parametrize("act", ACTS)
def test_a_viewer_may_do_nothing(
    catalogue: Catalogue, people: People, client_of: ClientOf, gitlab: Loopback, act: str
) -> None:
    promotion = ended(catalogue, people, Status.FAILED)
    answer = post(client_of(people.viewer), promotion, act, **ACTS[act])
    assert answer.status_code == 409
    assert "role" in {refusal["gate"] for refusal in answer.json()["refusals"]}
    promotion.refresh_from_db()
    assert promotion.status == Status.FAILED
    assert Promotion.objects.count() == 1


@pytest.mark.parametrize("act", ACTS)
def test_for_an_outsider_there_is_nothing_to_act_on(
    catalogue: Catalogue, people: People, client_of: ClientOf, act: str
) -> None:
    promotion = ended(catalogue, people, Status.FAILED)
    assert post(client_of(people.outsider), promotion, act, **ACTS[act]).status_code == 404


@pytest.mark.parametrize("act", ACTS)
def test_an_act_is_a_post_and_takes_no_unknown_key(
    catalogue: Catalogue, people: People, client_of: ClientOf, act: str
) -> None:
    promotion = make_promotion(catalogue, people.requester)
    client = client_of(people.admin)
    path = f"/api/promotions/{promotion.pk}/{act}/"
    assert client.get(path).status_code == 405
    assert client.put(path, ACTS[act], format="json").status_code == 405
    answer = post(client, promotion, act, **ACTS[act], froce=True)
    assert (answer.status_code, list(answer.json())) == (400, ["froce"])


# Deliveries


def test_an_administrator_of_the_site_replays_a_delivery(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    delivery = make_delivery(catalogue)
    client = client_of(people.admin)
    answer = client.post(f"/api/deliveries/{delivery.pk}/replay/")
    assert (answer.status_code, answer.json()["outcome"]) == (200, "pending")
    assert AuditEntry.objects.filter(action="delivery.replayed").exists()
    again = client.post(f"/api/deliveries/{delivery.pk}/replay/")
    assert (again.status_code, again.json()["stale"]) == (409, True)


def test_only_an_administrator_of_the_site_replays(
    catalogue: Catalogue, people: People, client_of: ClientOf, machinist: User
) -> None:
    delivery = make_delivery(catalogue)
    for user in (machinist, people.approver):
        assert client_of(user).post(f"/api/deliveries/{delivery.pk}/replay/").status_code == 403
    assert client_of(people.admin).get(f"/api/deliveries/{delivery.pk}/replay/").status_code == 405


def test_the_catalogue_has_no_second_way_in(people: People, client_of: ClientOf) -> None:
    catalogue = make_catalogue(people)
    client = client_of(people.admin)
    for path in ("applications/", "environments/", "stages/", "versions/", "runs/", "upstreams/"):
        assert client.post(f"/api/{path}", {}, format="json").status_code == 405
    one = f"/api/applications/{catalogue.application.slug}/"
    assert client.delete(one).status_code == client.patch(one, {}, format="json").status_code == 405
