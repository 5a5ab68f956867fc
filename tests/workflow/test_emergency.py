"""Broken glass: named gates are passed for one change, the chat hears of it, somebody else reviews it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from promotions import emergency, engine, governing, operations
from promotions.choices import PromotionStatus
from promotions.emergency import Glass
from promotions.manifests import Change
from promotions.models import (
    AuditEntry,
    BreakGlass,
    Environment,
    FreezeWindow,
    Lock,
    Notification,
    NotificationChannel,
    Promotion,
    ReviewTask,
    Stage,
)
from promotions.policy import Refused
from promotions.workflow import StaleState
from tests import cast
from tests.workflow.conftest import at_once
from tests.workflow.small_gitlab import BASE, SmallGitLab

pytestmark = pytest.mark.usefixtures("transactional_db")
S = PromotionStatus
PLACE = "flask-k8s-example / Production"


def glass(*gates: str, reason: str = "Orders are being lost", confirmed: str = PLACE) -> Glass:
    return Glass(frozenset(gates), reason, confirmed)


def break_it(promotion: Promotion, by: User, *gates: str, **said: str) -> Promotion:
    fresh = Promotion.objects.get(pk=promotion.pk)
    emergency.break_glass(fresh, glass(*gates, **said), by=by, change_hash=fresh.change_hash)
    return fresh


def policy(**rules: Any) -> None:
    Environment.objects.filter(slug="production").update(policy=rules)


def freeze() -> None:
    FreezeWindow.objects.create(slug="all", begins_at="2020-01-01T00:00", ends_at="2099-01-01T00:00")


def advanced(promotion: Promotion) -> Promotion:
    engine.advance(promotion.pk)
    return Promotion.objects.get(pk=promotion.pk)


def gates_of(raised: pytest.ExceptionInfo[Refused]) -> list[str]:
    return [refusal.gate for refusal in raised.value.refusals]


@pytest.fixture
def waiting(catalogue: cast.Catalogue, people: cast.People, git: SmallGitLab) -> Promotion:
    stage = Stage.objects.get(pk=catalogue.production.pk)
    return operations.request_promotion(stage, catalogue.newer, by=people.requester, reason="today")


def test_named_gates_are_passed_and_all_of_it_is_written_down(
    waiting: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    freeze()
    broken = break_it(waiting, people.admin, "approvals", "freeze")
    assert (broken.status, broken.message) == (
        S.APPROVED,
        "The glass is broken: no approval is waited for.",
    )
    assert advanced(waiting).status == S.SUCCEEDED
    assert len(git.commits) == 2
    entry = AuditEntry.objects.get(action="glass.broken")
    assert (entry.actor_name, entry.reason, entry.change_hash) == (
        "Mar Costa",
        "Orders are being lost",
        waiting.change_hash,
    )
    assert entry.data["gates"] == ["approvals", "freeze"]
    review = ReviewTask.objects.open().get()
    assert (review.promotion, review.person) == (waiting, people.admin)


def test_a_gate_that_was_not_named_still_holds(
    waiting: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    freeze()
    break_it(waiting, people.admin, "approvals")
    halted = advanced(waiting)
    assert halted.status == S.APPROVED
    assert "is frozen" in halted.message
    assert [sha for sha, *_rest in git.commits] == [BASE]


def test_it_holds_at_every_later_hop_but_a_lock_halts_it_all_the_same(
    waiting: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    break_it(waiting, people.admin, "approvals", "freeze")
    stop = governing.lock(application=None, environment=None, by=people.admin, reason="An incident")
    assert "An incident" in advanced(waiting).message
    governing.lift(stop, by=people.admin, reason="Over")
    Promotion.objects.update(status=S.RUNNING, step="write")
    freeze()
    assert advanced(waiting).status == S.SUCCEEDED


def test_a_lock_is_passed_only_where_the_catalogue_says_so_and_the_emergency_stop_never_with_it(
    waiting: Promotion, people: cast.People
) -> None:
    with pytest.raises(Refused, match="does not cover: lock") as raised:
        break_it(waiting, people.admin, "lock")
    assert gates_of(raised) == ["break-glass"]
    policy(break_glass={"gates": ["lock", "approvals"]})
    stage = waiting.stage
    governing.lock(
        application=stage.application, environment=stage.environment, by=people.admin, reason="A migration"
    )
    break_it(waiting, people.admin, "lock", "approvals")
    governing.lock(application=None, environment=None, by=people.admin, reason="An incident")
    assert "An incident" in advanced(waiting).message
    Lock.objects.filter(application=None).delete()
    assert advanced(waiting).status == S.SUCCEEDED


def test_it_falls_with_the_change_it_was_broken_for(
    waiting: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    break_it(waiting, people.admin, "approvals")
    git.push(git.content.replace(b":1.0.0", b":1.0.1"))
    halted = advanced(waiting)
    assert halted.status == S.REQUESTED
    assert "another change than the approved one" in halted.message
    assert advanced(waiting).status == S.REQUESTED
    break_it(waiting, people.admin, "approvals")
    assert advanced(waiting).status == S.SUCCEEDED
    assert ReviewTask.objects.open().count() == 2


def test_it_falls_with_the_role_of_who_broke_it_and_with_what_the_catalogue_allows(
    waiting: Promotion, people: cast.People
) -> None:
    policy(break_glass={"roles": ["approver"]})
    freeze()
    break_it(waiting, people.approver, "approvals", "freeze")
    people.approver.role_grants.update(role="developer")
    assert advanced(waiting).status == S.REQUESTED
    people.approver.role_grants.update(role="approver")
    assert break_it(waiting, people.approver, "approvals", "freeze").status == S.APPROVED
    assert ReviewTask.objects.count() == 1, "it was broken already"
    policy(break_glass={"roles": ["approver"], "gates": ["approvals"]})
    assert "is frozen" in advanced(waiting).message


@pytest.mark.parametrize("who", ["requester", "approver", "viewer"])
def test_only_the_roles_that_the_catalogue_names_may(
    waiting: Promotion, people: cast.People, who: str
) -> None:
    with pytest.raises(Refused, match="takes the role admin") as raised:
        break_it(waiting, getattr(people, who), "approvals")
    (refusal,) = raised.value.refusals
    assert (refusal.gate, refusal.fix) == ("role", "Mar Costa")
    policy(break_glass={"gates": []})
    with pytest.raises(Refused, match="can't be broken"):
        break_it(waiting, people.admin, "approvals")
    assert not BreakGlass.objects.exists()


@pytest.mark.parametrize(
    ("said", "gate"),
    [
        ({"reason": "  "}, "reason"),
        ({"confirmed": "flask-k8s-example / Development"}, "confirmation"),
        ({"confirmed": ""}, "confirmation"),
    ],
)
def test_a_reason_and_the_stage_s_name_are_typed(
    waiting: Promotion, people: cast.People, said: dict[str, str], gate: str
) -> None:
    with pytest.raises(Refused) as raised:
        break_it(waiting, people.admin, "approvals", **said)
    assert gates_of(raised) == [gate]
    assert not ReviewTask.objects.exists()
    break_it(waiting, people.admin, "approvals", confirmed=" flask-k8s-example/production ")


@pytest.mark.parametrize("gate", ["exists", "role", "four-eyes", "image", "tag", "change", ""])
def test_some_gates_are_passed_by_nobody(waiting: Promotion, people: cast.People, gate: str) -> None:
    policy(break_glass={"gates": [gate, "freeze"]})
    with pytest.raises(Refused) as raised:
        break_it(waiting, people.admin, *filter(None, [gate]))
    assert gates_of(raised) == ["break-glass" if gate else "gates"]


def test_an_image_that_is_gone_ends_it_whatever_was_broken(
    waiting: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    break_it(waiting, people.admin, *sorted(["approvals", "freeze", "soak", "order", "checks", "scan"]))
    git.images = {}
    ended = advanced(waiting)
    assert (ended.status, "has not had" in ended.message) == (S.ERRORED, True)


def test_what_nobody_may_ask_for_is_asked_for_through_the_glass(
    catalogue: cast.Catalogue, people: cast.People, git: SmallGitLab
) -> None:
    """It has never been in development, which the Environment requires."""
    policy(requires=["dev"])
    stage = Stage.objects.get(pk=catalogue.production.pk)
    ask = partial(operations.request_promotion, stage, catalogue.newer, by=people.admin, reason="x")
    with pytest.raises(Refused, match="has not been in"):
        ask()
    with pytest.raises(Refused, match="has not been in"):
        ask(glass=glass("approvals"))
    made = ask(glass=glass("order", "approvals"))
    assert made.status == S.APPROVED
    assert ask(glass=glass("order", "approvals")) == made, "the second of two equal clicks"
    assert (BreakGlass.objects.count(), ReviewTask.objects.count()) == (1, 1)
    assert advanced(made).status == S.SUCCEEDED


def test_one_that_ended_at_a_gate_is_tried_again_through_the_glass(
    waiting: Promotion, git: SmallGitLab, people: cast.People, catalogue: cast.Catalogue
) -> None:
    policy(break_glass={"gates": ["approvals", "blocked"]})
    break_it(waiting, people.admin, "approvals")
    governing.block(catalogue.newer, by=people.approver, reason="It loses orders")
    ended = advanced(waiting)
    assert ended.status == S.ERRORED
    break_it(waiting, people.admin, "blocked")
    operations.retry(Promotion.objects.get(pk=waiting.pk), by=people.admin)
    assert advanced(waiting).status == S.SUCCEEDED
    with pytest.raises(StaleState, match="already ended"):
        break_it(waiting, people.admin, "approvals")


def test_a_change_that_was_not_seen_is_not_let_go(waiting: Promotion, people: cast.People) -> None:
    with pytest.raises(StaleState, match="no longer the one"):
        emergency.break_glass(waiting, glass("approvals"), by=people.admin, change_hash="0" * 64)


def test_every_channel_of_the_place_hears_of_it_whatever_it_asked_for(
    waiting: Promotion, people: cast.People
) -> None:
    chat = NotificationChannel.objects.create(slug="chat", url="env:CHAT_URL", events=["failed"])
    NotificationChannel.objects.create(slug="other", url="env:CHAT_URL", applications=["another"])
    break_it(waiting, people.admin, "approvals")
    break_it(waiting, people.admin, "freeze")
    told = list(Notification.objects.order_by("id"))
    assert [each.channel for each in told] == [chat, chat]
    assert told[0].title == "flask-k8s-example / Production: the glass was broken for 1.1.0"
    assert "Mar Costa broke the glass to pass: approvals. Orders are being lost" in told[0].body
    assert "to pass: freeze" in told[1].body


def test_somebody_else_closes_the_review_with_a_comment(
    waiting: Promotion, people: cast.People, second_approver: User
) -> None:
    people.requester.role_grants.update(role="approver")
    break_it(waiting, people.admin, "approvals")
    (task,) = ReviewTask.objects.for_pages()
    for who, sentence in (
        (people.admin, "Who broke the glass or asked"),
        (people.requester, "Who broke the glass or asked"),
        (people.viewer, "is not an approver"),
    ):
        with pytest.raises(Refused, match=sentence):
            emergency.close_review(task, by=who, comment="Fine")
    with pytest.raises(Refused, match="what the review found"):
        emergency.close_review(task, by=second_approver, comment="  ")
    emergency.close_review(task, by=second_approver, comment="It was right")
    task.refresh_from_db()
    assert (task.closed_by, task.comment) == (second_approver, "It was right")
    assert AuditEntry.objects.get(action="review.closed").reason == "It was right"
    with pytest.raises(StaleState, match="closed already"):
        emergency.close_review(task, by=people.approver, comment="Me too")


def test_the_database_itself_wants_a_comment_and_somebody_else(
    waiting: Promotion, people: cast.People
) -> None:
    task = cast.make_review(waiting, people.admin)
    closed = {"closed_at": timezone.now(), "closed_by": people.approver, "comment": "Fine"}
    for wrong in ({"comment": ""}, {"closed_by": people.admin}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ReviewTask.objects.filter(pk=task.pk).update(**{**closed, **wrong})
    with pytest.raises(IntegrityError), transaction.atomic():
        BreakGlass.objects.update(gates=[])
    assert ReviewTask.objects.filter(pk=task.pk).update(**closed) == 1


def test_two_reviewers_at_once_close_it_once(
    waiting: Promotion, people: cast.People, second_approver: User
) -> None:
    task = cast.make_review(waiting, people.admin)

    def close(by: User) -> None:
        emergency.close_review(ReviewTask.objects.for_pages().get(pk=task.pk), by=by, comment="Fine")

    outcomes = at_once(partial(close, people.approver), partial(close, second_approver))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "StaleState"]
    assert AuditEntry.objects.filter(action="review.closed").count() == 1


def test_a_double_click_breaks_it_once(waiting: Promotion, people: cast.People) -> None:
    outcomes = at_once(*[partial(break_it, waiting, people.admin, "approvals")] * 3)
    assert outcomes == [waiting] * 3
    assert (BreakGlass.objects.count(), ReviewTask.objects.count()) == (1, 1)
    assert AuditEntry.objects.filter(action="promotion.approved").count() == 1


def test_broken_glass_against_a_lock_has_one_outcome(
    waiting: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    """Whoever was first: what the lock found unwritten is halted, and goes on when it is lifted."""

    def through() -> None:
        break_it(waiting, people.admin, "approvals", "freeze")
        engine.advance(waiting.pk)

    stop = partial(governing.lock, application=None, environment=None, by=people.admin, reason="An incident")
    at_once(through, stop)
    found = Promotion.objects.get(pk=waiting.pk)
    if len(git.commits) == 1:
        assert found.status in (S.APPROVED, S.RUNNING)
        assert "An incident" in advanced(waiting).message
        assert len(git.commits) == 1
    Lock.objects.all().delete()
    assert advanced(waiting).status == S.SUCCEEDED
    assert len(git.commits) == 2


def test_broken_glass_against_a_change_that_moves_lets_go_nothing_unseen(
    waiting: Promotion, people: cast.People
) -> None:
    other = Change(edits=(), files={}, diff="other", hash="d" * 64)

    def move() -> None:
        engine.replace_change(Promotion.objects.get(pk=waiting.pk), "e" * 40, other)

    def through() -> None:
        fresh = Promotion.objects.get(pk=waiting.pk)
        emergency.break_glass(fresh, glass("approvals"), by=people.admin, change_hash=waiting.change_hash)

    at_once(through, move)
    found = Promotion.objects.get(pk=waiting.pk)
    if found.change_hash == "d" * 64:
        assert found.status == S.REQUESTED
    else:
        assert found.status == S.APPROVED
