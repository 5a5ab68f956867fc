"""Tokens, sessions, and the table from errors to HTTP."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from integrations.errors import Conflict, IntegrationError, NotFound, Rejected, Unauthorized, Unavailable
from promotions.api import errors
from promotions.models import ApiToken, AuditEntry
from promotions.tokens import find_token, issue_token
from tests.api.conftest import ClientOf
from tests.cast import PASSWORD, Catalogue, People, make_promotion


def test_a_token_is_kept_as_a_digest_and_found_by_its_text(people: People) -> None:
    token, text = issue_token(people.requester, name="scripts", by=people.admin)
    assert text.startswith("slipway_")
    assert text not in str(ApiToken.objects.values().get())
    found = find_token(text)
    assert found is not None
    assert found.user == people.requester
    assert AuditEntry.objects.get().action == "token.issued"
    assert text not in str(AuditEntry.objects.values().get())
    assert token.pk == found.pk


@pytest.mark.parametrize("case", ["unknown", "expired", "inactive"])
def test_a_token_that_is_not_valid_gets_401(people: People, case: str) -> None:
    expires_at = timezone.now() - timedelta(seconds=1) if case == "expired" else None
    _, text = issue_token(people.requester, name="scripts", by=people.admin, expires_at=expires_at)
    if case == "inactive":
        people.requester.is_active = False
        people.requester.save()
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}{'x' if case == 'unknown' else ''}")
    answer = client.get("/api/applications/")
    assert (answer.status_code, answer.json()) == (401, {"detail": "The token is unknown or has expired."})


def test_the_last_use_is_kept_to_the_minute(people: People) -> None:
    token, text = issue_token(people.requester, name="scripts", by=people.admin)
    find_token(text)
    token.refresh_from_db()
    first = token.last_used_at
    assert first is not None
    find_token(text)
    token.refresh_from_db()
    assert token.last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(seconds=61))
    find_token(text)
    token.refresh_from_db()
    assert token.last_used_at is not None
    assert token.last_used_at >= first


def test_a_session_needs_the_csrf_token_to_act_and_a_bearer_does_not(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    promotion = make_promotion(catalogue, people.requester)
    browser = Client(enforce_csrf_checks=True)
    assert browser.login(username="requester", password=PASSWORD)
    assert browser.get("/api/applications/").status_code == 200
    path, body = f"/api/promotions/{promotion.pk}/abort/", {"reason": "x"}
    assert browser.post(path, body, content_type="application/json").status_code == 403
    strict = client_of(people.requester)
    strict.handler.enforce_csrf_checks = True
    assert strict.post(path, body, format="json").status_code == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unavailable("GitLab does not answer.", vendor="gitlab", retry_after=12), 503),
        (Unauthorized("GitLab refuses the token.", vendor="gitlab", status=401), 502),
        (NotFound("GitLab has no such branch.", vendor="gitlab", status=404), 502),
        (Rejected("GitLab refuses.", vendor="gitlab", status=400), 502),
        (Conflict("The branch moved.", vendor="gitlab", status=409), 502),
        (IntegrationError("Something failed.", vendor="gitlab"), 502),
    ],
)
def test_a_vendors_failure_is_told_in_a_sentence(error: IntegrationError, status: int) -> None:
    answer = errors.handle(error, {})
    assert answer is not None
    assert answer.status_code == status
    assert answer.data == {"detail": error.message, "vendor": "gitlab"}
    assert answer.headers.get("Retry-After") == ("12" if status == 503 else None)


def test_a_vendor_that_is_too_slow_is_504() -> None:
    try:
        raise Unavailable("GitLab is too slow.", vendor="gitlab") from httpx.ReadTimeout("late")
    except Unavailable as error:
        answer = errors.handle(error, {})
    assert answer is not None
    assert answer.status_code == 504


def test_an_error_nobody_foresaw_is_left_to_django() -> None:
    assert errors.handle(ValueError("a defect"), {}) is None


def test_the_description_is_valid_and_without_warnings(tmp_path: object) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", f"{tmp_path}/schema.yml")


def test_the_description_and_its_page_are_for_people_who_are_signed_in(
    people: People, client_of: ClientOf
) -> None:
    assert APIClient().get("/api/schema/").status_code == 401
    assert client_of(people.viewer).get("/api/schema/").status_code == 200
    stranger = Client().get("/api/docs/")
    assert (stranger.status_code, stranger.headers["Location"]) == (302, "/sign-in/?next=/api/docs/")


def test_the_docs_page_runs_under_the_content_security_policy(people: People) -> None:
    browser = Client()
    browser.force_login(people.viewer)
    page = browser.get("/api/docs/")
    html = page.content.decode()
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert "<script>" not in html
    assert "http://" not in html
    assert "https://" not in html
    script = browser.get("/api/docs/?script=")
    assert script.headers["Content-Type"].startswith("application/javascript")
    assert "SwaggerUIBundle" in script.content.decode()
