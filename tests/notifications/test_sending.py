"""Messages are sent in order, tried again with pauses, given up in the end, and never to the wrong person."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection, connections
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from integrations.errors import Rejected
from promotions import jobs
from promotions.choices import PromotionStatus
from promotions.models import Notification, NotificationChannel, Promotion, RoleGrant
from promotions.telling import sending
from promotions.telling.sending import Unaddressable, address, whereabouts
from promotions.workflow import transition
from tests import cast
from tests.notifications.conftest import Room, channel, direct
from tests.notifications.mailbox import mailbox
from tests.workflow.conftest import at_once

pytestmark = pytest.mark.django_db
# A worker that took the job and has been silent for a minute.
DIE = """
WITH dead AS (
    INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 minute') RETURNING id
) UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM dead)
"""


def write(
    to: NotificationChannel, promotion: Promotion, *titles: str, person: User | None = None, **fields: object
) -> None:
    for title in titles:
        values = {"key": f"{title}:{to.slug}", "event": "approved", "title": title, "body": "b", **fields}
        Notification.objects.create(channel=to, promotion=promotion, recipient=person, **values)


def due_now() -> None:
    Notification.objects.exclude(due_at=None).update(due_at=timezone.now())


def titles(room: Room) -> list[str]:
    return [said["title"] for said in room.heard]


def test_a_room_that_does_not_answer_is_tried_again_and_its_address_is_not_told(
    room: Room, promotion: Promotion
) -> None:
    channel()
    room.status = 503
    transition(promotion, PromotionStatus.APPROVED, by=None)
    assert sending.send_due() == 0
    waiting = Notification.objects.get()
    assert waiting.tries == 1
    assert waiting.due_at is not None
    assert waiting.due_at > timezone.now()
    assert waiting.problem == "The notification channel did not take the message: it answered 503"
    assert Promotion.objects.get().status == PromotionStatus.APPROVED
    room.status = 200
    due_now()
    assert sending.send_due() == 1
    assert len(room.heard) == 1


def test_a_room_that_is_gone_is_told_from_one_that_refuses(
    room: Room, promotion: Promotion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT_URL", "json://127.0.0.1:9/secret-path")
    write(channel(), promotion, "one")
    sending.send_due()
    assert Notification.objects.get().problem == "The notification channel could not be reached"


def test_pauses_grow_and_the_message_is_given_up_in_the_end(room: Room, promotion: Promotion) -> None:
    room.status = 500
    write(channel(), promotion, "one")
    pauses = []
    for _try in range(sending.MOST_TRIES):
        due_now()
        sending.send_due()
        row = Notification.objects.get()
        pauses.append((row.due_at - timezone.now()).total_seconds() if row.due_at else None)
    assert pauses[0] == pytest.approx(2, abs=1)
    assert pauses[8] == pytest.approx(512, abs=5)
    assert pauses[-2:] == [pytest.approx(900, abs=5), None]
    assert (row.tries, row.sent_at) == (sending.MOST_TRIES, None)


def test_what_is_no_news_any_more_is_tried_once_and_given_up(room: Room, promotion: Promotion) -> None:
    room.status = 500
    write(channel(), promotion, "one", created_at=timezone.now() - sending.NEWS_FOR)
    sending.send_due()
    row = Notification.objects.get()
    assert (row.tries, row.due_at, row.sent_at) == (1, None, None)


def test_a_room_hears_things_in_order_and_a_deaf_one_keeps_nobody_waiting(
    room: Room, promotion: Promotion
) -> None:
    room.deaf.add("/other")
    write(channel(slug="deaf", url="env:OTHER_URL"), promotion, "a", "b", "c")
    write(channel(), promotion, "d", "e")
    assert sending.send_due() == 2
    assert titles(room) == ["d", "e"]
    tried = [row.title for row in Notification.objects.filter(tries__gt=0, sent_at=None)]
    assert tried == ["a"], "a room that does not answer is asked once per pause, not once per message"
    room.deaf.clear()
    due_now()
    sending.send_due()
    assert titles(room) == ["d", "e", "a", "b", "c"]


def test_one_persons_trouble_is_not_anothers(room: Room, promotion: Promotion, people: cast.People) -> None:
    room.deaf.add("/direct/requester")
    to = direct()
    write(to, promotion, "a", "b", person=people.requester)
    write(to, promotion, "c", person=people.approver)
    sending.send_due()
    assert room.paths == ["/direct/approver"]


def test_what_a_worker_took_is_left_to_it_until_it_must_be_dead(room: Room, promotion: Promotion) -> None:
    write(channel(), promotion, "a", "b")
    taken = sending._claim()
    assert taken is not None
    assert taken.title == "a"
    assert sending.send_due() == 0, "b comes after a"
    Notification.objects.filter(title="a").update(due_at=timezone.now() - timedelta(seconds=1))
    assert sending.send_due() == 2
    assert titles(room) == ["a", "b"]


async def rescue() -> None:
    await jobs.rescue(None, 0)
    # The thread that asked the database ends with this loop.
    await sync_to_async(connections.close_all)()


@pytest.mark.django_db(transaction=True)
def test_what_a_dead_worker_took_is_said_when_its_job_is_rescued(room: Room, promotion: Promotion) -> None:
    """The workers' heartbeats tell that it is dead; a pause after a failure goes on as it was."""
    deaf = channel(slug="other", url="env:OTHER_URL")
    write(channel(), promotion, "a", "b")
    write(deaf, promotion, "late", due_at=timezone.now() + timedelta(minutes=5), tries=1, problem="No answer")
    assert sending._claim() is not None
    jobs.notify.defer()
    with connection.cursor() as cursor:
        cursor.execute(DIE)
    asyncio.run(rescue())
    assert ProcrastinateJob.objects.filter(task_name="promotions.notify", status="todo").count() == 1
    assert sending.send_due() == 2
    assert titles(room) == ["a", "b"]


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_one_moment_say_each_thing_once_and_in_order(room: Room, promotion: Promotion) -> None:
    """Really at once, on PostgreSQL."""
    names = [f"{number:02}" for number in range(12)]
    write(channel(), promotion, *names)
    write(channel(slug="other", url="env:OTHER_URL"), promotion, *names)
    taken = at_once(sending.send_due, sending.send_due)
    # One may have found everything in the other's hands; then the next look sends the rest.
    sending.send_due()
    assert all(isinstance(each, int) for each in taken)
    for path in ("/secret-path", "/other"):
        assert [said["title"] for where, said in room.posts if where == path] == names


