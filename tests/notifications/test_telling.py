"""Scenario A, step 6: rooms and people are told, once, after the fact, and only what they asked for."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from promotions import operations
from promotions.choices import Event, PromotionStatus
from promotions.models import (
    Environment,
    Notification,
    NotificationChannel,
    Promotion,
    Stage,
    Subscription,
)
from promotions.notifications import plain, shortened
from promotions.telling import sending
from promotions.workflow import transition
from tests import cast
from tests.notifications.conftest import Room, channel, direct, told
from tests.workflow.small_gitlab import SmallGitLab

pytestmark = pytest.mark.django_db


def subscribe(
    user: User, to: NotificationChannel, *events: Event, applications: tuple[str, ...] = ()
) -> Subscription:
    return Subscription.objects.create(
        user=user, channel=to, events=list(events), applications=list(applications)
    )


def test_a_change_of_status_is_told_with_who_what_and_where(room: Room, promotion: Promotion) -> None:
    channel()
    transition(promotion, PromotionStatus.APPROVED, by=None, message="Approved; about to begin.")
    assert sending.send_due() == 1
    (said,) = room.heard
    assert said["title"].endswith(": approved")
    assert promotion.version.label in said["title"]
    lines = said["message"].splitlines()
    assert lines[0] == "By Slipway."
    assert "Why: It is time" in lines
    assert lines[-1].endswith(f"/promotions/{promotion.pk}/")
    assert sending.send_due() == 0, "told once"


def test_a_message_holds_what_changes_in_bounded_length(room: Room, promotion: Promotion) -> None:
    channel()
    long = "x" * 500
    edit = {"file": "values.yaml", "key": f"{long}.image.tag", "old": f"{long}:1.0.0", "new": "1.1.0"}
    promotion.edits, promotion.reason = [edit] * 8, f"first\nBy Admin.\r{long}"
    transition(promotion, PromotionStatus.APPROVED, by=None)
    sending.send_due()
    lines = room.heard[0]["message"].splitlines()
    assert [line.startswith("By ") for line in lines] == [True] + [False] * (len(lines) - 1)
    assert max(map(len, lines)) < 400
    shown = [line for line in lines if line.startswith("values.yaml …")]
    assert len(shown) == 5
    assert all(line.endswith("x:1.0.0 → 1.1.0") for line in shown)
    assert "and 3 more keys" in lines


def test_what_is_rolled_back_is_not_told(room: Room, promotion: Promotion) -> None:
    channel()
    with transaction.atomic():
        transition(promotion, PromotionStatus.APPROVED, by=None)
        assert told() == [("chat", "", "approved")], "in the transaction of what it tells"
        transaction.set_rollback(True)
    assert sending.send_due() == 0
    assert room.heard == []


def test_a_channel_hears_only_what_it_asked_for(promotion: Promotion) -> None:
    channel(slug="others", applications=["another"])
    channel(slug="failures", events=["failed"])
    channel(slug="nobody", personal="username", url="env:DIRECT_URL")
    transition(promotion, PromotionStatus.APPROVED, by=None)
    assert not Notification.objects.exists()


def test_a_rollback_that_succeeded_is_told_as_one_to_both_wishes(promotion: Promotion) -> None:
    for wish in ("succeeded", "rolled-back", "failed"):
        channel(slug=wish, events=[wish])
    promotion.kind, promotion.status = "rollback", "running"
    promotion.save()
    transition(promotion, PromotionStatus.SUCCEEDED, by=None, look_at=None)
    assert told() == [("rolled-back", "", "rolled-back"), ("succeeded", "", "rolled-back")]
    assert set(Notification.objects.values_list("title", flat=True)) == {
        "flask-k8s-example to 1.1.0 in Production: rolled back"
    }


def test_each_person_hears_of_the_events_and_applications_they_chose(
    promotion: Promotion, people: cast.People
) -> None:
    to = direct()
    subscribe(people.requester, to, Event.APPROVED, applications=("flask-k8s-example",))
    subscribe(people.viewer, to, Event.APPROVED, applications=("another",))
    subscribe(people.admin, to, Event.FAILED)
    transition(promotion, PromotionStatus.APPROVED, by=None)
    assert told() == [("direct", "requester", "approved")]


@pytest.mark.parametrize(("needed", "expected"), [(1, "requested"), (0, "approved")])
def test_an_environment_that_asks_nobody_tells_nobody_that_it_waits(
    catalogue: cast.Catalogue, people: cast.People, git: SmallGitLab, needed: int, expected: str
) -> None:
    channel()
    Environment.objects.update(required_approvals=needed)
    stage = Stage.objects.get(pk=catalogue.production.pk)
    operations.request_promotion(stage, catalogue.newer, by=people.requester, reason="now")
    assert told() == [("chat", "", expected)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a\n\tb  c", "a b c"), ("a\u202eb\u200bc\x00d", "abcd"), ("naïve 日本 🚀", "naïve 日本 🚀")],
)
def test_what_people_wrote_stays_on_one_line(text: str, expected: str) -> None:
    assert plain(text) == expected
    assert len(shortened(text * 50, 20)) <= 20
