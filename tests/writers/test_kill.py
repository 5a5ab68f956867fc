"""The worker is killed before and after every call to the outside: one commit, one merge request."""

from __future__ import annotations

from pathlib import Path

import pytest

from integrations.sandbox.server import InThread
from promotions.choices import PromotionStatus, WriteMode
from promotions.models import Connection, Promotion
from tests.writers.farm import Farm, make
from tests.writers.killing import Nursery, Proxy, proxy_to

pytestmark = [pytest.mark.usefixtures("transactional_db"), pytest.mark.timeout(240)]
MOST_CALLS = 60


def merge_requests(farm: Farm, promotion: Promotion) -> list[str]:
    """Return the states of the merge requests that speak of the promotion."""
    (project,) = farm.box.world.git.state.projects.values()  # type: ignore[attr-defined]
    return [
        str(request["state"])
        for request in project["merge_requests"].values()
        if str(promotion.key) in request["description"]
    ]


def check(farm: Farm, promotion: Promotion, where: str) -> None:
    promotion.refresh_from_db()
    assert promotion.status == PromotionStatus.SUCCEEDED, (where, promotion.message)
    assert farm.trailers()[str(promotion.key)] == 1, where
    name = promotion.stage.application.slug
    assert f'/{name}:1.1.0"' in farm.file(name), where
    opened = 0 if promotion.stage.write_mode == WriteMode.DIRECT else 1
    assert merge_requests(farm, promotion) == ["merged"] * opened, where


def die_once(nursery: Nursery, proxy: Proxy, promotion: Promotion, at: int, phase: str) -> bool:
    """Kill the worker at one call and let another one finish; tell whether there was such a call."""
    proxy.arm(at, phase)
    survived = nursery.work_on(promotion.pk, proxy)
    proxy.disarm()
    if not survived:
        assert nursery.work_on(promotion.pk, proxy)
    return not survived


@pytest.mark.parametrize("mode", [WriteMode.DIRECT, WriteMode.OWN_BRANCH, WriteMode.TEAM_BRANCH])
def test_a_worker_killed_at_any_call_leaves_one_commit_and_one_merge_request(
    box: InThread, tmp_path: Path, database_environ: dict[str, str], mode: WriteMode
) -> None:
    farm = make(box, tmp_path, 2 * MOST_CALLS, mode=mode)
    stages = iter(farm.stages)
    with proxy_to(box.urls["gitlab"]) as proxy, Nursery(database_environ) as nursery:
        Connection.objects.filter(slug="gitlab").update(url=proxy.url)
        for phase in ("before", "after"):
            deaths = 0
            while True:
                promotion = farm.ask(next(stages))
                died = die_once(nursery, proxy, promotion, deaths, phase)
                check(farm, promotion, f"killed {phase} call {deaths} of {proxy.calls}")
                if not died:
                    break
                deaths += 1
            assert deaths > 5
