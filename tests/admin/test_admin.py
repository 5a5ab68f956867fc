"""The admin site: who may enter, what may be changed, what is shown once."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from promotions.choices import Role
from promotions.models import (
    ApiToken,
    AuditEntry,
    AutomaticRollback,
    FreezeWindow,
    Lock,
    NotificationChannel,
    RoleGrant,
    Stage,
)
from promotions.tokens import find_token
from promotions.workflow import record
from tests.cast import (
    Catalogue,
    People,
    make_catalogue,
    make_delivery,
    make_people,
    make_promotion,
    make_review,
    make_run,
    make_upstream,
)

MODELS = sorted((model._meta.app_label, model._meta.model_name or "") for model in admin.site._registry)
EDITABLE = {("auth", "user"), ("auth", "group"), ("promotions", "rolegrant"), ("promotions", "apitoken")}
EDITABLE |= {("socialaccount", "socialaccount")}
# Whether a job is queued in a test is the worker's business; the table is looked at all the same.
READ_ONLY = [model for model in MODELS if model not in EDITABLE and model[0] != "procrastinate"]


@pytest.fixture
def people(db: None) -> People:
    return make_people()


@pytest.fixture
def catalogue(people: People) -> Catalogue:
    """Scenario A with one row of everything that can be looked at."""
    made = make_catalogue(people)
    promotion = make_promotion(made, people.requester)
    record("promotion.requested", subject=promotion, by=people.requester, promotion=promotion)
    make_review(promotion, people.admin)
    AutomaticRollback.objects.create(promotion=promotion, cause="verification")
    make_run(made)
    make_delivery(made, body=b"<script>alert(1)</script>")
    make_upstream(made.gitlab, "branch")
    Lock.objects.create(reason="<script>alert(1)</script>", set_by_name="Ada Weber")
    NotificationChannel.objects.create(slug="chat", url="env:CHAT_URL")
    FreezeWindow.objects.create(slug="nights", starts="0 22 * * *", ends="0 6 * * *")
    return made


@pytest.fixture
def keeper(people: People) -> User:
    """An administrator of the whole site by role, without any of Django's own rights."""
    user = User.objects.create_user("keeper")
    RoleGrant.objects.create(user=user, role=Role.ADMIN)
    return user


@pytest.fixture
def desk(keeper: User) -> Client:
    client = Client()
    client.force_login(keeper)
    return client


def test_strangers_are_sent_to_the_one_sign_in_page(db: None) -> None:
    answer = Client().get("/admin/", follow=True)
    assert answer.redirect_chain[-1][0].startswith("/sign-in/?next=")


def test_only_an_administrator_of_the_whole_site_enters(catalogue: Catalogue, people: People) -> None:
    local = User.objects.create_user("local")
    RoleGrant.objects.create(user=local, role=Role.ADMIN, application=catalogue.application)
    for user in (people.viewer, people.requester, people.approver, people.outsider, local):
        client = Client()
        client.force_login(user)
        assert client.get("/admin/", follow=True).status_code == 403, user
        assert client.get("/admin/promotions/apitoken/add/", follow=True).status_code == 403, user


@pytest.mark.parametrize(("app", "model"), MODELS)
def test_every_table_can_be_looked_at_under_the_content_security_policy(
    catalogue: Catalogue, desk: Client, app: str, model: str
) -> None:
    pages = [reverse(f"admin:{app}_{model}_changelist")]
    row = next(
        table for table in admin.site._registry if table._meta.label_lower == f"{app}.{model}"
    )._default_manager.first()
    if row is not None:
        pages.append(reverse(f"admin:{app}_{model}_change", args=[row.pk]))
    for page in (*pages, f"{pages[0]}?q=x"):
        answer = desk.get(page, follow=True)
        assert answer.status_code == 200, page
        html = answer.content.decode()
        # An inline script or style would be blocked and the page broken.
        assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)|<style|\son\w+=", html), page
        assert "<script>alert(1)" not in html


@pytest.mark.parametrize(("app", "model"), READ_ONLY)
def test_what_the_file_or_history_says_can_not_be_changed_here(
    catalogue: Catalogue, people: People, app: str, model: str
) -> None:
    table = next(found for found in admin.site._registry if found._meta.label_lower == f"{app}.{model}")
    row = table._default_manager.first()
    assert row is not None
    client = Client()
    client.force_login(people.admin)
    assert client.post(reverse(f"admin:{app}_{model}_add")).status_code == 403
    assert client.post(reverse(f"admin:{app}_{model}_change", args=[row.pk])).status_code == 403
    assert client.post(reverse(f"admin:{app}_{model}_delete", args=[row.pk])).status_code == 403
    assert table._default_manager.filter(pk=row.pk).exists()


