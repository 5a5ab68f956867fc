"""Automatic promotion: the newest that passes, and never back."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth import authenticate
from django.test import Client
from django.utils import timezone

from promotions import automation, governing, jobs, operations
from promotions.choices import AutomationState, PromoteMode, PromotionStatus
from promotions.models import (
    AuditEntry,
    Automation,
    Environment,
    Lock,
    Promotion,
    Residence,
    Stage,
    StageState,
)
from promotions.policy import Act, gather, refusals
from promotions.policy.access import system_account
from tests import cast
from tests.workflow.automatic import arrived, looked_at, sees, stage, version
from tests.workflow.conftest import at_once
from tests.workflow.small_gitlab import SmallGitLab

S = PromotionStatus
H = timedelta(hours=1)
__all__ = ["stage"]


def test_the_newest_version_is_asked_for_by_slipway_and_arrives(
    stage: Stage, catalogue: cast.Catalogue
) -> None:
    row = looked_at(stage)
    promotion = Promotion.objects.get()
    assert (promotion.version, promotion.status) == (catalogue.newer, S.APPROVED)
    assert promotion.requested_by_name == "Slipway"
    assert (row.state, row.version) == (AutomationState.UNDER_WAY, catalogue.newer)
    told = AuditEntry.objects.get(action="promotion.requested")
    assert (told.actor_name, told.reason) == ("Slipway", "automatic: newest by semver")
    arrived(stage, promotion)
    row = looked_at(stage)
    assert (row.state, row.message) == (AutomationState.IDLE, "Nothing newer is known by semver.")
    assert Promotion.objects.count() == 1


def test_nobody_can_sign_in_as_slipway(stage: Stage, client: Client) -> None:
    account = system_account()
    account.set_password("known")
    account.save()
    assert authenticate(username=account.username, password="known") is None
    client.force_login(account)
    assert client.get("/").status_code == 302
    assert system_account() == account


def test_slipway_asks_only_where_the_catalogue_says_so_and_never_approves(
    stage: Stage, catalogue: cast.Catalogue
) -> None:
    Stage.objects.update(promote=PromoteMode.BY_PEOPLE)
    automation.look_at(stage.pk)
    assert not Promotion.objects.exists()
    by_hand = Stage.objects.get(pk=stage.pk)
    account = system_account()
    assert [r.gate for r in refusals(Act.REQUEST, gather(by_hand, catalogue.newer, account))] == ["role"]
    Stage.objects.update(promote=PromoteMode.AUTOMATICALLY)
    facts = gather(Stage.objects.get(pk=stage.pk), catalogue.newer, account)
    assert refusals(Act.REQUEST, facts) == []
    assert [r.gate for r in refusals(Act.APPROVE, facts)] == ["role"]


def test_four_eyes_still_decide_where_approvals_are_asked_for(stage: Stage, people: cast.People) -> None:
    Environment.objects.update(required_approvals=1)
    row = looked_at(stage)
    promotion = Promotion.objects.get()
    assert promotion.status == S.REQUESTED
    assert row.message == f"Promotion #{promotion.pk} of 1.1.0: waiting for approval."
    operations.approve(promotion, by=people.approver, change_hash=promotion.change_hash)
    arrived(stage, promotion)


@pytest.mark.usefixtures("transactional_db")
def test_two_workers_that_look_at_once_ask_once(stage: Stage) -> None:
    assert at_once(*[partial(automation.look_at, stage.pk)] * 4) == [None] * 4
    assert Promotion.objects.count() == 1
    assert AuditEntry.objects.filter(action="promotion.requested").count() == 1
    assert Automation.objects.get().rests_until is None


def test_a_worker_that_died_while_it_looked_holds_nobody_for_long(stage: Stage) -> None:
    looked_at(stage)
    Promotion.objects.all().delete()
    Automation.objects.update(rests_until=timezone.now() + timedelta(seconds=100))
    automation.look_at(stage.pk)
    assert not Promotion.objects.exists()
    Automation.objects.update(rests_until=timezone.now())
    automation.look_at(stage.pk)
    assert Promotion.objects.count() == 1


def test_it_never_goes_back(stage: Stage, catalogue: cast.Catalogue) -> None:
    """Reference tag-ordering.md rule 12: also from a pre-release that would not be chosen itself."""
    rc = cast.make_version(catalogue.newer.image, "2.0.0-rc.1", commit="7" * 40)
    sees(stage, rc)
    assert looked_at(stage).state == AutomationState.IDLE
    assert not Promotion.objects.exists()


def test_what_has_no_place_in_the_order_is_left_to_people(stage: Stage, catalogue: cast.Catalogue) -> None:
    StageState.objects.filter(stage=stage).update(desired_version=None, desired_tag="latest")
    row = looked_at(stage)
    assert row.state == AutomationState.HELD
    assert "latest, which has no place in the order by semver" in row.message
    StageState.objects.filter(stage=stage).update(desired_tag="0.9.0")
    assert looked_at(stage).state == AutomationState.UNDER_WAY


def test_builds_that_can_t_be_read_are_reported(stage: Stage, catalogue: cast.Catalogue) -> None:
    """Reference tag-ordering.md rule 7."""
    sees(stage, catalogue.newer)
    cast.make_version(catalogue.newer.image, "20240131", commit="8" * 40)
    assert looked_at(stage).message.endswith("1 build has no place in that order: 20240131.")


def test_a_stage_s_own_order_wins_over_its_image_s(stage: Stage, catalogue: cast.Catalogue) -> None:
    stage.image.newest = {"by": "lexical"}
    stage.image.save()
    assert automation.order_name(stage) == "alphabet"
    stage.newest = {"by": "pushed"}
    assert automation.order_name(stage) == "push time"
    stage.save()
    cast.make_version(catalogue.newer.image, "main-00000000", commit="9" * 40, days_ago=-0.1)
    looked_at(stage)
    assert Promotion.objects.get().version.tag == "main-00000000"


def test_it_waits_out_what_only_time_opens_and_says_until_when(
    stage: Stage, catalogue: cast.Catalogue
) -> None:
    now = timezone.now()
    Environment.objects.filter(slug="production").update(policy={"requires": ["dev"], "soak": 120})
    twin = cast.make_version(catalogue.dev.image, "dev-2", commit=catalogue.newer.commit)
    stay = Residence.objects.create(stage=catalogue.dev, version=twin, healthy_since=now - H)
    row = looked_at(stage)
    assert (row.state, row.version, row.until) == (AutomationState.WAITING, catalogue.newer, now + H)
    assert "1.1.0 will have been healthy" in row.message
    assert not Promotion.objects.exists()
    stay.healthy_since = now - 3 * H
    stay.save()
    assert looked_at(stage).state == AutomationState.UNDER_WAY


def test_the_newest_that_passes_goes_when_a_newer_one_is_marked_as_bad(
    stage: Stage, catalogue: cast.Catalogue, git: SmallGitLab, people: cast.People
) -> None:
    bad = version(catalogue, git, "1.2.0")
    governing.block(bad, by=people.approver, reason="It loses orders")
    looked_at(stage)
    assert Promotion.objects.get().version == catalogue.newer


def test_a_lock_keeps_it_back_with_its_sentence(stage: Stage) -> None:
    lock = Lock.objects.create(reason="An incident", set_by_name="Mar Costa")
    row = looked_at(stage)
    assert row.state == AutomationState.WAITING
    assert "An incident" in row.message
    lock.delete()
    assert looked_at(stage).state == AutomationState.UNDER_WAY


def test_a_gitlab_that_does_not_answer_is_asked_again_later(stage: Stage, git: SmallGitLab) -> None:
    git.is_down = True
    row = looked_at(stage)
    assert row.state == AutomationState.WAITING
    assert not Promotion.objects.exists()
    assert row.rests_until is not None
    assert row.rests_until > timezone.now()
    git.is_down = False
    automation.look_at(stage.pk)
    assert not Promotion.objects.exists()
    Automation.objects.update(rests_until=None)
    automation.look_at(stage.pk)
    assert Promotion.objects.count() == 1


def test_nothing_is_asked_for_before_git_was_read(stage: Stage) -> None:
    StageState.objects.filter(stage=stage).update(desired_seen_at=None)
    assert looked_at(stage).message == "What Git asks for has not been read yet."
    StageState.objects.filter(stage=stage).update(desired_seen_at=timezone.now(), desired_problem="Torn")
    assert looked_at(stage).message == "Torn"
    assert not Promotion.objects.exists()


def test_each_such_stage_is_queued_for_a_look_once(stage: Stage, catalogue: cast.Catalogue) -> None:
    from procrastinate.contrib.django.models import ProcrastinateJob

    assert automation.sweep() == 1
    assert automation.sweep() == 1
    jobs = ProcrastinateJob.objects.filter(task_name="promotions.look_at_stage")
    assert [job.args for job in jobs] == [{"stage_id": stage.pk}]


def test_a_defect_of_ours_is_told_on_the_card_and_not_run_into_again_at_once(stage: Stage) -> None:
    stage.newest = {"by": "nonsense"}
    stage.save()
    jobs.look_at_stage(stage_id=stage.pk)
    row = Automation.objects.get(stage=stage)
    assert "Slipway failed while it looked for a newer version: ValueError." in row.message
    assert row.rests_until is not None
    assert row.rests_until > timezone.now()
