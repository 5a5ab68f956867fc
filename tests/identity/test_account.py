"""One's own tokens and sessions; services; too many attempts."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from promotions.choices import Role
from promotions.identity import throttle
from promotions.models import ApiToken, AuditEntry, RoleGrant, Session, SignInAttempt
from promotions.present.access import stage_access
from promotions.tokens import find_token, issue_token, service_account
from tests import cast

FORM = {"name": "nightly", "scopes": ["read", "promote"], "days": "30"}


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def shown_token(response: Any) -> str:
    assert response.status_code == 200, response.content
    assert "no-store" in response.headers["Cache-Control"]
    found = re.search(r'id="token"[^>]*>([^<]+)<', response.content.decode())
    assert found is not None
    return found[1]


def test_a_person_makes_a_token_that_is_shown_once_and_revokes_it(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    client = client_of(people.requester)
    text = shown_token(client.post("/account/tokens/", {**FORM, "applications": ["flask-k8s-example"]}))
    token = find_token(text)
    assert token is not None
    assert (token.user, token.scopes) == (people.requester, ["read", "promote"])
    assert token.applications == ["flask-k8s-example"]
    assert token.expires_at is not None
    assert timedelta(days=29) < token.expires_at - timezone.now() <= timedelta(days=30)
    page = client.get("/account/").content.decode()
    assert "nightly" in page
    assert text not in page
    client.post(f"/account/tokens/{token.pk}/revoke/")
    assert find_token(text) is None
    assert client.post(f"/account/tokens/{token.pk}/revoke/").status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"scopes": []},
        {"scopes": ["everything"]},
        {"days": "9999"},
        {"name": ""},
        {"applications": ["hidden"]},
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(
    catalogue: cast.Catalogue, people: cast.People, wrong: dict[str, object]
) -> None:
    assert client_of(people.requester).post("/account/tokens/", {**FORM, **wrong}).status_code == 422
    assert not ApiToken.objects.exists()


def test_another_person_s_token_can_not_be_revoked_from_one_s_own_page(people: cast.People) -> None:
    token, _text = issue_token(people.requester, name="x", by=people.requester)
    assert client_of(people.viewer).post(f"/account/tokens/{token.pk}/revoke/").status_code == 404
    assert client_of(people.admin).post(f"/service-tokens/{token.pk}/revoke/").status_code == 404
    assert ApiToken.objects.exists()


def test_a_service_has_an_account_without_a_password_and_roles_of_its_own(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    client = client_of(people.admin)
    text = shown_token(client.post("/service-tokens/new/", {**FORM, "account": "ci"}))
    token = find_token(text)
    assert token is not None
    assert (token.user.username, token.is_service, token.created_by_name) == ("service-ci", True, "Mar Costa")
    assert not token.user.has_usable_password()
    headers = {"Authorization": f"Bearer {text}"}
    assert Client().get("/api/applications/", headers=headers).json()["count"] == 0
    RoleGrant.objects.create(user=token.user, role=Role.VIEWER)
    assert Client().get("/api/applications/", headers=headers).json()["count"] == 1
    assert "service-ci" in client.get("/service-tokens/").content.decode()
    client.post(f"/service-tokens/{token.pk}/revoke/")
    assert find_token(text) is None


def test_a_service_token_never_speaks_for_a_person(people: cast.People) -> None:
    User.objects.create_user("service-ada", password="a person's own password")
    with pytest.raises(ValueError, match="person"):
        service_account("ada")
    answer = client_of(people.admin).post("/service-tokens/new/", {**FORM, "account": "ada"})
    assert answer.status_code == 422


def test_signing_out_everywhere_ends_every_session_of_that_person_alone(people: cast.People) -> None:
    here, there, other = client_of(people.viewer), client_of(people.viewer), client_of(people.admin)
    assert Session.objects.filter(user_id=people.viewer.pk).count() == 2
    assert here.post("/account/sign-out-everywhere/")["Location"] == "/sign-in/"
    assert [client.get("/").status_code for client in (here, there, other)] == [302, 302, 200]
    assert AuditEntry.objects.get(action="session.ended-everywhere").data["sessions"] == 2


def sign_in(name: str, password: str = "wrong", address: str = "10.0.0.1") -> Any:
    return Client(REMOTE_ADDR=address).post("/sign-in/", {"username": name, "password": password})


def test_too_many_wrong_passwords_are_told_when_to_try_again(people: cast.People) -> None:
    for _ in range(throttle.PER_BOTH):
        assert sign_in("viewer").status_code == 200
    refused = sign_in("VIEWER ", cast.PASSWORD)
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "900"
    assert "Try again in 15 minutes, after" in refused.content.decode()
    assert sign_in("viewer", cast.PASSWORD, "10.0.0.2").status_code == 302, "from elsewhere it goes on"
    assert sign_in("requester", cast.PASSWORD).status_code == 302, "others go on from there"
    (told,) = AuditEntry.objects.filter(action="session.refused")
    assert (told.subject, told.address) == ("sign-in of viewer", "10.0.0.1")


def test_after_the_wait_the_right_password_is_taken_again(people: cast.People) -> None:
    for _ in range(throttle.PER_BOTH + 3):
        sign_in("viewer")
    SignInAttempt.objects.update(at=timezone.now() - throttle.WINDOW)
    assert sign_in("viewer", cast.PASSWORD).status_code == 302
    assert sign_in("viewer", cast.PASSWORD).status_code == 302
    throttle.forget_old()
    assert not SignInAttempt.objects.exists()


def fill(count: int, **fields: str) -> None:
    for number in range(count):
        values = {"account": f"a{number}", "address": f"10.1.0.{number}", **fields}
        SignInAttempt.objects.create(**values)


def test_an_account_tried_from_everywhere_and_an_address_that_tries_everybody_are_slowed(
    people: cast.People,
) -> None:
    fill(throttle.PER_ACCOUNT, account=throttle.account_key("viewer"))
    assert sign_in("viewer", cast.PASSWORD, "10.9.9.9").status_code == 429
    fill(throttle.PER_ADDRESS, address="10.8.8.8")
    assert sign_in("requester", cast.PASSWORD, "10.8.8.8").status_code == 429


def test_a_name_that_nobody_has_is_treated_alike_and_not_kept(people: cast.People) -> None:
    typed = "my secret password in the wrong field"
    for _ in range(throttle.PER_BOTH):
        assert sign_in(typed).status_code == 200
    assert sign_in(typed).status_code == 429
    assert typed not in str(list(SignInAttempt.objects.values()) + list(AuditEntry.objects.values()))


def test_the_page_of_a_stage_says_who_may_do_what_and_because_of_what(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    group = Group.objects.create(name="release managers")
    group.user_set.add(people.viewer)
    RoleGrant.objects.create(group=group, role=Role.APPROVER, environment=catalogue.production.environment)
    rows = {row.username: row for row in stage_access(catalogue.production)}
    assert {name: row.role for name, row in rows.items()} == {
        "admin": "admin",
        "approver": "approver",
        "viewer": "approver",
        "requester": "developer",
    }
    assert rows["admin"].because == ("superuser",)
    assert any("through group release managers" in words for words in rows["viewer"].because)
    assert "approve and reject" in rows["viewer"].may
    assert "approve and reject" not in rows["requester"].may
    url = reverse("stage-access", args=["flask-k8s-example", "production"])
    page = client_of(people.requester).get(url).content.decode()
    assert "through group release managers" in page
    api = client_of(people.requester).get(f"/api/stages/{catalogue.production.pk}/access/").json()
    assert [row["username"] for row in api] == ["admin", "approver", "viewer", "requester"]


def test_a_group_that_is_left_takes_its_role_with_it_at_the_next_request(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    group = Group.objects.create(name="team")
    group.user_set.add(people.outsider)
    RoleGrant.objects.create(group=group, role=Role.VIEWER)
    client = client_of(people.outsider)
    assert client.get("/applications/flask-k8s-example/").status_code == 200
    group.user_set.remove(people.outsider)
    assert client.get("/applications/flask-k8s-example/").status_code == 404
