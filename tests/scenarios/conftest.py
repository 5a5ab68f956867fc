"""One running Slipway per pytest worker: each test goes on from the version the last one left in prod.

A test that fails takes its Slipway with it, so that the next one starts afresh.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack

import pytest

from tests.system import System, running_system

FAILED = pytest.StashKey[bool]()


class Kept:
    """Starts a Slipway when one is asked for and none runs."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._stack = ExitStack()
        self._system: System | None = None

    def get(self) -> System:
        if self._system is None:
            # One sandbox for all scenarios: a process start costs more than what is in it.
            started = running_system(self._folders.mktemp("system"), scenario="all")
            self._system = self._stack.enter_context(started)
        return self._system

    def discard(self) -> None:
        self._system = None
        self._stack.close()


@pytest.fixture(scope="package")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    kept = Kept(tmp_path_factory)
    yield kept
    kept.discard()


@pytest.fixture
def system(kept: Kept, request: pytest.FixtureRequest) -> Iterator[System]:
    running = kept.get()
    yield running
    if request.node.stash.get(FAILED, True):
        print(running.logs())
        kept.discard()
    else:
        running.calm()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report
