"""The worker is killed before and after every call to the outside: one commit, one merge request."""

from __future__ import annotations

from pathlib import Path

import pytest

from integrations.sandbox.server import InThread
from promotions.choices import PromotionStatus, Vendor, WriteMode
from promotions.models import Connection, Promotion
from tests.writers.farm import Farm, make
from tests.writers.killing import Nursery, Proxy, proxy_to

pytestmark = [pytest.mark.usefixtures("transactional_db"), pytest.mark.timeout(240)]
MOST_CALLS = 40


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


def changes_something(call: str) -> bool:
    """A push is two requests of which only the second writes; everything else of Git's POSTs reads."""
    return call.endswith("/git-receive-pack") if ".git/" in call else not call.startswith("GET ")


@pytest.mark.parametrize(
    ("mode", "vendor"),
    [
        (WriteMode.DIRECT, Vendor.GITLAB),
        (WriteMode.OWN_BRANCH, Vendor.GITLAB),
        (WriteMode.DIRECT, Vendor.GIT),
    ],
)
def test_a_worker_killed_at_any_call_leaves_one_commit_and_one_merge_request(
    box: InThread, tmp_path: Path, database_environ: dict[str, str], mode: WriteMode, vendor: Vendor
) -> None:
    """The team's branch takes the same calls as a branch of its own (tests/scenarios kill it, too).

    To die after a call that only read is to die before the next one: nothing happened in between.
    """
    farm = make(box, tmp_path, MOST_CALLS, mode=mode, vendor=vendor)
    stages = iter(farm.stages)
    environ = {**database_environ, "SLIPWAY_DATA_DIR": str(tmp_path / "data")}
    with proxy_to(box.urls["gitlab"]) as proxy, Nursery(environ) as nursery:
        Connection.objects.filter(slug="gitlab").update(url=proxy.url)
        at, died, writes = 0, True, set()
        while died:
            promotion = farm.ask(next(stages))
            died = die_once(nursery, proxy, promotion, at, "before")
            check(farm, promotion, f"killed before call {at} of {proxy.calls}")
            writes |= {at} if died and changes_something(proxy.calls[at]) else set()
            at += 1
        assert at > 5
        assert writes
        for number in sorted(writes):
            promotion = farm.ask(next(stages))
            assert die_once(nursery, proxy, promotion, number, "after")
            check(farm, promotion, f"killed after call {number} of {proxy.calls}")
