"""How long which version was healthy where."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from promotions import residences
from promotions.models import Residence, StageState
from tests import cast

NOON = datetime(2026, 5, 2, 12, tzinfo=UTC)
H = timedelta(hours=1)


@pytest.fixture
def state(db: None) -> StageState:
    return StageState.objects.get(stage=cast.make_catalogue().production)


def stay(state: StageState) -> Residence:
    return Residence.objects.get(stage=state.stage, version=state.running_version)


def test_the_healthy_time_begins_when_it_is_first_seen_healthy_and_goes_on(state: StageState) -> None:
    for hours in (0, 1, 2):
        residences.note(state, NOON + hours * H)
    assert (stay(state).since, stay(state).healthy_since, stay(state).soaked) == (NOON, NOON, 0)


def test_an_illness_ends_it_and_the_longest_one_counts(state: StageState) -> None:
    for hours, health in ((0, "Healthy"), (3, "Degraded"), (4, "Healthy"), (5, "Progressing")):
        state.health_status = health
        residences.note(state, NOON + hours * H)
    assert (stay(state).healthy_since, stay(state).soaked) == (None, 3 * 3600)


def test_a_version_is_not_healthy_while_another_one_still_runs_beside_it(state: StageState) -> None:
    state.running_others = ["harbor.centre.com/k8s/flask-k8s-example:0.9.0"]
    residences.note(state, NOON)
    assert stay(state).healthy_since is None
    state.running_others = []
    residences.note(state, NOON + H)
    assert stay(state).healthy_since == NOON + H


def test_who_leaves_keeps_what_was_soaked_and_begins_anew_when_it_comes_back(state: StageState) -> None:
    old = state.running_version
    assert old is not None
    residences.note(state, NOON)
    state.running_version = cast.make_version(old.image, "9.9.9", commit="9" * 40)
    residences.note(state, NOON + 2 * H)
    left = Residence.objects.get(version=old)
    assert (left.left_at, left.healthy_since, left.soaked) == (NOON + 2 * H, None, 2 * 3600)
    state.running_version = old
    residences.note(state, NOON + 3 * H)
    back = Residence.objects.get(version=old)
    assert (back.left_at, back.healthy_since, back.soaked) == (None, NOON + 3 * H, 2 * 3600)


def test_nothing_that_is_known_runs_ends_every_stay(state: StageState) -> None:
    residences.note(state, NOON)
    state.running_version = None
    residences.note(state, NOON + H)
    assert Residence.objects.get().left_at == NOON + H
