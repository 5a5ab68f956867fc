"""Scenario F: many promotions to one repository and branch at the same moment, and a stranger who pushes."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from integrations.sandbox.server import InThread
from promotions.choices import PromotionStatus, Vendor, WriteMode
from tests.writers.farm import OFTEN, PROJECT, Stranger, drive_all, make

# Beside other tests, twenty workers at once get a few hundredths of a processor each.
pytestmark = [pytest.mark.usefixtures("transactional_db"), pytest.mark.timeout(300)]
COUNT = 20


@pytest.mark.parametrize(
    ("mode", "vendor"),
    [
        (WriteMode.DIRECT, Vendor.GITLAB),
        (WriteMode.OWN_BRANCH, Vendor.GITLAB),
        (WriteMode.TEAM_BRANCH, Vendor.GITLAB),
        (WriteMode.DIRECT, Vendor.GIT),
    ],
)
def test_every_promotion_is_one_commit_and_nobody_s_commit_is_lost(
    box: InThread, tmp_path: Path, settings: Any, mode: WriteMode, vendor: Vendor
) -> None:
    seed = int(os.environ.get("SLIPWAY_TEST_SEED") or random.SystemRandom().randrange(2**32))
    print(f"SLIPWAY_TEST_SEED={seed}")
    settings.DATA_DIR = tmp_path
    farm = make(box, tmp_path, COUNT, mode=mode, vendor=vendor)
    promotions = [farm.ask(stage) for stage in farm.stages[1:]]
    # People merge the team's branch as text; only they could end a conflict there.
    stranger = Stranger(farm, seed, on_top=mode == WriteMode.TEAM_BRANCH)
    stranger.start()
    try:
        drive_all(promotions)
        # However quick they were, one more meets somebody who has pushed before.
        assert stranger.often.wait(60)
        promotions.append(farm.ask(farm.stages[0]))
        drive_all(promotions[-1:])
    finally:
        stranger.enough.set()
        stranger.join()
    assert {(p.status, p.message) for p in promotions if p.status != PromotionStatus.SUCCEEDED} == set()
    assert farm.trailers() == {str(promotion.key): 1 for promotion in promotions}
    assert len(stranger.pushed) >= OFTEN
    on_main = set(farm.git("rev-list", "main").split())
    files = {name: farm.file(name) for name in farm.names}
    for sha, name, line in stranger.pushed:
        assert sha in on_main
        assert line in files[name], (sha, line)
    for name, text in files.items():
        assert f'image: "registry.example.com/many/{name}:1.1.0"   # moves with each promotion' in text
        assert PROJECT not in text
