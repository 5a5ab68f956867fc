"""Signing in through a provider with a real browser: the web process as it runs, and a provider beside it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.identity.provider import CLIENT, SECRET, Provider, running_provider
from tests.system import System, drop_database, make_database, wait_for

FILE = """
providers:
  company:
    name: The Company
    issuer: {issuer}
    client_id: {client}
    client_secret: env:OIDC_SECRET
    groups:
      approvers: release-managers
"""


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def site(tmp_path: Path, provider: Provider) -> Iterator[System]:
    """The web process alone: nobody is promoted here."""
    name = f"slipway_sign_in_{os.getpid()}_{time.monotonic_ns()}"
    file = tmp_path / "sign-in.yaml"
    file.write_text(FILE.format(issuer=provider.url, client=CLIENT))
    system = System(tmp_path, make_database(name), speed=1, scenario="a")
    system.environ |= {"SIGN_IN_FILE": str(file), "OIDC_SECRET": SECRET}
    try:
        system.start_web()
        wait_for(lambda: answers(system), bool, what="the web process's start")
        yield system
    except BaseException:
        print(system.logs())
        raise
    finally:
        system.stop()
        drop_database(name)


def answers(system: System) -> bool:
    try:
        return httpx.get(f"{system.base}/healthz", trust_env=False, verify=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def page(chromium: Browser, site: System) -> Iterator[Page]:
    context = chromium.new_context(base_url=site.base)
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


def test_a_person_signs_in_through_the_company_and_comes_back_to_where_they_wanted(
    page: Page, provider: Provider, site: System
) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto("/promotions/?status=running")
    expect(page.get_by_label("Password")).to_be_visible()
    page.get_by_role("link", name="Sign in with The Company").click()
    page.wait_for_url("**/promotions/?status=running")
    expect(page.locator(".who")).to_contain_text("Ada Weber")

    page.goto("/account/")
    expect(page.locator(".lead")).to_contain_text("release-managers")
    page.get_by_label("Name").fill("nightly")
    page.get_by_role("button", name="Make it").click()
    token = page.locator("#token").inner_text()
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.get(f"{site.base}/api/promotions/", headers=headers, trust_env=False, verify=False)
    assert answer.status_code == 200

    # The group is taken away at the company: it is gone with the next sign-in.
    page.goto("/account/")
    page.get_by_role("button", name="Sign out everywhere").click()
    page.wait_for_url("**/sign-in/")
    provider.claims["groups"] = []
    page.get_by_role("link", name="Sign in with The Company").click()
    page.wait_for_url("**/")
    page.goto("/account/")
    expect(page.locator(".lead")).not_to_contain_text("release-managers")
    assert complaints == []
    with psycopg.connect(site.environ["DATABASE_URL"]) as connection:
        rows = connection.execute(
            "SELECT action, actor_name, via, address FROM promotions_auditentry ORDER BY number"
        ).fetchall()
    assert [row[0] for row in rows] == [
        "person.joined",
        "person.groups-changed",
        "session.started",
        "token.issued",
        "session.ended-everywhere",
        "person.groups-changed",
        "session.started",
    ]
    assert {row[1:] for row in rows} == {("Ada Weber", "page", "127.0.0.1")}


def test_an_identity_that_does_not_hold_leads_back_to_the_sign_in_with_a_sentence(
    page: Page, provider: Provider, site: System
) -> None:
    provider.token = {"iss": "https://evil.example"}
    page.goto("/sign-in/")
    page.get_by_role("link", name="Sign in with The Company").click()
    expect(page.get_by_role("alert")).to_contain_text("Signing in with The Company did not work.")
    expect(page.get_by_label("Password")).to_be_visible()
