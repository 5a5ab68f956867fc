"""Promotions for a set time: kept, begun, ended with the reason, overdue, cancelled, replaced."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from promotions import engine, governing, operations, scheduling
from promotions.choices import PromotionStatus
from promotions.manifests import Change
from promotions.models import (
    AuditEntry,
    Environment,
    FreezeWindow,
    Lock,
    Promotion,
    RoleGrant,
    Schedule,
    Stage,
)
from promotions.policy.schedule import When
from tests import cast
from tests.workflow.conftest import at_once
from tests.workflow.small_gitlab import BASE, SmallGitLab

S = PromotionStatus
H = timedelta(hours=1)
M = timedelta(minutes=1)


def ask(
    catalogue: cast.Catalogue, people: cast.People, *, begin: timedelta = H, end: timedelta | None = None
) -> Promotion:
    now = timezone.now()
    when = When(now + begin, now + end if end else None, "Europe/Berlin")
    stage = Stage.objects.get(pk=catalogue.production.pk)
    return operations.request_promotion(
        stage, catalogue.newer, by=people.requester, reason="tonight", when=when
    )


def approve(promotion: Promotion, people: cast.People) -> None:
    operations.approve(promotion, by=people.approver, change_hash=promotion.change_hash)


def later(by: timedelta) -> None:
    """Its time comes nearer by so much."""
    for schedule in Schedule.objects.all():
        schedule.not_before -= by
        schedule.until = schedule.until - by if schedule.until else None
        schedule.save()


def advanced(promotion: Promotion) -> Promotion:
    engine.advance(promotion.pk)
    return Promotion.objects.get(pk=promotion.pk)


@pytest.fixture
def tonight(catalogue: cast.Catalogue, people: cast.People, git: SmallGitLab) -> Promotion:
    """Approved, to begin in an hour."""
    promotion = ask(catalogue, people)
    approve(promotion, people)
    return promotion


def test_it_is_approved_as_usual_waits_for_its_time_and_then_runs(
    tonight: Promotion, git: SmallGitLab
) -> None:
    waiting = advanced(tonight)
    assert waiting.status == S.APPROVED
    assert waiting.message.startswith("It is scheduled for ")
    assert waiting.look_at == waiting.schedule.not_before
    assert [sha for sha, *_rest in git.commits] == [BASE]
    later(H + M)
    assert advanced(tonight).status == S.SUCCEEDED
    told = AuditEntry.objects.get(action="promotion.scheduled")
    assert told.actor_name == "Rin Sato"
    assert told.reason.endswith("(Europe/Berlin), if every gate is open then.")


def test_before_its_time_no_closed_gate_ends_it(
    tonight: Promotion, git: SmallGitLab, catalogue: cast.Catalogue, people: cast.People
) -> None:
    governing.block(catalogue.newer, by=people.approver, reason="Looks bad")
    assert advanced(tonight).status == S.APPROVED
    governing.unblock(catalogue.newer, by=people.approver, reason="It was not")
    later(H + M)
    assert advanced(tonight).status == S.SUCCEEDED


def test_a_gate_that_is_closed_at_its_time_ends_it_with_the_reason(tonight: Promotion) -> None:
    lock = Lock.objects.create(reason="An incident", set_by_name="Mar Costa")
    later(H + M)
    ended = advanced(tonight)
    assert ended.status == S.ERRORED
    assert ended.message.startswith("It was to begin at ")
    assert "a gate was closed: Mar Costa locked everything" in ended.message
    lock.delete()
    assert advanced(tonight).status == S.ERRORED


def test_until_its_end_it_waits_for_the_gates_and_begins_when_they_open(
    catalogue: cast.Catalogue, people: cast.People, git: SmallGitLab
) -> None:
    promotion = ask(catalogue, people, end=3 * H)
    approve(promotion, people)
    lock = Lock.objects.create(reason="An incident", set_by_name="Mar Costa")
    later(H + M)
    held = advanced(promotion)
    assert held.status == S.APPROVED
    assert "An incident" in held.message
    lock.delete()
    assert advanced(promotion).status == S.SUCCEEDED


def test_at_its_end_it_says_what_kept_it_back(
    catalogue: cast.Catalogue, people: cast.People, git: SmallGitLab
) -> None:
    promotion = ask(catalogue, people, end=3 * H)
    approve(promotion, people)
    Lock.objects.create(reason="An incident", set_by_name="Mar Costa")
    later(2 * H)
    advanced(promotion)
    later(2 * H)
    ended = advanced(promotion)
    assert ended.status == S.ERRORED
    assert "It was to begin by" in ended.message
    assert "An incident" in ended.message


def test_within_the_grace_after_a_downtime_it_still_runs(tonight: Promotion) -> None:
    later(H + 59 * M)
    assert advanced(tonight).status == S.SUCCEEDED


def test_overdue_beyond_the_grace_it_runs_only_when_a_person_says_so(
    tonight: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    later(2 * H + M)
    ended = advanced(tonight)
    assert ended.status == S.ERRORED
    assert "Slipway was not running then" in ended.message
    assert [sha for sha, *_rest in git.commits] == [BASE]
    operations.retry(ended, by=people.requester)
    assert advanced(tonight).status == S.SUCCEEDED


def test_after_a_downtime_an_end_that_a_person_set_counts_alone(
    catalogue: cast.Catalogue, people: cast.People, git: SmallGitLab
) -> None:
    promotion = ask(catalogue, people, end=8 * H)
    approve(promotion, people)
    later(6 * H)
    assert advanced(promotion).status == S.SUCCEEDED


def test_what_nobody_approved_in_time_ends(
    catalogue: cast.Catalogue, people: cast.People, git: SmallGitLab
) -> None:
    promotion = ask(catalogue, people)
    scheduling.look()
    promotion.refresh_from_db()
    assert promotion.status == S.REQUESTED
    later(H + M)
    scheduling.look()
    promotion.refresh_from_db()
    assert promotion.status == S.ABORTED
    assert promotion.message.startswith("It was not approved by ")
    assert promotion.message.endswith("1 approval is missing.")


def test_an_end_leaves_time_for_approval(
    catalogue: cast.Catalogue, people: cast.People, git: SmallGitLab
) -> None:
    promotion = ask(catalogue, people, end=3 * H)
    later(2 * H)
    scheduling.look()
    approve(promotion, people)
    assert advanced(promotion).status == S.SUCCEEDED


def test_an_approval_lost_before_its_time_is_asked_for_again(tonight: Promotion, people: cast.People) -> None:
    given = RoleGrant.objects.get(user=people.approver)
    RoleGrant.objects.filter(pk=given.pk).delete()
    assert advanced(tonight).status == S.REQUESTED
    given.save(force_insert=True)
    assert advanced(tonight).status == S.APPROVED
    assert Schedule.objects.get().released_at is None


def test_a_change_that_differs_falls_back_to_its_approvers_and_keeps_its_time(
    tonight: Promotion, people: cast.People
) -> None:
    change = Change(edits=(), files={}, diff="other", hash="e" * 64)
    engine.replace_change(tonight, "c" * 40, change)
    again = Promotion.objects.get(pk=tonight.pk)
    assert again.status == S.REQUESTED
    approve(again, people)
    waiting = advanced(again)
    assert (waiting.status, waiting.attempt) == (S.APPROVED, 2)
    assert waiting.message.startswith("It is scheduled for ")


def test_it_can_be_cancelled_and_a_newer_request_takes_its_place(
    tonight: Promotion, catalogue: cast.Catalogue, people: cast.People, git: SmallGitLab
) -> None:
    stage = Stage.objects.get(pk=catalogue.production.pk)
    cast.make_version(catalogue.newer.image, "1.2.0", commit="4" * 40)
    newest = catalogue.newer.image.versions.get(tag="1.2.0")
    operations.request_promotion(stage, newest, by=people.requester, reason="now")
    tonight.refresh_from_db()
    assert tonight.status == S.SUPERSEDED
    again = Promotion.objects.get(status=S.REQUESTED)
    operations.abort(again, by=people.requester, reason="Not tonight")
    assert advanced(again).status == S.ABORTED


def test_an_environment_without_approvals_keeps_the_time(
    catalogue: cast.Catalogue, people: cast.People, git: SmallGitLab
) -> None:
    Environment.objects.update(required_approvals=0)
    promotion = ask(catalogue, people)
    assert advanced(promotion).status == S.APPROVED
    later(H + M)
    assert advanced(promotion).status == S.SUCCEEDED


def test_a_freeze_at_its_time_ends_it_and_one_that_is_over_does_not(tonight: Promotion) -> None:
    now = timezone.now().replace(tzinfo=None)
    begins, ends = now - H, now + 2 * H
    FreezeWindow.objects.create(slug="x", begins_at=begins.isoformat(), ends_at=ends.isoformat())
    later(H + M)
    ended = advanced(tonight)
    assert ended.status == S.ERRORED
    assert "is frozen until" in ended.message


@pytest.mark.usefixtures("transactional_db")
def test_two_workers_at_its_time_begin_it_once(tonight: Promotion, git: SmallGitLab) -> None:
    later(H + M)
    at_once(*[partial(engine.advance, tonight.pk)] * 3)
    engine.advance(tonight.pk)
    assert Promotion.objects.get().status == S.SUCCEEDED
    assert len(git.commits) == 2
    assert AuditEntry.objects.filter(action="promotion.running").count() == 1


@pytest.mark.usefixtures("transactional_db")
def test_approval_against_the_end_of_its_time_has_one_outcome(
    catalogue: cast.Catalogue, people: cast.People, git: SmallGitLab
) -> None:
    promotion = ask(catalogue, people)
    later(H + M)
    at_once(partial(approve, promotion, people), scheduling.look)
    promotion.refresh_from_db()
    assert promotion.status in (S.APPROVED, S.ABORTED)
    actions = list(
        AuditEntry.objects.filter(action__startswith="promotion.").values_list("action", flat=True)
    )
    assert ("promotion.approved" in actions) == (promotion.status == S.APPROVED)
    assert ("promotion.aborted" in actions) == (promotion.status == S.ABORTED)
