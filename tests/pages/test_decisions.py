"""Approve, reject, abort and retry: allowed, forbidden, stale, wrong method."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from promotions.choices import Decision, PromotionStatus
from promotions.models import Approval, Promotion
from tests import cast
from tests.pages.conftest import SignIn

ACTS = ("approve", "reject", "abort", "retry")


@pytest.fixture
def promotion(catalogue: cast.Catalogue, people: cast.People) -> Promotion:
    return cast.make_promotion(catalogue, people.requester)


def url(promotion: Promotion, act: str) -> str:
    return reverse(f"promotion-{act}", args=[promotion.pk])


def end(promotion: Promotion, status: PromotionStatus) -> None:
    Promotion.objects.filter(pk=promotion.pk).update(status=status, finished_at=timezone.now(), step="write")


def test_the_question_shows_the_exact_change_and_carries_its_hash(
    promotion: Promotion, people: cast.People, sign_in: SignIn
) -> None:
    page = sign_in(people.approver).get(url(promotion, "approve")).content.decode()
    assert '<mark class="changed">1.1.0</mark>' in page
    assert f'name="seen_hash" value="{cast.HASH}"' in page


def test_an_approver_approves(promotion: Promotion, people: cast.People, sign_in: SignIn) -> None:
    said = {"seen_hash": cast.HASH, "comment": "Good to go."}
    response = sign_in(people.approver).post(url(promotion, "approve"), said)
    assert response["Location"] == promotion.get_absolute_url()
    promotion.refresh_from_db()
    assert promotion.status == PromotionStatus.APPROVED
    approval = promotion.approvals.get()
    assert (approval.person, approval.comment) == (people.approver, "Good to go.")


def test_the_requester_may_not_approve_and_reads_who_may(
    promotion: Promotion, people: cast.People, sign_in: SignIn
) -> None:
    people.requester.role_grants.update(role="approver")
    response = sign_in(people.requester).post(url(promotion, "approve"), {"seen_hash": cast.HASH})
    assert response.status_code == 409
    page = response.content.decode()
    assert "Who requests a promotion can&#x27;t approve it." in page
    assert "Ada Weber" in page
    promotion.refresh_from_db()
    assert promotion.status == PromotionStatus.REQUESTED


def test_a_change_that_is_not_the_seen_one_is_not_approved(
    promotion: Promotion, people: cast.People, sign_in: SignIn
) -> None:
    response = sign_in(people.approver).post(url(promotion, "approve"), {"seen_hash": "e" * 64})
    assert response.status_code == 409
    assert "The change is no longer the one you saw." in response.content.decode()
    assert not promotion.approvals.exists()


@pytest.mark.parametrize("act", ["approve", "reject", "abort", "retry"])
def test_a_viewer_is_refused(act: str, promotion: Promotion, people: cast.People, sign_in: SignIn) -> None:
    if act == "retry":
        end(promotion, PromotionStatus.FAILED)
    before = Promotion.objects.get(pk=promotion.pk).status
    said = {"seen_hash": cast.HASH, "comment": "no", "reason": "no"}
    response = sign_in(people.viewer).post(url(promotion, act), said)
    assert response.status_code == 409
    assert "Vic Lund is not" in response.content.decode()
    assert Promotion.objects.get(pk=promotion.pk).status == before


@pytest.mark.parametrize("act", ACTS)
def test_an_outsider_finds_nothing(
    act: str, promotion: Promotion, people: cast.People, sign_in: SignIn
) -> None:
    assert sign_in(people.outsider).post(url(promotion, act)).status_code == 404


@pytest.mark.parametrize("act", ACTS)
def test_other_methods_are_not_taken(
    act: str, promotion: Promotion, people: cast.People, sign_in: SignIn
) -> None:
    client = sign_in(people.admin)
    assert client.put(url(promotion, act)).status_code == 405
    assert client.delete(url(promotion, act)).status_code == 405
    assert client.get(url(promotion, act)).status_code == (405 if act == "retry" else 200)


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        ("approve", "is not waiting for approval"),
        ("reject", "is not waiting for approval"),
        ("abort", "has already ended"),
        ("retry", "can&#x27;t be tried again"),
    ],
)
def test_what_has_ended_meanwhile_is_shown_as_it_is_now(
    act: str, sentence: str, promotion: Promotion, people: cast.People, sign_in: SignIn
) -> None:
    end(promotion, PromotionStatus.SUPERSEDED)
    said = {"seen_hash": cast.HASH, "comment": "why", "reason": "why"}
    response = sign_in(people.admin).post(url(promotion, act), said)
    assert response.status_code == 409
    page = response.content.decode()
    assert sentence in page
    assert "superseded" in page


@pytest.mark.parametrize(("act", "field"), [("reject", "comment"), ("abort", "reason")])
def test_a_reason_is_asked_for(
    act: str, field: str, promotion: Promotion, people: cast.People, sign_in: SignIn
) -> None:
    response = sign_in(people.admin).post(url(promotion, act), {"seen_hash": cast.HASH, field: " "})
    assert response.status_code == 422
    assert 'aria-invalid="true"' in response.content.decode()
    promotion.refresh_from_db()
    assert promotion.status == PromotionStatus.REQUESTED


def test_a_rejection_says_why(promotion: Promotion, people: cast.People, sign_in: SignIn) -> None:
    said = {"seen_hash": cast.HASH, "comment": "Not on a Friday."}
    client = sign_in(people.approver)
    client.post(url(promotion, "reject"), said)
    page = client.get(promotion.get_absolute_url()).content.decode()
    assert "Ada Weber rejected it: Not on a Friday." in page


def test_the_requester_aborts(promotion: Promotion, people: cast.People, sign_in: SignIn) -> None:
    sign_in(people.requester).post(url(promotion, "abort"), {"reason": "Wrong version."})
    promotion.refresh_from_db()
    assert promotion.status == PromotionStatus.ABORTED


def test_a_failed_promotion_is_tried_again(
    promotion: Promotion, people: cast.People, sign_in: SignIn
) -> None:
    Approval.objects.create(
        promotion=promotion,
        person=people.approver,
        person_name="Ada Weber",
        decision=Decision.APPROVED,
        change_hash=cast.HASH,
    )
    end(promotion, PromotionStatus.FAILED)
    response = sign_in(people.requester).post(url(promotion, "retry"))
    assert response["Location"] == promotion.get_absolute_url()
    promotion.refresh_from_db()
    assert (promotion.status, promotion.attempt) == (PromotionStatus.RUNNING, 2)


def actions(client: Client, promotion: Promotion) -> str:
    return client.get(reverse("promotion-actions", args=[promotion.pk])).content.decode()


def test_buttons_depend_on_who_looks(promotion: Promotion, people: cast.People, sign_in: SignIn) -> None:
    approve = f'href="{url(promotion, "approve")}"'
    assert approve in actions(sign_in(people.approver), promotion)
    refused = actions(sign_in(people.requester), promotion)
    assert approve not in refused
    assert "disabled" in refused
    assert "Rin Sato is not an approver" in refused


def test_buttons_that_are_refused_for_the_same_reasons_tell_them_once(
    promotion: Promotion, people: cast.People, sign_in: SignIn
) -> None:
    part = actions(sign_in(people.viewer), promotion)
    for text in ("Approve …", "Reject …"):
        assert f'disabled aria-describedby="reject-why">{text}</button>' in part
    assert 'disabled aria-describedby="abort-why">Abort …</button>' in part
    assert part.count('id="reject-why"') == part.count('id="abort-why"') == 1
    assert 'id="approve-why"' not in part
    assert part.count("is not an approver") == 1


def test_the_buttons_of_an_ended_promotion_offer_the_roll_back(
    promotion: Promotion, people: cast.People, sign_in: SignIn
) -> None:
    end(promotion, PromotionStatus.SUCCEEDED)
    Promotion.objects.filter(pk=promotion.pk).update(target_commit="b" * 40)
    shown = actions(sign_in(people.requester), promotion)
    assert "Roll back to 1.0.0" in shown
    assert "Abort" not in shown
