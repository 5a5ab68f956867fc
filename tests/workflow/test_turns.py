"""Whose turn it is to write: one at a time per branch, in the order they came; and who gives way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from django.db import connection, transaction
from django.utils import timezone

from promotions import operations
from promotions.choices import PromotionStatus, StepName, StepStatus, WriteMode
from promotions.models import Application, Image, Promotion, Stage, StepResult
from promotions.policy import Refused
from promotions.steps.base import Waiting
from promotions.steps.turns import lane_of, next_in_line, turn
from promotions.workflow import StaleState
from tests import cast
from tests.integrations.loopback import Loopback
from tests.workflow.conftest import at_once

pytestmark = pytest.mark.usefixtures("transactional_db")
S = PromotionStatus


def other_stage(catalogue: cast.Catalogue, name: str) -> Stage:
    """Another application whose manifests are on the same branch."""
    first = catalogue.production
    application = Application.objects.create(
        slug=name, name=name, source_connection=catalogue.gitlab, source_project="x/y"
    )
    image = Image.objects.create(
        application=application, connection=first.image.connection, slug=name, repository=f"h/{name}"
    )
    return Stage.objects.create(
        application=application,
        environment=first.environment,
        image=image,
        manifest_connection=first.manifest_connection,
        manifest_project=first.manifest_project,
        manifest_branch="main",
        write_mode=WriteMode.DIRECT,
    )


def writing(catalogue: cast.Catalogue, people: cast.People, stage: Stage, **fields: object) -> StepResult:
    """A promotion at its writing step."""
    promotion = cast.make_promotion(
        catalogue, people.requester, stage=stage, status=S.RUNNING, step="write", look_at=timezone.now()
    )
    return StepResult.objects.create(promotion=promotion, step=StepName.WRITE, **fields)


@pytest.fixture
def steps(catalogue: cast.Catalogue, people: cast.People) -> list[StepResult]:
    Stage.objects.update(write_mode=WriteMode.DIRECT, team_branch="")
    stages = [other_stage(catalogue, name) for name in ("one", "two", "three")]
    return [writing(catalogue, people, stage) for stage in stages]


def waits(step: StepResult) -> Waiting:
    """Ask for the turn, be refused, and wait in line as the engine has it."""
    with turn(step, step.promotion.stage, "main") as not_yet:
        assert not_yet is not None
    step.status, step.data = StepStatus.WAITING, dict(not_yet.data)
    step.save()
    return not_yet


@contextmanager
def somebody_writes(step: StepResult) -> Iterator[None]:
    """Another worker holds the branch."""
    holds, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with turn(step, step.promotion.stage, "main") as not_yet:
            assert not_yet is None
            holds.set()
            may_end.wait(20)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert holds.wait(10)
    try:
        yield
    finally:
        may_end.set()
        thread.join()


def test_one_writes_and_the_others_wait_in_the_order_they_came(steps: list[StepResult]) -> None:
    first, second, third = steps
    with somebody_writes(first):
        assert waits(second).message == "Another promotion is writing to main."
        assert waits(third).message == f"Promotion #{second.promotion_id} writes to main first."
    assert next_in_line(first.promotion.stage, "main") == second.promotion
    with turn(third, third.promotion.stage, "main") as not_yet:
        assert not_yet is not None
    with turn(second, second.promotion.stage, "main") as not_yet:
        assert not_yet is None
    second.refresh_from_db()
    assert second.data["lane"] == ""
    assert next_in_line(first.promotion.stage, "main") == third.promotion


def test_another_branch_is_another_line(steps: list[StepResult]) -> None:
    first, second, _third = steps
    with somebody_writes(first), turn(second, second.promotion.stage, "dev") as not_yet:
        assert not_yet is None


def test_who_has_not_been_seen_for_a_while_holds_nobody_up(steps: list[StepResult]) -> None:
    first, second, third = steps
    with somebody_writes(first):
        waits(second)
    long_ago = timezone.now() - timezone.timedelta(seconds=30)  # type: ignore[attr-defined]
    Promotion.objects.filter(pk=second.promotion_id).update(look_at=long_ago)
    with turn(third, third.promotion.stage, "main") as not_yet:
        assert not_yet is None


def test_an_aborted_promotion_gets_no_turn(steps: list[StepResult]) -> None:
    Promotion.objects.filter(pk=steps[0].promotion_id).update(status=S.ABORTED, finished_at=timezone.now())
    with pytest.raises(StaleState), turn(steps[0], steps[0].promotion.stage, "main"):
        pytest.fail("it was given the turn")


def in_line(catalogue: cast.Catalogue, people: cast.People) -> Promotion:
    """A promotion of the old version to production that waits for its turn."""
    Stage.objects.update(write_mode=WriteMode.DIRECT, team_branch="")
    stage = Stage.objects.get(pk=catalogue.production.pk)
    step = writing(catalogue, people, stage, status=StepStatus.WAITING, data={"lane": lane_of(stage, "main")})
    Promotion.objects.filter(pk=step.promotion_id).update(version=catalogue.old)
    return step.promotion


def ask(catalogue: cast.Catalogue, people: cast.People) -> Promotion:
    stage = Stage.objects.get(pk=catalogue.production.pk)
    return operations.request_promotion(stage, catalogue.newer, by=people.requester, reason="newer")


def test_a_newer_request_replaces_one_that_still_waits_in_line(
    catalogue: cast.Catalogue, people: cast.People, gitlab: Loopback
) -> None:
    waiting = in_line(catalogue, people)
    newer = ask(catalogue, people)
    waiting.refresh_from_db()
    assert (waiting.status, newer.status) == (S.SUPERSEDED, S.REQUESTED)
    assert waiting.message == "A newer promotion to this stage was requested."
    assert waiting.steps.get().status == StepStatus.ABORTED


def test_one_that_has_begun_to_write_is_not_replaced(
    catalogue: cast.Catalogue, people: cast.People, gitlab: Loopback
) -> None:
    waiting = in_line(catalogue, people)
    waiting.steps.update(data={"lane": ""})
    with pytest.raises(Refused, match="is under way"):
        ask(catalogue, people)
    waiting.refresh_from_db()
    assert waiting.status == S.RUNNING


def test_a_turn_against_a_newer_request_has_one_winner(
    catalogue: cast.Catalogue, people: cast.People, gitlab: Loopback
) -> None:
    waiting = in_line(catalogue, people)
    wrote = []

    def write() -> None:
        step = StepResult.objects.get(promotion=waiting)
        with transaction.atomic(), turn(step, step.promotion.stage, "main") as not_yet:
            wrote.append(not_yet is None)

    outcomes = at_once(write, partial(ask, catalogue, people))
    waiting.refresh_from_db()
    if wrote == [True]:
        assert waiting.status == S.RUNNING
        assert isinstance(outcomes[1], StaleState | Refused)
    else:
        assert waiting.status == S.SUPERSEDED
        assert isinstance(outcomes[0], StaleState)
        assert isinstance(outcomes[1], Promotion)
