"""Two people at the same moment: one outcome each, told truthfully. Real threads, real PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from promotions import engine, governing, operations
from promotions.choices import OPEN_STATUSES, PromotionStatus, Role
from promotions.manifests import Change
from promotions.models import (
    Approval,
    AuditEntry,
    Environment,
    FreezeWindow,
    Lock,
    Promotion,
    RoleGrant,
    Stage,
)
from promotions.policy import Refused
from promotions.workflow import StaleState
from tests import cast
from tests.integrations.loopback import Loopback
from tests.workflow.conftest import at_once
from tests.workflow.small_gitlab import SmallGitLab

pytestmark = pytest.mark.usefixtures("transactional_db")
S = PromotionStatus


def actions() -> list[str]:
    return list(AuditEntry.objects.order_by("id").values_list("action", flat=True))


def approve(pk: int, by: User) -> None:
    operations.approve(Promotion.objects.get(pk=pk), by=by, change_hash=cast.HASH)


def reject(pk: int, by: User) -> None:
    operations.reject(Promotion.objects.get(pk=pk), by=by, change_hash=cast.HASH, comment="no")


@pytest.mark.parametrize("required", [1, 2])
def test_two_approvals_at_once_are_counted_once_each_and_approve_once(
    catalogue: cast.Catalogue, people: cast.People, second_approver: User, required: int
) -> None:
    Environment.objects.update(required_approvals=required)
    promotion = cast.make_promotion(catalogue, people.requester)
    outcomes = at_once(
        partial(approve, promotion.pk, people.approver), partial(approve, promotion.pk, second_approver)
    )
    promotion.refresh_from_db()
    assert promotion.status == S.APPROVED
    assert actions().count("promotion.approved") == 1
    late = [outcome for outcome in outcomes if outcome is not None]
    assert len(late) == 2 - required
    assert all(isinstance(outcome, StaleState) for outcome in late)
    assert Approval.objects.count() == required


def test_one_person_s_double_click_approves_once(catalogue: cast.Catalogue, people: cast.People) -> None:
    Environment.objects.update(required_approvals=2)
    promotion = cast.make_promotion(catalogue, people.requester)
    outcomes = at_once(*[partial(approve, promotion.pk, people.approver)] * 3)
    assert outcomes == [None, None, None]
    assert Approval.objects.count() == 1


def test_approve_against_reject_has_one_winner_and_the_other_is_told(
    catalogue: cast.Catalogue, people: cast.People, second_approver: User
) -> None:
    promotion = cast.make_promotion(catalogue, people.requester)
    outcomes = at_once(
        partial(approve, promotion.pk, people.approver), partial(reject, promotion.pk, second_approver)
    )
    promotion.refresh_from_db()
    winner, loser = (0, 1) if promotion.status == S.APPROVED else (1, 0)
    assert promotion.status in (S.APPROVED, S.REJECTED)
    assert outcomes[winner] is None
    assert isinstance(outcomes[loser], StaleState)
    assert Approval.objects.count() == 1


def test_approve_against_abort_and_begin_has_one_winner_each(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    promotion = cast.make_promotion(catalogue, people.requester)

    def abort() -> None:
        operations.abort(Promotion.objects.get(pk=promotion.pk), by=people.requester, reason="wait")

    outcomes = at_once(partial(approve, promotion.pk, people.approver), abort)
    promotion.refresh_from_db()
    assert promotion.status in (S.ABORTED, S.APPROVED)
    assert [type(each) for each in outcomes if each is not None] in ([], [StaleState])
    statuses = [action for action in actions() if action.startswith("promotion.")]
    assert statuses in (
        ["promotion.approved", "promotion.aborted"],
        ["promotion.aborted"],
        ["promotion.approved"],
    )


def test_approve_against_the_loss_of_the_role_never_lets_it_run_without(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    promotion = cast.make_promotion(catalogue, people.requester)

    def take_away() -> None:
        RoleGrant.objects.filter(user=people.approver).delete()

    at_once(partial(approve, promotion.pk, people.approver), take_away)
    engine.advance(promotion.pk)
    promotion.refresh_from_db()
    assert promotion.status in (S.REQUESTED, S.ERRORED)
    assert promotion.step == ""


def request(catalogue: cast.Catalogue, by: User, version: object | None = None) -> Promotion:
    return operations.request_promotion(
        Stage.objects.get(pk=catalogue.production.pk),
        version or catalogue.newer,  # type: ignore[arg-type]
        by=by,
        reason="today",
    )


def test_a_double_click_on_promote_makes_one_promotion(
    catalogue: cast.Catalogue, people: cast.People, gitlab: Loopback
) -> None:
    outcomes = at_once(*[partial(request, catalogue, people.requester)] * 4)
    (promotion,) = Promotion.objects.all()
    assert outcomes == [promotion] * 4
    assert actions() == ["promotion.requested"]


def test_a_click_that_comes_while_the_first_one_commits_does_not_supersede_it(
    catalogue: cast.Catalogue, people: cast.People, gitlab: Loopback
) -> None:
    for _ in range(4):
        at_once(*[partial(request, catalogue, people.requester)] * 2)
        assert [promotion.status for promotion in Promotion.objects.all()] == [S.REQUESTED]
        Promotion.objects.all().delete()


def test_two_people_who_ask_for_the_same_at_once_make_one_and_the_other_hears_whose(
    catalogue: cast.Catalogue, people: cast.People, second_developer: User, gitlab: Loopback
) -> None:
    outcomes = at_once(
        partial(request, catalogue, people.requester), partial(request, catalogue, second_developer)
    )
    (promotion,) = Promotion.objects.all()
    assert promotion in outcomes
    (refused,) = [outcome for outcome in outcomes if outcome != promotion]
    assert isinstance(refused, Refused)
    assert [refusal.gate for refusal in refused.refusals] == ["requested"]


def test_two_people_who_ask_for_different_versions_leave_one_open(
    catalogue: cast.Catalogue, people: cast.People, second_developer: User, gitlab: Loopback
) -> None:
    other = cast.make_version(catalogue.production.image, "1.2.0", commit="4" * 40)
    at_once(
        partial(request, catalogue, people.requester), partial(request, catalogue, second_developer, other)
    )
    assert Promotion.objects.filter(status__in=OPEN_STATUSES).count() == 1
    assert Promotion.objects.filter(status=S.SUPERSEDED).count() == 1


def test_a_retry_by_two_people_runs_once(
    catalogue: cast.Catalogue, people: cast.People, second_developer: User
) -> None:
    promotion = cast.make_promotion(
        catalogue, people.requester, status=S.FAILED, step="write", finished_at=catalogue.started_at
    )
    Approval.objects.create(
        promotion=promotion,
        person=people.approver,
        person_name="Ada",
        decision="approved",
        change_hash=cast.HASH,
    )

    def retry(by: User) -> None:
        operations.retry(Promotion.objects.get(pk=promotion.pk), by=by)

    outcomes = at_once(partial(retry, people.requester), partial(retry, second_developer))
    promotion.refresh_from_db()
    assert (promotion.status, promotion.attempt) == (S.RUNNING, 2)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "StaleState"]


def test_one_that_ended_before_its_first_step_begins_when_tried_again(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    promotion = cast.make_promotion(
        catalogue, people.requester, status=S.ERRORED, finished_at=catalogue.started_at
    )
    RoleGrant.objects.get_or_create(user=people.requester, role=Role.DEVELOPER)
    Approval.objects.create(
        promotion=promotion,
        person=people.approver,
        person_name="Ada",
        decision="approved",
        change_hash=cast.HASH,
    )
    operations.retry(promotion, by=people.requester)
    promotion.refresh_from_db()
    assert (promotion.status, promotion.step) == (S.APPROVED, "")


def closed_before_the_write(promotion: Promotion, git: SmallGitLab) -> None:
    """Whoever was first: with one commit it had begun before, without one it waits and says why."""
    promotion.refresh_from_db()
    written = len(git.commits) == 2
    assert promotion.status == (S.SUCCEEDED if written else promotion.status)
    if not written:
        assert promotion.status in (S.APPROVED, S.RUNNING)
        assert "An incident" in promotion.message


@pytest.mark.parametrize("closing", ["freeze", "lock"])
def test_a_place_that_closes_between_approval_and_execution_has_one_outcome(
    approved: Promotion, git: SmallGitLab, people: cast.People, closing: str
) -> None:
    now = timezone.now().replace(tzinfo=None)

    def close() -> None:
        if closing == "lock":
            governing.lock(application=None, environment=None, by=people.admin, reason="An incident")
            return
        FreezeWindow.objects.create(
            slug="all",
            reason="An incident",
            begins_at=(now - timedelta(hours=1)).isoformat(),
            ends_at=(now + timedelta(hours=1)).isoformat(),
        )

    at_once(partial(engine.advance, approved.pk), close)
    closed_before_the_write(approved, git)
    Lock.objects.all().delete()
    FreezeWindow.objects.all().delete()
    engine.advance(approved.pk)
    approved.refresh_from_db()
    assert approved.status == S.SUCCEEDED
    assert len(git.commits) == 2


def test_two_locks_of_one_place_at_once_make_one_and_the_other_is_told(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    stop = partial(governing.lock, application=None, environment=None, by=people.admin, reason="An incident")
    outcomes = at_once(stop, stop, stop)
    assert Lock.objects.count() == 1
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Lock", "StaleState", "StaleState"]
    assert AuditEntry.objects.filter(action="lock.set").count() == 1


def test_a_change_that_moves_between_page_and_click_is_never_approved_unseen(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    promotion = cast.make_promotion(catalogue, people.requester)
    other = Change(edits=(), files={}, diff="other", hash="d" * 64)

    def move() -> None:
        engine.replace_change(Promotion.objects.get(pk=promotion.pk), "e" * 40, other)

    outcomes = at_once(partial(approve, promotion.pk, people.approver), move)
    promotion.refresh_from_db()
    if promotion.status == S.APPROVED:
        # The approval was first, so the change it is bound to still stands.
        assert promotion.change_hash == cast.HASH
        assert isinstance(outcomes[1], StaleState)
    else:
        assert (promotion.status, promotion.change_hash, promotion.previous_diff) == (
            S.REQUESTED,
            "d" * 64,
            cast.DIFF,
        )
        assert promotion.standing_approvals() == []


def test_a_version_marked_bad_while_it_is_approved_never_runs(
    catalogue: cast.Catalogue, people: cast.People, git: SmallGitLab
) -> None:
    promotion = cast.make_promotion(catalogue, people.requester)
    at_once(
        partial(approve, promotion.pk, people.approver),
        partial(governing.block, catalogue.newer, by=people.admin, reason="It loses orders"),
    )
    engine.advance(promotion.pk)
    promotion.refresh_from_db()
    assert promotion.status in (S.REQUESTED, S.ERRORED)
    assert len(git.commits) == 1
