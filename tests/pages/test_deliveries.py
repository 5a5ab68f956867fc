"""The webhook inbox."""

from __future__ import annotations

from django.urls import reverse

from promotions.choices import DeliveryOutcome, Role
from promotions.models import AuditEntry, Delivery, RoleGrant, WebhookSource
from tests import cast
from tests.pages.conftest import SignIn


def url(delivery: Delivery) -> str:
    return reverse("delivery", args=[delivery.pk])


def test_the_inbox_is_filtered_by_outcome(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    cast.make_delivery(catalogue, summary="went well")
    cast.make_delivery(catalogue, summary="went badly", outcome=DeliveryOutcome.FAILED)
    client = sign_in(people.admin)
    everything = client.get("/deliveries/").content.decode()
    assert "went well" in everything
    assert "went badly" in everything
    failed = client.get("/deliveries/?outcome=failed").content.decode()
    assert "went well" not in failed
    assert "deliveries:all" not in failed


def test_refused_deliveries_are_counted(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    WebhookSource.objects.create(connection=catalogue.gitlab, refused_count=3)
    page = sign_in(people.admin).get("/deliveries/").content.decode()
    assert "3 deliveries to gitlab were refused" in page


def test_a_body_is_shown_indented_and_a_kept_secret_is_not(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    delivery = cast.make_delivery(
        catalogue, b'{"a":{"b":1}}', headers={"X-Gitlab-Token": "hush", "X-Gitlab-Event": "Push Hook"}
    )
    page = sign_in(people.admin).get(url(delivery)).content.decode()
    assert "{\n  &quot;a&quot;: {\n    &quot;b&quot;: 1" in page
    assert "hush" not in page
    assert "Push Hook" in page


def test_a_body_that_is_no_text_is_shown_as_far_as_it_goes(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    delivery = cast.make_delivery(catalogue, b"\xff\xfe<script>alert(1)</script>")
    response = sign_in(people.admin).get(url(delivery))
    assert response.status_code == 200
    assert "<script>alert" not in response.content.decode()


def test_an_admin_has_it_processed_again(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    delivery = cast.make_delivery(catalogue, outcome=DeliveryOutcome.FAILED, message="Oh no")
    response = sign_in(people.admin).post(url(delivery))
    assert response["Location"] == url(delivery)
    delivery.refresh_from_db()
    assert (delivery.outcome, delivery.message, delivery.attempts) == (DeliveryOutcome.PENDING, "", 0)
    assert AuditEntry.objects.get().action == "delivery.replayed"


def test_one_that_waits_already_is_not_replayed(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    delivery = cast.make_delivery(catalogue, outcome=DeliveryOutcome.PENDING)
    response = sign_in(people.admin).post(url(delivery))
    assert response.status_code == 409
    assert "already waiting to be processed" in response.content.decode()


def test_who_may_look_may_not_replay(catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn) -> None:
    RoleGrant.objects.create(user=people.requester, role=Role.DEVELOPER)
    delivery = cast.make_delivery(catalogue)
    client = sign_in(people.requester)
    page = client.get(url(delivery)).content.decode()
    assert "Process it again" not in page
    assert client.post(url(delivery)).status_code == 403
    assert client.put(url(delivery)).status_code == 405
