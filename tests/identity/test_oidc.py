"""Signing in through a provider: what is believed of it, and what not (OpenID Connect Core 1.0)."""

from __future__ import annotations

import time
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth.models import Group, User

from promotions.models import AuditEntry, Session
from tests import cast
from tests.identity.conftest import Way, query
from tests.identity.provider import Provider

NOW = int(time.time())


def test_a_first_sign_in_makes_the_person_and_goes_where_they_wanted(way: Way, provider: Provider) -> None:
    answer = way.sign_in("/promotions/")
    assert (answer.status_code, answer["Location"]) == (302, "/promotions/")
    user = User.objects.get(username="ada")
    assert (user.get_full_name(), user.email, user.has_usable_password()) == (
        "Ada Weber",
        "ada@example.com",
        False,
    )
    assert not user.is_staff
    assert not user.is_superuser
    assert way.username == "ada"
    told = {entry.action: entry for entry in AuditEntry.objects.all()}
    assert told["session.started"].address == "10.0.0.9"
    assert told["person.joined"].data["issuer"] == provider.url


def test_the_request_carries_state_nonce_and_pkce_and_our_own_address(way: Way, provider: Provider) -> None:
    asked = query(way.begin())
    assert asked["redirect_uri"] == "http://testserver/sign-in/company/callback/"
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["nonce"]) >= 32
    assert len(asked["state"]) >= 16
    assert set(asked["scope"].split()) == {"openid", "profile", "email"}


def test_the_second_sign_in_finds_the_same_person_even_under_another_name(
    way: Way, provider: Provider
) -> None:
    way.sign_in()
    provider.claims["preferred_username"] = "ada.weber"
    way.client.post("/sign-out/")
    way.sign_in()
    assert way.username == "ada"
    assert SocialAccount.objects.count() == User.objects.count() == 1


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_signing_in_never_leads_to_another_site(way: Way, elsewhere: str) -> None:
    assert way.sign_in(elsewhere)["Location"] == "/"


BAD: dict[str, dict[str, Any]] = {
    "another issuer": {"token": {"iss": "https://evil.example"}},
    "for another client": {"token": {"aud": "somebody-else"}},
    "made for another party": {"token": {"aud": ["slipway", "other"], "azp": "other"}},
    "expired": {"token": {"exp": NOW - 120, "iat": NOW - 600}},
    "not valid yet": {"token": {"nbf": NOW + 600}},
    "without an end": {"token": {"exp": None}},
    "without a subject": {"token": {"sub": None}},
    "another nonce": {"token": {"nonce": "of-another-request"}},
    "no nonce": {"token": {"nonce": None}},
    "signed by somebody else": {"key": rsa.generate_private_key(public_exponent=65537, key_size=2048)},
    "an unknown key": {"header": {"kid": "k2"}},
    "not signed": {"header": {"alg": "none"}, "key": ""},
    "signed with a shared secret": {"header": {"alg": "HS256"}, "key": "x" * 64},
    "userinfo of somebody else": {"userinfo": {"sub": "4321"}},
    "another issuer in its own words": {"discovery": {"issuer": "https://evil.example"}},
}


@pytest.mark.parametrize("case", BAD)
def test_an_identity_that_does_not_hold_signs_nobody_in(way: Way, provider: Provider, case: str) -> None:
    then = way.begin()
    for name, value in BAD[case].items():
        setattr(provider, name, value)
    answer = way.client.get(way.visit(then))
    assert (answer.status_code, answer["Location"]) == (302, "/sign-in/")
    assert "Signing in with The Company did not work." in way.told()
    assert way.username == ""
    assert not User.objects.exists()


def test_a_state_of_another_browser_signs_nobody_in(way: Way, provider: Provider) -> None:
    back = way.visit(way.begin())
    victim = Way()
    assert victim.client.get(back)["Location"] == "/sign-in/"
    assert victim.username == ""
    victim.begin()
    assert victim.client.get(back)["Location"] == "/sign-in/"
    assert victim.username == ""


def test_a_way_back_serves_once(way: Way, provider: Provider) -> None:
    back = way.visit(way.begin())
    way.client.get(back)
    way.client.post("/sign-out/")
    assert way.client.get(back)["Location"] == "/sign-in/"
    assert way.username == ""


def test_who_cancels_reads_so(way: Way, provider: Provider) -> None:
    state = query(way.begin())["state"]
    way.client.get(f"/sign-in/company/callback/?error=access_denied&state={state}")
    assert "You cancelled signing in with The Company." in way.told()


def test_a_provider_that_is_down_is_told_and_the_password_still_works(
    people: cast.People, way: Way, provider: Provider
) -> None:
    provider.is_down = True
    assert way.client.get("/sign-in/company/")["Location"] == "/sign-in/"
    assert "The Company can&#x27;t be reached" in way.told()
    assert "Sign in with The Company" in way.told()
    said = {"username": "requester", "password": cast.PASSWORD}
    assert way.client.post("/sign-in/", said).status_code == 302
    assert way.username == "requester"


