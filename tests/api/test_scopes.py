"""A token allows what its person may, within its scopes and its applications."""

from __future__ import annotations

import pytest
from django.test import Client

from promotions.choices import Role, TokenScope
from promotions.models import RoleGrant
from promotions.tokens import find_token, issue_token, revoke_token
from promotions.workflow import record
from tests.cast import HASH, Catalogue, People, make_promotion, make_run

ACTS = {
    "approve": TokenScope.APPROVE,
    "reject": TokenScope.APPROVE,
    "abort": TokenScope.PROMOTE,
    "retry": TokenScope.PROMOTE,
    "roll-back": TokenScope.PROMOTE,
    "": TokenScope.PROMOTE,
}


def speak(text: str, method: str, path: str) -> int:
    client, headers = Client(), {"Authorization": f"Bearer {text}"}
    if method == "GET":
        return client.get(path, headers=headers).status_code
    return client.post(path, {"change_hash": HASH}, "application/json", headers=headers).status_code


@pytest.mark.parametrize("act", ACTS)
def test_each_act_needs_its_scope_and_no_other_helps(catalogue: Catalogue, people: People, act: str) -> None:
    RoleGrant.objects.create(user=people.requester, role=Role.ADMIN, application=catalogue.application)
    promotion = make_promotion(catalogue, people.requester)
    path = f"/api/promotions/{promotion.pk}/{act}/" if act else "/api/promotions/"
    for scope in TokenScope.values:
        _token, text = issue_token(people.requester, name=scope, by=people.requester, scopes=[scope])
        status = speak(text, "POST", path)
        assert (status == 403) == (scope != ACTS[act]), (scope, status)
        assert (speak(text, "GET", f"/api/promotions/{promotion.pk}/") == 403) == (scope != "read")


def test_a_token_without_any_scope_opens_nothing(catalogue: Catalogue, people: People) -> None:
    _token, text = issue_token(people.admin, name="none", by=people.admin, scopes=[])
    for name in ("applications", "promotions", "audit", "deliveries"):
        assert speak(text, "GET", f"/api/{name}/") == 403


def test_a_token_for_one_application_sees_no_other_and_no_machinery(
    catalogue: Catalogue, people: People
) -> None:
    promotion = make_promotion(catalogue, people.requester)
    record("promotion.requested", subject=promotion, by=None, promotion=promotion)
    record("catalogue.applied", subject="a file", by=None)
    make_run(catalogue, application=None)
    slug = catalogue.application.slug
    for slugs, sees in (([slug], 1), (["gone"], 0)):
        _token, text = issue_token(people.admin, name="one", by=people.admin, applications=slugs)
        headers = {"Authorization": f"Bearer {text}"}
        for name in ("applications", "promotions"):
            assert len(Client().get(f"/api/{name}/", headers=headers).json()["results"]) == sees, name
        told = Client().get("/api/audit/", headers=headers).json()["results"]
        assert [entry["action"] for entry in told] == ["promotion.requested"] * sees
        assert Client().get("/api/runs/", headers=headers).json()["results"] == []
        assert speak(text, "GET", "/api/deliveries/") == 403
        assert speak(text, "GET", f"/api/promotions/{promotion.pk}/") == (200 if sees else 404)


def test_a_token_never_allows_more_than_its_person_s_roles(catalogue: Catalogue, people: People) -> None:
    promotion = make_promotion(catalogue, people.requester)
    _token, text = issue_token(people.viewer, name="all", by=people.viewer, scopes=TokenScope.values)
    assert speak(text, "POST", f"/api/promotions/{promotion.pk}/approve/") == 409
    assert speak(text, "GET", "/api/deliveries/") == 403


def test_a_revoked_token_is_worth_nothing_at_once(people: People) -> None:
    token, text = issue_token(people.viewer, name="ci", by=people.viewer)
    assert find_token(text) is not None
    revoke_token(token, by=people.viewer)
    revoke_token(token, by=people.viewer)
    assert find_token(text) is None
