"""Asking for a promotion and a roll-back."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from promotions.choices import PromotionKind, PromotionStatus
from promotions.models import Promotion
from tests import cast
from tests.pages.conftest import SignIn


def url(catalogue: cast.Catalogue) -> str:
    slug = catalogue.application.slug
    return reverse("promote", args=[slug, "production", catalogue.newer.pk])


def seen(client: Client, address: str) -> str:
    page = client.get(address).content.decode()
    found = re.search(r'name="seen_hash" value="([0-9a-f]{64})"', page)
    assert found, page
    return found[1]


def test_the_exact_change_is_shown_before_anything_is_asked_for(
    reachable: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    page = sign_in(people.requester).get(url(reachable)).content.decode()
    assert "overlays/prod/deployment.yml" in page
    assert '<mark class="changed">1.0.0</mark>' in page
    assert '<mark class="changed">1.1.0</mark>' in page
    assert not Promotion.objects.exists()


def test_a_developer_asks_for_a_promotion(
    reachable: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    client = sign_in(people.requester)
    said = {"reason": "The sale starts.", "seen_hash": seen(client, url(reachable))}
    response = client.post(url(reachable), said)
    promotion = Promotion.objects.get()
    assert response["Location"] == promotion.get_absolute_url()
    assert (promotion.reason, promotion.requested_by) == ("The sale starts.", people.requester)
    assert promotion.change_hash == said["seen_hash"]


def test_a_change_that_differs_from_the_seen_one_is_shown_anew(
    reachable: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    client = sign_in(people.requester)
    response = client.post(url(reachable), {"reason": "My long reason", "seen_hash": "e" * 64})
    assert response.status_code == 409
    page = response.content.decode()
    assert "The manifests changed since you saw this change." in page
    assert "My long reason" in page
    assert f'value="{seen(client, url(reachable))}"' in page
    assert not Promotion.objects.exists()


def test_a_viewer_reads_why_not_and_can_not_ask(
    reachable: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    client = sign_in(people.viewer)
    page = client.get(url(reachable)).content.decode()
    assert "Vic Lund is not a developer of" in page
    assert re.search(r'<button class="button button-main" disabled aria-describedby="why-not">', page)
    said = {"reason": "please", "seen_hash": seen(client, url(reachable))}
    assert client.post(url(reachable), said).status_code == 409
    assert not Promotion.objects.exists()


def test_an_unreachable_gitlab_is_a_reason_and_not_an_error(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    response = sign_in(people.requester).get(url(catalogue))
    assert response.status_code == 200
    assert "GitLab is unavailable" in response.content.decode()


def test_a_reason_is_asked_for(reachable: cast.Catalogue, people: cast.People, sign_in: SignIn) -> None:
    client = sign_in(people.requester)
    said = {"reason": "", "seen_hash": seen(client, url(reachable))}
    assert client.post(url(reachable), said).status_code == 422


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_other_methods_are_not_taken(
    method: str, catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    assert getattr(sign_in(people.requester), method)(url(catalogue)).status_code == 405


def test_an_outsider_finds_nothing(catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn) -> None:
    assert sign_in(people.outsider).post(url(catalogue)).status_code == 404


def test_a_version_of_another_application_is_not_found(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    address = reverse("promote", args=[catalogue.application.slug, "production", 10**9])
    assert sign_in(people.requester).get(address).status_code == 404


def test_rolling_back_is_a_promotion_of_what_ran_before(
    reachable: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    done = cast.make_promotion(
        reachable,
        people.requester,
        status=PromotionStatus.FAILED,
        finished_at=timezone.now(),
        version=reachable.old,
        from_version=reachable.newer,
        target_commit="b" * 40,
    )
    address = reverse("promotion-roll-back", args=[done.pk])
    client = sign_in(people.requester)
    said = {"reason": "It does not start.", "seen_hash": seen(client, address)}
    client.post(address, said)
    made = Promotion.objects.exclude(pk=done.pk).get()
    assert (made.kind, made.rollback_of, made.version) == (PromotionKind.ROLLBACK, done, reachable.newer)
    page = client.get(made.get_absolute_url()).content.decode()
    assert "Roll flask-k8s-example back to 1.1.0" in page
