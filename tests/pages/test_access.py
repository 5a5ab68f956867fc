"""Ways to the sign-in and back. Who may reach what is in tests/access."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests import cast
from tests.pages.conftest import SignIn


def address(name: str, catalogue: cast.Catalogue, people: cast.People) -> str:
    return reverse(name, args=[cast.make_promotion(catalogue, people.requester).pk])


def test_an_anonymous_post_goes_to_the_sign_in_and_not_back(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    response = Client().post(address("promotion-approve", catalogue, people))
    assert response["Location"] == "/sign-in/?next=%2F"


def test_a_part_of_a_page_sends_the_whole_page_to_the_sign_in(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    url = address("promotion-actions", catalogue, people)
    here = {"HX-Request": "true", "HX-Current-URL": "http://testserver/promotions/1/"}
    response = Client().get(url, headers=here)
    assert response["HX-Redirect"] == "/sign-in/?next=%2Fpromotions%2F1%2F"


def test_an_id_of_another_application_is_not_reached_through_ones_own(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    other = cast.make_run(catalogue, application=None)
    own = cast.make_run(catalogue)
    log = other.task_runs.get(task="build").logs.get()
    client = sign_in(people.viewer)
    assert client.get(reverse("run", args=[other.pk])).status_code == 404
    assert client.get(reverse("run-log", args=[own.pk, log.pk])).status_code == 404


def test_signing_in_leads_back_to_where_one_wanted(people: cast.People) -> None:
    said = {"username": "requester", "password": cast.PASSWORD, "next": "/promotions/"}
    assert Client().post("/sign-in/", said)["Location"] == "/promotions/"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_signing_in_never_leads_to_another_site(people: cast.People, elsewhere: str) -> None:
    said = {"username": "requester", "password": cast.PASSWORD, "next": elsewhere}
    assert Client().post("/sign-in/", said)["Location"] == "/"


def test_a_wrong_password_is_answered_with_a_sentence(people: cast.People) -> None:
    response = Client().post("/sign-in/", {"username": "requester", "password": "wrong"})
    assert response.status_code == 200
    assert 'role="alert"' in response.content.decode()


def test_signing_out_ends_the_session(people: cast.People, sign_in: SignIn) -> None:
    client = sign_in(people.requester)
    assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert client.get("/").status_code == 302


def test_posts_need_the_csrf_token(catalogue: cast.Catalogue, people: cast.People) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.approver)
    url = address("promotion-approve", catalogue, people)
    response = client.post(url, {"seen_hash": cast.HASH})
    assert response.status_code == 403
    assert "This form is too old" in response.content.decode()