def test_a_secret_that_is_missing_is_no_crash(
    way: Way, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OIDC_SECRET")
    assert way.client.get("/sign-in/company/")["Location"] == "/sign-in/"
    assert way.client.get("/sign-in/company/callback/?code=x&state=y")["Location"] == "/sign-in/"


def test_an_unknown_provider_does_not_exist(way: Way) -> None:
    assert way.client.get("/sign-in/nobody/").status_code == 404
    assert way.client.get("/sign-in/nobody/callback/").status_code == 404


def test_nobody_s_account_is_taken_over_by_name_or_address(
    people: cast.People, way: Way, provider: Provider
) -> None:
    provider.claims |= {"preferred_username": "approver", "email": "approver@example.com"}
    way.sign_in()
    assert way.username == "approver-company"
    assert not SocialAccount.objects.filter(user=people.approver).exists()


def test_an_account_that_waits_for_its_person_is_claimed_only_where_the_file_says_so(
    configure: Any, way: Way, provider: Provider
) -> None:
    waiting = User.objects.create_user("ada")
    way.sign_in()
    assert way.username == "ada-company"
    SocialAccount.objects.all().delete()
    configure(claim_accounts=True)
    second = Way()
    second.sign_in()
    assert second.username == "ada"
    assert SocialAccount.objects.get().user == waiting


@pytest.mark.parametrize("why", ["a password", "a superuser", "another identity"])
def test_an_account_that_is_somebody_s_is_never_claimed(
    configure: Any, way: Way, provider: Provider, why: str
) -> None:
    configure(claim_accounts=True)
    user = User.objects.create_user("ada", password="long enough" if why == "a password" else None)
    if why == "a superuser":
        User.objects.update(is_superuser=True)
    if why == "another identity":
        SocialAccount.objects.create(user=user, provider="other", uid="1")
    way.sign_in()
    assert way.username == "ada-company"


def test_an_unverified_address_is_not_kept(way: Way, provider: Provider) -> None:
    provider.claims["email_verified"] = False
    way.sign_in()
    assert User.objects.get().email == ""


def test_a_person_who_is_switched_off_is_refused_with_a_sentence(way: Way, provider: Provider) -> None:
    way.sign_in()
    way.client.post("/sign-out/")
    User.objects.update(is_active=False)
    assert way.sign_in()["Location"] == "/sign-in/"
    assert "This account is switched off." in way.told()
    assert way.username == ""


def test_the_same_subject_of_another_issuer_is_another_person(
    configure: Any, way: Way, provider: Provider, server: Provider
) -> None:
    way.sign_in()
    SocialAccount.objects.update(uid="0" * 64)
    second = Way()
    second.sign_in()
    assert User.objects.count() == 2


MAPPED = {"approvers": "release managers", "devs": "developers"}


def groups_of(name: str = "ada") -> set[str]:
    return set(Group.objects.filter(user__username=name).values_list("name", flat=True))


def test_groups_are_the_provider_s_at_every_sign_in(configure: Any, way: Way, provider: Provider) -> None:
    configure(groups=MAPPED)
    by_hand = Group.objects.create(name="by hand")
    provider.claims["groups"] = ["approvers", "devs", "nobody knows"]
    way.sign_in()
    User.objects.get().groups.add(by_hand)
    assert groups_of() == {"release managers", "developers", "by hand"}
    provider.claims["groups"] = ["devs"]
    way.sign_in()
    assert groups_of() == {"developers", "by hand"}
    told = AuditEntry.objects.filter(action="person.groups-changed").latest("id")
    assert (told.data["before"], told.data["after"]) == ("developers, release managers", "developers")
    provider.claims["groups"] = None
    way.sign_in()
    assert groups_of() == {"by hand"}


def test_without_a_mapping_groups_of_the_same_names_are_meant_and_none_is_made(
    way: Way, provider: Provider
) -> None:
    Group.objects.create(name="approvers")
    Group.objects.create(name="others").user_set.add(User.objects.create_user("bob"))
    provider.claims["groups"] = ["approvers", "admins"]
    way.sign_in()
    assert groups_of() == {"approvers"}
    assert groups_of("bob") == {"others"}
    assert not Group.objects.filter(name="admins").exists()


@pytest.mark.parametrize("claim", ["approvers", 7, {"approvers": True}, [["approvers"]], "x" * 9000])
def test_a_groups_claim_of_any_form_is_survived(
    configure: Any, way: Way, provider: Provider, claim: object
) -> None:
    configure(groups=MAPPED)
    provider.claims["groups"] = claim
    assert way.sign_in()["Location"] == "/"
    assert groups_of() == ({"release managers"} if claim == "approvers" else set())


def test_groups_may_be_told_by_the_userinfo_alone_and_under_another_name(
    configure: Any, way: Way, provider: Provider
) -> None:
    """GitLab tells `groups` in the userinfo and only `groups_direct` in the ID token."""
    configure(groups=MAPPED, groups_claim="memberships")
    provider.claims["groups"] = None
    provider.userinfo = {"memberships": ["devs"]}
    way.sign_in()
    assert groups_of() == {"developers"}


def test_a_session_ends_by_itself_for_groups_are_read_at_sign_in(
    configure: Any, way: Way, provider: Provider
) -> None:
    configure(session_hours=2)
    way.sign_in()
    assert 7100 < way.client.session.get_expiry_age() <= 7200
    assert Session.objects.get().user_id == User.objects.get().pk
