"""Slipway rolls back by itself, where the Environment says so: once, to what was good, never in a loop."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from promotions import automation, engine, governing, operations, pins, retreat
from promotions.choices import (
    AutomaticState,
    AutomationState,
    PromoteMode,
    PromotionKind,
    PromotionStatus,
    Role,
)
from promotions.models import (
    AuditEntry,
    AutomaticRollback,
    Automation,
    Environment,
    FreezeWindow,
    Notification,
    NotificationChannel,
    Pin,
    Promotion,
    Stage,
    StageState,
)
from promotions.policy.access import holds, system_account
from tests import cast
from tests.workflow.conftest import at_once
from tests.workflow.small_gitlab import SmallGitLab

pytestmark = pytest.mark.usefixtures("transactional_db")
S = PromotionStatus
MINUTE = timedelta(minutes=1)
RULES = {"automatic": ["verification", "degraded"], "required_approvals": 0, "degraded_for": 5}


@pytest.fixture
def stage(catalogue: cast.Catalogue, git: SmallGitLab) -> Stage:
    """1.1.0 is on the branch and runs; 1.0.0 was there before. What ran is in the registry."""
    Environment.objects.filter(slug="production").update(policy={"rollback": RULES})
    git.push(git.content.replace(b":1.0.0", b":1.1.0"))
    git.images = {"1.0.0": catalogue.old.digest, "1.1.0": catalogue.newer.digest}
    at = {"desired_version": catalogue.newer, "running_version": catalogue.newer}
    StageState.objects.filter(stage=catalogue.production).update(**at)
    return Stage.objects.get(pk=catalogue.production.pk)


def ended(catalogue: cast.Catalogue, people: cast.People, status: S = S.FAILED, **more: Any) -> Promotion:
    """The promotion of 1.1.0, a minute ago; its verification failed unless something else is said."""
    at = timezone.now() - MINUTE
    change = operations.preview(Stage.objects.get(pk=catalogue.production.pk), catalogue.old, None).change
    assert change is not None
    (edit,) = change.edits
    values: dict[str, Any] = {
        "status": status,
        "step": "verify",
        "message": "Verification x failed: 2 of 40.",
        "finished_at": at,
        "status_at": at,
        "written_at": at,
        "requested_at": at - MINUTE,
        "target_commit": "f" * 40,
        # What stands there now is what it wrote.
        "edits": [{"file": edit.file, "key": edit.key, "old": edit.new, "new": edit.old}],
    }
    return cast.make_promotion(catalogue, people.requester, **{**values, **more})


def degraded(since: timedelta, seen: timedelta = timedelta(0)) -> None:
    now = timezone.now()
    StageState.objects.update(
        health_status="Degraded",
        degraded_since=now - since,
        running_seen_at=now - seen,
        running_problem="CrashLoopBackOff",
    )


def look(stage: Stage) -> AutomaticRollback | None:
    retreat.look_at(Stage.objects.get(pk=stage.pk))
    return AutomaticRollback.objects.first()


def test_a_failed_verification_is_rolled_back_with_its_own_diff_and_audit(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage, git: SmallGitLab
) -> None:
    bad = ended(catalogue, people)
    assert retreat.stages() == [stage]
    row = look(stage)
    made = Promotion.objects.exclude(pk=bad.pk).get()
    assert row is not None
    assert (made.kind, made.rollback_of, made.version) == (PromotionKind.ROLLBACK, bad, catalogue.old)
    assert (made.requested_by_name, made.status) == ("Slipway", S.APPROVED)
    assert made.reason == (
        f"Rolled back automatically: verification of 1.1.0 failed (promotion #{bad.pk})."
        " Verification x failed: 2 of 40."
    )
    assert (row.state, row.rollback, row.cause) == (AutomaticState.REQUESTED, made, "verification")
    assert row.message == (
        f"Rolled back automatically to 1.0.0 by promotion #{made.pk}: verification failed."
    )
    engine.advance(made.pk)
    made.refresh_from_db()
    assert made.status == S.SUCCEEDED
    assert b":1.0.0 # by hand" in git.content
    told = AuditEntry.objects.get(action="rollback.requested")
    assert (told.promotion_id, told.actor_name, told.reason) == (bad.pk, "Slipway", row.message)
    asked = AuditEntry.objects.get(action="promotion.requested", promotion=made.pk)
    assert (asked.actor_name, asked.reason) == ("Slipway", made.reason)


def test_looking_again_and_again_asks_once(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage
) -> None:
    ended(catalogue, people)
    for _look in range(3):
        look(stage)
    assert Promotion.objects.count() == 2
    assert AuditEntry.objects.filter(action="rollback.requested").count() == 1


def test_two_workers_at_once_ask_once(catalogue: cast.Catalogue, people: cast.People, stage: Stage) -> None:
    bad = ended(catalogue, people)
    at_once(*[partial(look, stage)] * 3)
    (made,) = Promotion.objects.exclude(pk=bad.pk)
    row = AutomaticRollback.objects.get()
    if row.state == AutomaticState.WAITING:
        # Each saw the other's request in its way: the next look finds it.
        look(stage)
        row.refresh_from_db()
    assert (row.state, row.rollback) == (AutomaticState.REQUESTED, made)
    assert AuditEntry.objects.filter(action="rollback.requested").count() == 1


def test_a_worker_that_died_after_asking_is_taken_up(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage
) -> None:
    bad = ended(catalogue, people)
    look(stage)
    AutomaticRollback.objects.all().delete()
    row = look(stage)
    assert row is not None
    assert (row.state, row.rollback) == (AutomaticState.REQUESTED, Promotion.objects.exclude(pk=bad.pk).get())


@pytest.mark.parametrize("status", [S.SUCCEEDED, S.FAILED])
def test_what_stays_degraded_after_it_arrived_or_where_it_got_stuck_is_rolled_back(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage, status: S
) -> None:
    bad = ended(catalogue, people, status, step="arrive", finished_at=timezone.now() - 20 * MINUTE)
    degraded(since=4 * MINUTE)
    assert look(stage) is None, "not for long enough"
    degraded(since=10 * MINUTE, seen=6 * MINUTE)
    assert look(stage) is None, "nobody has looked since"
    degraded(since=10 * MINUTE)
    row = look(stage)
    assert row is not None
    assert (row.state, row.cause) == (AutomaticState.REQUESTED, "degraded")
    made = Promotion.objects.exclude(pk=bad.pk).get()
    assert "CrashLoopBackOff" in made.reason
    assert "1.1.0 is degraded since" in made.reason


def test_what_goes_bad_long_after_its_promotion_is_people_s(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage
) -> None:
    """Watched for an hour: what begins later, or has been known for hours, is not touched."""
    bad = ended(catalogue, people, S.SUCCEEDED, finished_at=timezone.now() - 90 * MINUTE)
    degraded(since=10 * MINUTE)
    assert look(stage) is None
    Promotion.objects.filter(pk=bad.pk).update(finished_at=timezone.now() - 600 * MINUTE)
    degraded(since=590 * MINUTE)
    assert look(stage) is None
    Promotion.objects.filter(pk=bad.pk).update(status=S.FAILED, step="verify")
    assert look(stage) is None
    assert Promotion.objects.count() == 1


@pytest.mark.parametrize("rules", [{}, {"rollback": {"automatic": ["degraded"]}}])
def test_nothing_is_rolled_back_where_nobody_said_so(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage, rules: dict[str, Any]
) -> None:
    Environment.objects.filter(slug="production").update(policy=rules)
    ended(catalogue, people)
    assert retreat.stages() == ([stage] if rules else [])
    assert look(stage) is None


def test_it_waits_for_approval_where_roll_backs_need_one(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage
) -> None:
    Environment.objects.filter(slug="production").update(policy={"rollback": {"automatic": ["verification"]}})
    bad = ended(catalogue, people)
    look(stage)
    made = Promotion.objects.exclude(pk=bad.pk).get()
    assert made.status == S.REQUESTED
    operations.approve(made, by=people.approver, change_hash=made.change_hash)
    assert made.status == S.APPROVED


def left(row: AutomaticRollback | None) -> str:
    assert row is not None
    assert (row.state, row.rollback) == (AutomaticState.LEFT, None)
    assert AuditEntry.objects.filter(action="rollback.left", reason=row.message).count() == 1
    assert row.message.startswith("Not rolled back automatically (")
    return row.message


def test_an_automatic_roll_back_is_never_rolled_back_itself(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage
) -> None:
    bad = ended(catalogue, people)
    look(stage)
    made = Promotion.objects.exclude(pk=bad.pk).get()
    now = timezone.now()
    Promotion.objects.filter(pk=made.pk).update(
        status=S.FAILED, step="verify", target_commit="e" * 40, finished_at=now, status_at=now
    )
    AutomaticRollback.objects.filter(promotion=bad).delete()
    assert "It was itself an automatic roll-back." in left(look(stage))
    assert Promotion.objects.count() == 2


@pytest.mark.parametrize("case", ["blocked", "failed", "taken back"])
def test_it_does_not_go_back_to_what_was_bad_too(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage, case: str
) -> None:
    hours_ago = timezone.now() - timedelta(hours=5)
    if case == "blocked":
        governing.block(catalogue.old, by=people.admin, reason="It loses orders")
    else:
        status = S.FAILED if case == "failed" else S.SUCCEEDED
        before = ended(
            catalogue, people, status, version=catalogue.old, finished_at=hours_ago, status_at=hours_ago
        )
        if case == "taken back":
            AutomaticRollback.objects.create(
                promotion=before, cause="degraded", state="requested", decided_at=hours_ago
            )
    bad = ended(catalogue, people)
    retreat.look_at(Stage.objects.get(pk=stage.pk))
    told = left(AutomaticRollback.objects.get(promotion=bad))
    assert ("It loses orders" if case == "blocked" else "1.0.0, which was here before, was bad, too.") in told


def test_it_leaves_alone_what_a_person_has_taken_in_hand(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage
) -> None:
    bad = ended(catalogue, people)
    bad = Promotion.objects.get(pk=bad.pk)
    acting = operations.roll_back(bad, by=people.requester, reason="I do it")
    assert f"Rin Sato acts already: promotion #{acting.pk}." in left(look(stage))
    acting.refresh_from_db()
    assert acting.is_open, "it is not superseded"


def test_what_slipway_itself_asked_for_gives_way_to_the_roll_back(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage
) -> None:
    bad = ended(catalogue, people)
    newest = cast.make_version(stage.image, "1.2.0", commit="5" * 40)
    waiting = cast.make_promotion(catalogue, system_account(), version=newest)
    row = look(stage)
    assert row is not None
    assert (row.promotion, row.state) == (bad, AutomaticState.REQUESTED)
    waiting.refresh_from_db()
    assert waiting.status == S.SUPERSEDED


def test_automatic_promotion_neither_overtakes_an_automatic_roll_back_nor_undoes_it(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage
) -> None:
    Stage.objects.filter(pk=stage.pk).update(promote=PromoteMode.AUTOMATICALLY)
    Environment.objects.update(required_approvals=0)
    bad = ended(catalogue, people, S.SUCCEEDED, finished_at=timezone.now() - 30 * MINUTE)
    degraded(since=10 * MINUTE)
    look(stage)
    back = Promotion.objects.exclude(pk=bad.pk).get()
    automation.look_at(stage.pk)
    assert Promotion.objects.count() == 2, "what takes 1.1.0 back is not replaced by 1.1.0"
    engine.advance(back.pk)
    StageState.objects.update(
        desired_version=catalogue.old,
        desired_tag="1.0.0",
        running_version=catalogue.old,
        running_tag="1.0.0",
        health_status="Healthy",
        degraded_since=None,
    )
    automation.look_at(stage.pk)
    row = Automation.objects.get(stage=stage)
    assert (row.state, Pin.objects.get().promotion) == (AutomationState.HELD, back), row.message
    assert "pinned to 1.0.0 by Slipway because: Rolled back" in row.message
    assert Promotion.objects.count() == 2
    # Whoever lifts the pin lets it go on, once and for all.
    pins.unpin(Stage.objects.get(pk=stage.pk), by=people.requester, reason="Mended")
    automation.look_at(stage.pk)
    assert Promotion.objects.latest("pk").version == catalogue.newer
    assert Pin.objects.count() == 1


def test_a_request_that_was_closed_before_it_went_bad_does_not_count(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage
) -> None:
    bad = ended(catalogue, people, S.SUCCEEDED, finished_at=timezone.now() - 30 * MINUTE)
    then = timezone.now() - 20 * MINUTE
    cast.make_promotion(catalogue, people.requester, status="rejected", requested_at=then, finished_at=then)
    degraded(since=10 * MINUTE)
    row = look(stage)
    assert row is not None
    assert (row.promotion, row.state) == (bad, AutomaticState.REQUESTED)


def test_it_leaves_alone_what_somebody_edited_in_git(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage, git: SmallGitLab
) -> None:
    NotificationChannel.objects.create(slug="chat", url="env:CHAT_URL", events=["succeeded"])
    ended(catalogue, people)
    git.push(git.content.replace(b":1.1.0", b":1.1.1"))
    told = left(look(stage))
    assert "Somebody changed the manifests since." in told
    assert told in Notification.objects.get().body, "people count on it to be mended"


def test_it_has_nowhere_to_go_where_nothing_was_good(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage
) -> None:
    ended(catalogue, people, from_version=None)
    assert "No other version succeeded here before." in left(look(stage))


def test_it_halts_at_a_lock_and_goes_on_when_that_is_lifted(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage
) -> None:
    bad = ended(catalogue, people)
    stop = governing.lock(application=None, environment=None, by=people.admin, reason="An incident")
    row = look(stage)
    assert row is not None
    assert row.state == AutomaticState.WAITING
    assert "An incident" in row.message
    assert Promotion.objects.count() == 1
    governing.lift(stop, by=people.admin, reason="Over")
    row = look(stage)
    assert row is not None
    assert (row.state, Promotion.objects.exclude(pk=bad.pk).count()) == (AutomaticState.REQUESTED, 1)


def test_what_waits_at_a_lock_ends_with_the_watch_and_says_so(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage
) -> None:
    bad = ended(catalogue, people)
    governing.lock(application=None, environment=None, by=people.admin, reason="An incident")
    look(stage)
    Promotion.objects.filter(pk=bad.pk).update(finished_at=timezone.now() - 61 * MINUTE)
    assert "An incident" in left(look(stage))


def test_what_recovers_while_it_waits_is_forgotten(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage
) -> None:
    ended(catalogue, people, S.SUCCEEDED, finished_at=timezone.now() - 30 * MINUTE)
    degraded(since=10 * MINUTE)
    governing.lock(application=None, environment=None, by=people.admin, reason="An incident")
    assert look(stage) is not None
    StageState.objects.update(degraded_since=None)
    assert look(stage) is None


def test_a_freeze_holds_it_unless_roll_backs_are_let_off(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage
) -> None:
    FreezeWindow.objects.create(slug="all", begins_at="2020-01-01T00:00", ends_at="2099-01-01T00:00")
    bad = ended(catalogue, people)
    look(stage)
    made = Promotion.objects.exclude(pk=bad.pk).get()
    engine.advance(made.pk)
    made.refresh_from_db()
    assert made.status == S.APPROVED
    assert "is frozen" in made.message
    Environment.objects.filter(slug="production").update(policy={"rollback": {**RULES, "skip": ["freeze"]}})
    engine.advance(made.pk)
    made.refresh_from_db()
    assert made.status == S.SUCCEEDED


def test_an_outage_of_the_repository_is_waited_out(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage, git: SmallGitLab
) -> None:
    ended(catalogue, people)
    git.is_down = True
    row = look(stage)
    assert row is not None
    assert (row.state, "GitLab" in row.message) == (AutomaticState.WAITING, True)
    git.is_down = False
    row = look(stage)
    assert row is not None
    assert row.state == AutomaticState.REQUESTED


def test_slipway_s_account_asks_where_it_was_told_to_and_never_approves_or_signs_in(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage
) -> None:
    account = system_account()
    assert account == system_account()
    assert (account.is_active, account.has_usable_password()) == (False, False)
    held = [holds(account, role, stage) for role in (Role.DEVELOPER, Role.APPROVER, Role.ADMIN)]
    assert held == [True, False, False]
    assert not holds(account, Role.DEVELOPER, catalogue.dev), "nobody said so there"
    # An account that somebody made active is a person's, and holds what it was granted: nothing.
    account.is_active = True
    assert not holds(account, Role.DEVELOPER, stage)
