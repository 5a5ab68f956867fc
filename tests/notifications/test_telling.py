"""Scenario A, step 6: chat is told, once, after the fact, and never in the way."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.db import transaction
from django.utils import timezone

from promotions import notifications
from promotions.choices import PromotionStatus
from promotions.models import Notification, NotificationChannel, Promotion
from promotions.workflow import transition
from tests.cast import make_catalogue, make_people, make_promotion

pytestmark = pytest.mark.django_db


class Room:
    """A chat room's incoming webhook on loopback; answers with `status`."""

    def __init__(self) -> None:
        self.heard: list[dict[str, str]] = []
        self.status = 200
        room = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if room.status == 200:
                    room.heard.append(json.loads(body))
                self.send_response(room.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """Say nothing: the test looks at what was heard."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    room = Room()
    monkeypatch.setenv("CHAT_URL", f"json://127.0.0.1:{room.server.server_port}/secret-path")
    yield room
    room.close()


@pytest.fixture
def promotion() -> Promotion:
    people = make_people()
    return make_promotion(make_catalogue(people), people.requester, reason="It is time")


def channel(**fields: object) -> NotificationChannel:
    return NotificationChannel.objects.create(**{"slug": "chat", "url": "env:CHAT_URL", **fields})


def test_a_change_of_status_is_told_with_who_what_and_where(room: Room, promotion: Promotion) -> None:
    channel()
    transition(promotion, PromotionStatus.APPROVED, by=None, message="Approved; about to begin.")
    assert notifications.send_due() == 1
    (said,) = room.heard
    assert said["title"].endswith(": approved")
    assert promotion.version.label in said["title"]
    lines = said["message"].splitlines()
    assert lines[0] == "By Slipway."
    assert "Why: It is time" in lines
    assert lines[-1].endswith(f"/promotions/{promotion.pk}/")
    assert notifications.send_due() == 0, "told once"


def test_what_is_rolled_back_is_not_told(room: Room, promotion: Promotion) -> None:
    channel()
    with transaction.atomic():
        transition(promotion, PromotionStatus.APPROVED, by=None)
        transaction.set_rollback(True)
    assert notifications.send_due() == 0
    assert room.heard == []


def test_a_channel_hears_only_what_it_asked_for(room: Room, promotion: Promotion) -> None:
    channel(slug="others", applications=["another"])
    channel(slug="failures", events=["failed"])
    transition(promotion, PromotionStatus.APPROVED, by=None)
    assert not Notification.objects.exists()


def test_a_room_that_does_not_answer_is_tried_again_and_its_address_is_not_told(
    room: Room, promotion: Promotion
) -> None:
    channel()
    room.status = 503
    transition(promotion, PromotionStatus.APPROVED, by=None)
    assert notifications.send_due() == 0
    waiting = Notification.objects.get()
    assert waiting.tries == 1
    assert waiting.due_at is not None
    assert waiting.due_at > timezone.now()
    assert "secret-path" not in waiting.problem
    assert Promotion.objects.get().status == PromotionStatus.APPROVED
    room.status = 200
    Notification.objects.update(due_at=timezone.now())
    assert notifications.send_due() == 1
    assert len(room.heard) == 1


def test_a_room_that_never_answers_is_given_up_after_a_bounded_number_of_tries(
    room: Room, promotion: Promotion
) -> None:
    channel()
    room.status = 500
    transition(promotion, PromotionStatus.APPROVED, by=None)
    for _try in range(8):
        Notification.objects.update(due_at=timezone.now())
        notifications.send_due()
    given_up = Notification.objects.get()
    assert (given_up.tries, given_up.due_at, given_up.sent_at) == (8, None, None)
