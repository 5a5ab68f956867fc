"""The simulated GitLab in a thread, without a scenario."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.sandbox import invented
from integrations.sandbox.server import InThread, Options


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InThread]:
    monkeypatch.setenv("FARM_TOKEN", invented.GITLAB_TOKEN)
    monkeypatch.setenv("FARM_REGISTRY", invented.HARBOR_PASSWORD)
    with InThread(Options(tmp_path / "sandbox", scenario="empty", speed=200, seed=1)) as running:
        yield running
