"""Scenario A as its people live it: in browsers that never reload."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import People
from tests.scenarios import drive
from tests.system import System

LONG = 45_000


def cell(page: Page, environment: str, system: System) -> str:
    return f"#cell-{drive.stage(system, environment)['id']}"


def test_from_push_to_verified_every_page_follows_without_a_reload(system: System, people: People) -> None:
    """Scenario A, steps 1 to 5; a second click, doubled webhooks and a killed worker change nothing."""
    dana, riku = people.sign_in("dana"), people.sign_in("riku")
    drive.wait_for_start(system)
    matrix = people.another_page(dana, "/")
    application = people.another_page(dana, f"/applications/{drive.APPLICATION}/")
    dev, prod = cell(matrix, "dev", system), cell(matrix, "prod", system)
    expect(matrix.locator(prod)).to_contain_text("1.0.0")
    expect(matrix.locator("#live-mark")).to_contain_text("live")
    before = matrix.locator(dev).inner_text()
    tips = system.git("flask-k8s-manifest", "rev-list", "--no-merges", "main").split()

    # 1. A push to dev is built, and the dev cell shows another build.
    system.faults(hooks={"duplicate": 50})
    system.play("push-dev")
    link = application.locator("section[id^=runs-]").get_by_role("link", name="build-dev-image").first
    expect(application.locator("section[id^=runs-]")).to_contain_text("running", timeout=LONG)
    run = people.another_page(dana, str(link.get_attribute("href")))
    assert run.locator("section.task h3").all_inner_texts() == ["git-clone", "build", "deploy"]
    expect(run.locator("pre.log").first).to_contain_text("Successfully cloned", timeout=LONG)
    expect(run.locator("section.panel").first).to_contain_text("succeeded", timeout=LONG)
    expect(matrix.locator(dev)).not_to_have_text(before, use_inner_text=True, timeout=LONG)
    expect(matrix.locator(prod)).to_contain_text("1.0.0")

    # 2. A tag becomes a candidate for prod, with what is in it.
    system.play("merge-dev")
    system.play("tag")
    versions = application.locator("section[id^=versions-]")
    expect(versions.get_by_role("link", name="Promote to prod")).to_be_visible(timeout=LONG)

    # 3. Dana sees the exact change and asks for it; her second click asks for nothing more.
    mine = people.another_page(riku, "/approvals/")
    expect(mine.locator("main")).to_contain_text("Nothing waits for you")
    ask_for_it(dana, application.url)
    waits_for_one(mine, "1.1.0")
    follow = people.another_page(dana, "/promotions/1/")
    expect(matrix.locator(prod)).to_contain_text("waiting for approval")

    # 4. Riku approves that very change; a worker dies on the way.
    riku.goto("/promotions/1/")
    riku.get_by_role("link", name="Approve").click()
    expect(riku.locator("main")).to_contain_text(drive.image_line("1.1.0"))
    riku.get_by_role("button", name="Approve").dblclick()
    expect(mine.locator("#approvals-count .count")).to_have_count(0)
    expect(mine.locator("main")).to_contain_text("Nothing waits for you")
    steps = follow.locator("ol.steps")
    expect(steps).to_contain_text("Commit ", timeout=LONG)
    system.kill("worker")
    system.start_worker()

    # 5. Each step arrives on the page, down to the verification.
    expect(steps).to_contain_text("was merged by", timeout=LONG)
    expect(steps).to_contain_text("Synced and healthy", timeout=LONG)
    expect(follow.locator(".status-line").first).to_contain_text("succeeded", timeout=LONG)
    expect(matrix.locator(prod)).to_contain_text("1.1.0", timeout=LONG)
    expect(application.locator("section[id^=promotions-]")).to_contain_text("succeeded", timeout=LONG)

    for page in (matrix, application, run, follow, mine):
        assert page.evaluate("window.__loaded") == 1, f"{page.url} was reloaded"
    check_what_git_holds(system, tips)
    assert len(system.get("promotions/")["results"]) == 1
    assert people.complaints == []


def waits_for_one(mine: Page, version: str) -> None:
    """The header's count and the list follow by themselves."""
    expect(mine.locator("#approvals-count .count")).to_have_text("1")
    expect(mine.locator("#approvals-list")).to_contain_text(version)
    expect(mine.locator("#approvals-list time")).to_contain_text("for ")


def ask_for_it(page: Page, application: str) -> None:
    """Request the promotion of the candidate, having seen its change and what is in it."""
    page.goto(application)
    page.locator("section[id^=versions-]").get_by_role("link", name="Promote to prod").click()
    expect(page.locator("main")).to_contain_text(drive.image_line("1.1.0"))
    expect(page.locator("main")).to_contain_text("Say which pod answered", timeout=LONG)
    page.locator("textarea").fill("Customers wait for it")
    page.get_by_role("button", name="Request").dblclick()
    page.wait_for_url("**/promotions/1/")
    assert page.get_by_role("link", name="Approve").count() == 0


def check_what_git_holds(system: System, tips: list[str]) -> None:
    """One new commit on the manifest branch, one changed line in it, and the three trailers."""
    promotion = drive.promotion(system, 1)
    (commit,) = drive.commits_with_trailer(system, promotion)
    assert system.git("flask-k8s-manifest", "rev-list", "--no-merges", "main").split() == [commit, *tips]
    lines = ["-" + drive.image_line("1.0.0"), "+" + drive.image_line("1.1.0")]
    assert drive.changed_lines(system, commit) == lines
    message = system.git("flask-k8s-manifest", "log", "-1", "--format=%B", commit)
    for trailer in (f"Promotion-Id: {promotion['key']}", "Requested-by: Dana", "Approved-by: Riku"):
        assert trailer in message


def test_the_whole_way_is_open_without_javascript_and_with_the_keyboard(
    system: System, people: People
) -> None:
    drive.wait_for_start(system)
    drive.build_next(system)
    dana = people.sign_in("dana", javascript=False)
    expect(dana.locator("table")).to_contain_text("1.0.0")
    dana.goto(f"/applications/{drive.APPLICATION}/")
    dana.get_by_role("link", name="Promote to prod").first.click()
    dana.locator("textarea").fill("Without a script")
    dana.get_by_role("button", name="Request").click()
    expect(dana.locator("main")).to_contain_text("waiting for approval")

    riku = people.sign_in("riku")
    riku.goto("/promotions/1/")
    press_until(riku, "Approve")
    riku.keyboard.press("Enter")
    riku.wait_for_url("**/approve/")
    the_change_is_read_first(riku)
    press_until(riku, "Approve")
    riku.keyboard.press("Enter")
    riku.wait_for_url("**/promotions/1/")
    expect(riku.locator("main")).to_contain_text("approved the change")
    assert people.complaints == []


def the_change_is_read_first(page: Page) -> None:
    """On a phone, too, the exact change stands above the button that approves it."""
    before = page.viewport_size
    assert before is not None
    page.set_viewport_size({"width": 390, "height": 844})
    change = page.locator("section", has=page.locator("#change-heading")).bounding_box()
    button = page.get_by_role("button", name="Approve").bounding_box()
    assert change is not None
    assert button is not None
    assert change["y"] + change["height"] <= button["y"]
    page.set_viewport_size(before)


def press_until(page: Page, name: str) -> None:
    """Press Tab until the element of this name has the focus, as somebody without a mouse does."""
    page.wait_for_function("document.querySelector('.promotion-side a, .promotion-side button')")
    for _press in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()").startswith(name):
            return
    raise AssertionError(f"{name} can't be reached with the keyboard")
