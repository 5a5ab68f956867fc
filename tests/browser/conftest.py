"""A real browser: one per module of tests, with a context of its own for each person."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.system import System, running_system

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
)

# What comes live comes after an act: both may take as long while other tests use the processors.
PATIENCE = 15_000
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Playwright keeps an event loop running in this thread, which tests elsewhere must not meet."""
    path = shutil.which("chromium")
    assert path, "The browser tests need Debian's package chromium."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """A Slipway of its own: scenario A starts with 1.0.0 everywhere."""
    with running_system(tmp_path, speed=8) as running:
        yield running


class People:
    """Signs people in, each in a browser context of their own, and keeps what their consoles complain of."""

    def __init__(self, browser: Browser, system: System) -> None:
        self._browser = browser
        self._system = system
        self.contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def sign_in(self, name: str, *, javascript: bool = True) -> Page:
        """Return a page of a fresh context in which the person has signed in."""
        context = self._browser.new_context(
            base_url=self._system.base,
            java_script_enabled=javascript,
            viewport={"width": 1280, "height": 900},
            # Without a graphics card each turn of a wheel is painted by the processors that the tests need.
            reduced_motion="reduce",
        )
        context.set_default_timeout(PATIENCE)
        self.contexts.append(context)
        page = self.watch(context.new_page())
        page.goto("/sign-in/")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(self._system.passwords[name])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/")
        return page

    def another_page(self, page: Page, path: str) -> Page:
        """Open one more page of the same person, marked so that a reload would show."""
        new = self.watch(page.context.new_page())
        new.goto(path)
        new.evaluate("window.__loaded = 1")
        return new

    def watch(self, page: Page) -> Page:
        def hear(kind: str, text: str) -> None:
            self.complaints.append(f"{page.url} {kind}: {text}")

        page.on("console", lambda m: hear(m.type, m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: hear("exception", str(error)))
        return page


@pytest.fixture
def people(chromium: Browser, system: System) -> Iterator[People]:
    people = People(chromium, system)
    yield people
    for context in people.contexts:
        context.close()
