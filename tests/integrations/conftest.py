"""What all adapter tests share: a scripted server, and retries that do not sleep."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integrations.http import Retry
from tests.integrations.loopback import Loopback, loopback


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as running:
        yield running


@pytest.fixture
def other_host() -> Iterator[Loopback]:
    """A second host, as far as the same-origin rule is concerned: another port."""
    with loopback() as running:
        yield running


@pytest.fixture
def pauses() -> list[float]:
    """What the adapter would have slept."""
    return []


@pytest.fixture
def retry(pauses: list[float]) -> Retry:
    return Retry(sleep=pauses.append)