def test_a_new_token_is_shown_once_and_works(people: People, keeper: User, desk: Client) -> None:
    form = {"user": people.requester.pk, "name": "scripts", "scopes": "read,promote"}
    form |= {"expires_at_0": "", "expires_at_1": ""}
    answer = desk.post("/admin/promotions/apitoken/add/", form)
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    found = re.search(r'id="token">([^<]+)<', answer.content.decode())
    assert found is not None
    text = found[1]
    token = find_token(text)
    assert token is not None
    assert (token.user, token.name) == (people.requester, "scripts")
    assert token.scopes == ["read", "promote"]
    assert text not in desk.get("/admin/promotions/apitoken/", follow=True).content.decode()
    assert text not in str(desk.cookies)
    assert AuditEntry.objects.get(action="token.issued").actor == keeper


def test_a_revoked_token_is_gone_and_told(people: People, desk: Client) -> None:
    token = ApiToken.objects.create(user=people.requester, name="scripts", digest="d" * 64)
    desk.post(f"/admin/promotions/apitoken/{token.pk}/delete/", {"post": "yes"})
    assert not ApiToken.objects.exists()
    assert AuditEntry.objects.filter(action="token.revoked").exists()


def test_a_role_is_granted_and_withdrawn_and_both_are_told(
    catalogue: Catalogue, people: People, keeper: User, desk: Client
) -> None:
    form = {"user": people.outsider.pk, "role": Role.VIEWER, "application": catalogue.application.pk}
    assert desk.post("/admin/promotions/rolegrant/add/", form).status_code == 302
    grant = RoleGrant.objects.get(user=people.outsider)
    told = AuditEntry.objects.get(action="role.granted")
    assert (told.actor, told.data["application"]) == (keeper, "flask-k8s-example")
    desk.post(f"/admin/promotions/rolegrant/{grant.pk}/delete/", {"post": "yes"})
    assert not RoleGrant.objects.filter(user=people.outsider).exists()
    assert AuditEntry.objects.filter(action="role.withdrawn").exists()


def test_a_grant_is_for_a_person_or_a_group_and_the_form_says_so(people: People, desk: Client) -> None:
    answer = desk.post("/admin/promotions/rolegrant/add/", {"role": Role.VIEWER})
    assert answer.status_code == 200
    assert "grant_is_for_a_user_or_a_group" in answer.content.decode()


def test_a_superuser_is_out_of_reach_for_an_administrator_by_role(people: People, desk: Client) -> None:
    path = f"/admin/auth/user/{people.admin.pk}"
    assert desk.post(f"{path}/change/", {"username": "mine"}).status_code == 403
    assert desk.post(f"{path}/password/", {"password1": "x", "password2": "x"}).status_code == 403
    assert desk.post(f"{path}/delete/", {"post": "yes"}).status_code == 403


def test_no_form_makes_a_superuser(people: People, desk: Client) -> None:
    form = {
        "username": "outsider",
        "is_active": "on",
        "is_superuser": "on",
        "is_staff": "on",
        "user_permissions": "1",
    }
    answer = desk.post(f"/admin/auth/user/{people.outsider.pk}/change/", form)
    assert answer.status_code == 302
    people.outsider.refresh_from_db()
    assert not people.outsider.is_superuser
    assert not people.outsider.is_staff


def test_a_stage_is_found_by_its_application(catalogue: Catalogue, desk: Client) -> None:
    page = desk.get("/admin/promotions/stage/?q=flask-k8s-example").content.decode()
    assert f"/admin/promotions/stage/{Stage.objects.all()[0].pk}/change/" in page


def test_what_is_done_to_people_and_groups_is_told(people: People, keeper: User, desk: Client) -> None:
    group = Group.objects.create(name="team")
    RoleGrant.objects.create(group=group, role=Role.APPROVER)
    path = f"/admin/auth/user/{people.outsider.pk}"
    form = {"username": "outsider", "is_active": "on", "groups": group.pk}
    assert desk.post(f"{path}/change/", form).status_code == 302
    told = AuditEntry.objects.get(action="person.changed")
    assert (told.actor, told.data["before"]) == (keeper, "active; groups: –")
    assert told.data["after"] == "active; groups: team"
    secret = "another long enough password"
    desk.post(f"{path}/password/", {"password1": secret, "password2": secret, "usable_password": "true"})
    assert AuditEntry.objects.filter(action="person.password-changed").exists()
    desk.post("/admin/auth/user/", {"action": "end_sessions", "_selected_action": people.outsider.pk})
    assert AuditEntry.objects.filter(action="session.ended-everywhere").exists()
    desk.post(f"/admin/auth/group/{group.pk}/delete/", {"post": "yes"})
    assert AuditEntry.objects.get(action="group.deleted").data["before"] == (
        "people: outsider; roles: team: approver"
    )
    desk.post(f"{path}/delete/", {"post": "yes"})
    assert AuditEntry.objects.filter(action="person.deleted", subject="person outsider").exists()
    assert secret not in str(list(AuditEntry.objects.values()))
