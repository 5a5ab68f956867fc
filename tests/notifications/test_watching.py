"""What time and other people's acts make worth telling: approvers, what is stuck, outages. Told once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from promotions import operations
from promotions.choices import Event, Role, UpstreamState
from promotions.models import (
    FreezeWindow,
    Notification,
    Outage,
    Promotion,
    RoleGrant,
    StepResult,
    Subscription,
    Upstream,
)
from promotions.telling import outages, sending
from promotions.telling.watching import tell_approvers, tell_stuck
from tests import cast
from tests.notifications.conftest import Room, channel, direct, told
from tests.notifications.test_telling import subscribe

pytestmark = pytest.mark.django_db


def ago(**length: float) -> object:
    return timezone.now() - timedelta(**length)


@pytest.fixture
def everybody(people: cast.People) -> None:
    """All of them want to hear of everything through the same channel."""
    to = direct()
    for user in User.objects.all():
        subscribe(user, to, *Event)


def persons() -> set[str]:
    return {person for _channel, person, _event in told()}


@pytest.mark.usefixtures("everybody")
def test_only_those_who_can_decide_are_called_and_once(promotion: Promotion) -> None:
    channel(events=["requested"])
    for _look in range(3):
        tell_approvers()
    assert sorted(told()) == [
        ("chat", "", "requested"),
        ("direct", "admin", "requested"),
        ("direct", "approver", "requested"),
    ]


@pytest.mark.usefixtures("everybody")
def test_whoever_gets_the_role_later_is_called_then(promotion: Promotion, people: cast.People) -> None:
    tell_approvers()
    RoleGrant.objects.create(user=people.viewer, role=Role.APPROVER)
    tell_approvers()
    assert [person for _channel, person, _event in told()][-1] == "viewer"
    assert len(told()) == 3


@pytest.mark.usefixtures("everybody")
def test_another_change_calls_them_again(promotion: Promotion) -> None:
    tell_approvers()
    Promotion.objects.update(change_hash="d" * 64)
    tell_approvers()
    tell_approvers()
    assert len(told()) == 4


@pytest.mark.usefixtures("everybody")
def test_nobody_is_called_once_it_is_approved(promotion: Promotion, people: cast.People) -> None:
    operations.approve(promotion, by=people.approver, change_hash=cast.HASH)
    Notification.objects.all().delete()
    tell_approvers()
    assert told() == []


@pytest.mark.usefixtures("everybody")
def test_a_person_who_did_not_ask_is_not_called(promotion: Promotion, people: cast.People) -> None:
    Subscription.objects.filter(user=people.approver).update(events=["failed"])
    Subscription.objects.filter(user=people.admin).update(applications=["another"])
    tell_approvers()
    assert told() == []


def test_what_waits_too_long_is_told_once_for_each_wait(promotion: Promotion) -> None:
    channel(events=["stuck"])
    Promotion.objects.update(status_at=ago(minutes=59))
    tell_stuck()
    assert told() == []
    Promotion.objects.update(status_at=ago(minutes=61))
    tell_stuck()
    tell_stuck()
    assert told() == [("chat", "", "stuck")]
    assert "It has waited since" in Notification.objects.get().body
    Promotion.objects.update(status_at=ago(minutes=60, seconds=1))
    tell_stuck()
    assert len(told()) == 2, "another wait"


def test_a_step_is_stuck_since_it_began_and_a_held_one_since_it_was_held(promotion: Promotion) -> None:
    channel(events=["stuck"])
    Promotion.objects.update(status="running", step="arrive", status_at=ago(hours=5))
    step = StepResult.objects.create(promotion=promotion, step="arrive", started_at=ago(minutes=30))
    tell_stuck()
    assert told() == []
    StepResult.objects.update(started_at=ago(hours=3))
    step.refresh_from_db()
    step.data = {"held_since": (timezone.now() - timedelta(minutes=5)).timestamp()}
    step.save()
    tell_stuck()
    assert told() == []
    StepResult.objects.update(data={})
    tell_stuck()
    assert told() == [("chat", "", "stuck")]


@pytest.mark.parametrize(
    ("policy", "minutes", "expected"), [({"stuck_after": 0}, 900, 0), ({"stuck_after": 5}, 6, 1)]
)
def test_each_environment_says_how_long_is_too_long(
    promotion: Promotion, policy: dict[str, int], minutes: int, expected: int
) -> None:
    channel(events=["stuck"])
    environment = promotion.stage.environment
    environment.policy = policy
    environment.save()
    Promotion.objects.update(status_at=ago(minutes=minutes))
    tell_stuck()
    assert len(told()) == expected


def test_a_freeze_whose_end_is_known_is_a_plan_and_not_stuck(
    promotion: Promotion, people: cast.People
) -> None:
    channel(events=["stuck"])
    promotion.approvals.create(
        person=people.approver, person_name="Ada", decision="approved", change_hash=cast.HASH
    )
    Promotion.objects.update(status="approved", status_at=ago(hours=3))
    begin, end = (timezone.now() + timedelta(hours=hours) for hours in (-5, 5))
    freeze = FreezeWindow.objects.create(
        slug="tonight",
        begins_at=begin.strftime("%Y-%m-%dT%H:%M"),
        ends_at=end.strftime("%Y-%m-%dT%H:%M"),
        time_zone="UTC",
    )
    tell_stuck()
    assert told() == []
    freeze.delete()
    tell_stuck()
    assert len(told()) == 1


def broken(upstream: Upstream, **since: float) -> None:
    upstream.state, upstream.troubled_since = UpstreamState.TROUBLED, ago(**since)  # type: ignore[assignment]
    upstream.message = "401 of https://secret.example.com"
    upstream.save()


def test_an_outage_is_told_after_a_while_and_once_and_its_end(catalogue: cast.Catalogue) -> None:
    channel(events=["unreachable"])
    first, second = (cast.make_upstream(catalogue.tekton, kind) for kind in ("pipelineruns", "taskruns"))
    broken(first, minutes=9)
    outages.look()
    assert told() == []
    broken(first, minutes=11)
    broken(second, minutes=12)
    outages.look()
    outages.look()
    assert told() == [("chat", "", "unreachable")]
    assert "secret.example.com" not in Notification.objects.get().body
    Upstream.objects.filter(pk=first.pk).update(state=UpstreamState.FRESH, troubled_since=None)
    outages.look()
    assert len(told()) == 1, "the second is still out of reach"
    Upstream.objects.update(state=UpstreamState.FRESH, troubled_since=None)
    outages.look()
    outages.look()
    assert told() == [("chat", "", "unreachable"), ("chat", "", "reachable")]
    assert Outage.objects.get().ended_at is not None


def test_a_short_trouble_is_never_told(catalogue: cast.Catalogue) -> None:
    channel()
    upstream = cast.make_upstream(catalogue.gitlab, "branches")
    broken(upstream, minutes=5)
    outages.look()
    Upstream.objects.update(state=UpstreamState.FRESH, troubled_since=None)
    outages.look()
    assert not Outage.objects.exists()


def test_of_an_outage_hear_those_whose_applications_it_concerns(
    room: Room, catalogue: cast.Catalogue, people: cast.People
) -> None:
    channel(slug="concerned", applications=["flask-k8s-example"])
    channel(slug="others", applications=["another"])
    to = direct()
    subscribe(people.viewer, to, Event.UNREACHABLE)
    subscribe(people.outsider, to, Event.UNREACHABLE)
    subscribe(people.requester, to, Event.UNREACHABLE, applications=("another",))
    broken(cast.make_upstream(catalogue.gitlab, "branches"), minutes=20)
    outages.look()
    sending.send_due()
    assert sorted(room.paths) == ["/direct/viewer", "/secret-path"]
    assert {said["title"] for said in room.heard} == {"gitlab (GitLab) can't be reached"}