def test_a_channel_in_trouble_keeps_its_last_error_until_it_works_again(
    room: Room, promotion: Promotion
) -> None:
    room.status = 500
    write(channel(), promotion, "a")
    sending.send_due()
    first = NotificationChannel.objects.get()
    assert first.problem.endswith("answered 500")
    assert first.troubled_since is not None
    due_now()
    sending.send_due()
    assert NotificationChannel.objects.get().troubled_since == first.troubled_since
    room.status = 200
    due_now()
    sending.send_due()
    mended = NotificationChannel.objects.get()
    assert (mended.problem, mended.troubled_since) == ("", None)
    assert mended.told_at is not None


def test_what_was_told_long_ago_is_forgotten_but_for_what_still_waits(promotion: Promotion) -> None:
    old = timezone.now() - timedelta(days=91)
    to = channel()
    write(to, promotion, "told", due_at=None, created_at=old)
    write(to, promotion, "due", created_at=old)
    write(to, promotion, "lately", due_at=None)
    sending.forget_old()
    assert Notification.objects.count() == 3
    Promotion.objects.update(status="failed", finished_at=timezone.now())
    sending.forget_old()
    assert set(Notification.objects.values_list("title", flat=True)) == {"due", "lately"}


def test_a_missing_secret_is_named_by_its_reference(room: Room, promotion: Promotion) -> None:
    write(channel(url="env:NOBODY_SET_THIS"), promotion, "a")
    sending.send_due()
    assert NotificationChannel.objects.get().problem == "The environment variable NOBODY_SET_THIS is not set."


def test_whoever_lost_the_role_is_not_told_after_all(
    room: Room, promotion: Promotion, people: cast.People
) -> None:
    to = direct()
    write(to, promotion, "a", person=people.requester)
    write(to, promotion, "b", person=people.viewer)
    write(to, promotion, "c", person=people.approver)
    RoleGrant.objects.filter(user=people.requester).delete()
    User.objects.filter(pk=people.viewer.pk).update(is_active=False)
    assert sending.send_due() == 1
    assert titles(room) == ["c"]
    assert not Notification.objects.exclude(due_at=None).exists()
    assert set(Notification.objects.filter(sent_at=None).values_list("problem", flat=True)) == {
        "The person may not see this any more."
    }


def test_an_approver_is_not_called_to_what_waits_no_more(
    room: Room, promotion: Promotion, people: cast.People
) -> None:
    write(direct(), promotion, "a", person=people.approver, event="requested")
    Promotion.objects.update(status="approved")
    assert sending.send_due() == 0
    assert room.heard == []


def test_a_personal_address_is_completed_and_nothing_else_of_it_changes(
    room: Room, people: cast.People
) -> None:
    people.requester.username = "rin+sato@example.com"
    assert address(direct(), people.requester) == room.address("/direct/rin%2Bsato%40example.com")
    mail = direct(slug="mail", url="env:MAIL_URL", personal="email")
    assert address(mail, people.requester) == room.address("/mail?to=requester%40example.com")


def test_a_personal_channel_without_a_place_for_the_person_reaches_nobody(
    room: Room, people: cast.People
) -> None:
    """Its messages would go to a room that everybody reads."""
    with pytest.raises(Rejected, match=r"no \{username\} in it"):
        address(direct(url="env:CHAT_URL"), people.requester)


def test_mail_goes_to_the_persons_address_alone(
    promotion: Promotion, people: cast.People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By SMTP, as a real mail server would get it; plain text, the link last."""
    with mailbox() as (host, letters):
        monkeypatch.setenv("MAIL_URL", f"mailto://{host}?from=slipway@example.com&to={{email}}")
        mail = channel(slug="mail", url="env:MAIL_URL", personal="email")
        write(mail, promotion, "flask: approved", person=people.approver, link="https://s.example/p/7/")
        assert sending.send_due() == 1, Notification.objects.get().problem
    (letter,) = letters
    assert letter.to == ["approver@example.com"]
    assert letter.message["Subject"] == "flask: approved"
    assert letter.text.strip().endswith("https://s.example/p/7/")


@pytest.mark.parametrize(
    ("personal", "fields"),
    [
        ("email", {"email": ""}),
        ("email", {"email": '"a, b"@example.com'}),
        ("email", {"email": "a@example.com,b@example.com"}),
        ("username", {"username": "#general"}),
        ("username", {"username": "@all"}),
        ("username", {"username": "a/../b"}),
    ],
)
def test_nobody_becomes_another_part_of_an_address(personal: str, fields: dict[str, str]) -> None:
    with pytest.raises(Unaddressable):
        whereabouts(NotificationChannel(personal=personal), User(**{"username": "a", **fields}))
