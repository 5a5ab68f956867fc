"""A Release as a bank would have it: two groups, a freeze, a red verification, and the way back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import People
from tests.scenarios.elsewhere import Target
from tests.system import System, running_system

LONG = 60_000
NAMES = ("web", "worker", "migrations")
VALUES = "charts/shop/values-prod.yaml"
# What the keeper of the catalogue decided for prod.
POLICY = {
    "approvals": [
        {"name": "quality", "group": "quality", "count": 1},
        {"name": "ops", "group": "ops", "count": 1},
    ],
    "rollback": {"required_approvals": 0, "skip": ["freeze"], "automatic": ["verification"]},
}
DECIDE = """
import json, sys, django
django.setup()
from django.contrib.auth.models import Group, User
from promotions.models import Connection, Environment, FreezeWindow, Stage
for group, name in (("quality", "riku"), ("ops", "ada")):
    Group.objects.create(name=group).user_set.add(User.objects.get(username=name))
Environment.objects.filter(slug="prod").update(policy=json.loads(sys.argv[1]))
FreezeWindow.objects.create(
    slug="fair", reason="The autumn fair", environments=["prod"], starts="0 0 * * *", lasts=24 * 60
)
Stage.objects.filter(application__slug="shop-web", environment__slug="prod").update(
    verification_connection=Connection.objects.get(slug="tekton"), verification_pipeline="integration-test"
)
"""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with running_system(tmp_path, speed=8, scenario="all") as running:
        running.execute(DECIDE, json.dumps(POLICY))
        yield running


@pytest.mark.timeout(240)
def test_a_release_of_three_applications_is_governed_from_request_to_roll_back(
    system: System, people: People
) -> None:
    dana, riku, ada = (people.sign_in(name) for name in ("dana", "riku", "ada"))
    targets = [Target(system, f"shop-{name}", "shop-charts") for name in NAMES]
    assert {target.settled() for target in targets} == {"1.4.0"}
    before = system.git("shop-charts", "rev-list", "main").split()
    system.play("fail-verification")

    follow = ask_for_it(dana, people)
    expect(follow.locator("main")).to_contain_text("Still needed: 1 × quality, 1 × ops.")
    approve(riku, follow.url)
    expect(follow.locator("main")).to_contain_text("Still needed: 1 × ops.")
    approve(ada, follow.url)

    # The freeze refuses: everything is approved, and nothing is written.
    expect(follow.locator("main")).to_contain_text("The autumn fair", timeout=LONG)
    assert system.git("shop-charts", "rev-list", "main").split() == before
    riku.goto(follow.url)
    riku.get_by_role("link", name="Let it go during the freeze").click()
    riku.get_by_label("Why must it go now?").fill("A security hole")
    riku.get_by_role("button", name="Grant the exception").click()

    # One commit with three lines; the verification of one application is red, and it goes back by itself.
    expect(follow.locator("main")).to_contain_text("failed", timeout=LONG)
    done = system.wait_for(
        lambda: promotions(system), lambda found: len(found) == 4 and not still_open(found), seconds=90
    )
    assert [(row["application"], row["kind"], row["status"]) for row in done] == [
        ("shop-migrations", "promotion", "succeeded"),
        ("shop-web", "promotion", "failed"),
        ("shop-worker", "promotion", "succeeded"),
        ("shop-web", "rollback", "succeeded"),
    ]
    assert done[3]["requested_by"] == "Slipway"
    check_what_git_holds(system, before)
    assert targets[0].settled() == "1.4.0"
    assert [target.settled() for target in targets[1:]] == ["1.5.0", "1.5.0"]
    expect(follow.locator(".promotion-side .status-line")).to_contain_text("failed", timeout=LONG)
    check_the_trail(ada)
    assert follow.evaluate("window.__loaded") == 1, "the release's page was reloaded"
    assert people.complaints == []


def ask_for_it(dana: Page, people: People) -> Page:
    """Choose three versions, look at the one commit, ask; return the release's page, kept open."""
    dana.goto("/releases/")
    dana.get_by_role("link", name="New release").click()
    dana.get_by_label("Environment").select_option("prod")
    dana.get_by_role("button", name="Filter").click()
    for name in NAMES:
        dana.get_by_role("combobox", name=f"shop-{name} / prod", exact=True).select_option(label="1.5.0")
    dana.get_by_role("button", name="Look at the change").click()
    expect(dana.get_by_role("heading", name="Commit 1")).to_be_visible()
    expect(dana.locator(".diff-path")).to_have_count(1)
    expect(dana.locator("main")).to_contain_text("It would wait:")
    dana.get_by_label("Name").fill("Autumn")
    dana.get_by_label("Why?").fill("The fair needs it")
    dana.get_by_role("button", name="Request the release").click()
    dana.wait_for_url("**/releases/*/")
    return people.another_page(dana, dana.url)


def approve(page: Page, url: str) -> None:
    page.goto("/approvals/")
    expect(page.locator("#approvals-list")).to_contain_text("shop-web")
    page.goto(url)
    page.get_by_role("link", name="Approve").click()
    expect(page.locator(".diff-path")).to_have_count(1)
    page.get_by_role("button", name="Approve").click()
    page.wait_for_url(url)


def promotions(system: System) -> list[dict[str, object]]:
    """In the order in which they were asked for."""
    return sorted(system.get("promotions/")["results"], key=lambda row: int(row["id"]))


def still_open(found: list[dict[str, object]]) -> bool:
    return any(row["is_open"] for row in found)


def check_what_git_holds(system: System, before: list[str]) -> None:
    release, back = system.git("shop-charts", "rev-list", "main", f"^{before[0]}").split()[::-1]
    told = system.git("shop-charts", "show", "-s", "--format=%B", release)
    assert "Release Autumn" in told
    assert "Approved-by: Riku" in told
    assert "Approved-by: Ada" in told
    changed = system.git("shop-charts", "show", "--format=", "--numstat", release).split()
    assert changed == ["3", "3", VALUES]
    undone = system.git("shop-charts", "show", "--format=", "--numstat", back).split()
    assert undone == ["1", "1", VALUES]


def check_the_trail(ada: Page) -> None:
    """Everything that happened stands there, with who did it."""
    ada.goto("/audit/")
    trail = ada.locator("main")
    for words in (
        "release.requested",
        "approval.approved",
        "freeze.excepted",
        "promotion.failed",
        "A security hole",
        "Slipway",
    ):
        expect(trail).to_contain_text(words)
