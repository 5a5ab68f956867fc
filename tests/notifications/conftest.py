"""A chat room's webhook on loopback, shared by all tests here, and a promotion to tell of."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from promotions.models import Notification, NotificationChannel, Promotion
from tests import cast
from tests.integrations.loopback import Answer, Exchange, Loopback, loopback
from tests.pages.conftest import catalogue, people, sign_in
from tests.workflow.conftest import git

__all__ = ["catalogue", "git", "people", "sign_in"]


class Room:
    """What arrived, by the path it was posted to; `status` is what each post is answered with."""

    def __init__(self, server: Loopback) -> None:
        self.server = server
        server.on("POST", ".*", self.take)
        self.forget()

    def forget(self) -> None:
        self.posts: list[tuple[str, dict[str, str]]] = []
        self.status = 200
        self.deaf: set[str] = set()

    def take(self, exchange: Exchange) -> None:
        path = exchange.request.path.rstrip("/")
        status = 503 if path in self.deaf else self.status
        if status == 200:
            self.posts.append((path, json.loads(exchange.request.body)))
        exchange.answer(Answer(b"", status=status))

    @property
    def heard(self) -> list[dict[str, str]]:
        return [said for _path, said in self.posts]

    @property
    def paths(self) -> list[str]:
        return [path for path, _said in self.posts]

    def address(self, path: str = "/secret-path") -> str:
        return f"json://{self.server.host}{path}"


@pytest.fixture(scope="session")
def rooms() -> Iterator[Room]:
    with loopback() as server:
        yield Room(server)


@pytest.fixture
def room(rooms: Room, monkeypatch: pytest.MonkeyPatch) -> Room:
    rooms.forget()
    monkeypatch.setenv("CHAT_URL", rooms.address())
    monkeypatch.setenv("OTHER_URL", rooms.address("/other"))
    monkeypatch.setenv("DIRECT_URL", rooms.address("/direct/{username}"))
    monkeypatch.setenv("MAIL_URL", rooms.address("/mail?to={email}"))
    return rooms


@pytest.fixture
def promotion(catalogue: cast.Catalogue, people: cast.People) -> Promotion:
    return cast.make_promotion(catalogue, people.requester, reason="It is time")


def channel(**fields: object) -> NotificationChannel:
    return NotificationChannel.objects.create(**{"slug": "chat", "url": "env:CHAT_URL", **fields})


def direct(**fields: object) -> NotificationChannel:
    return channel(**{"slug": "direct", "url": "env:DIRECT_URL", "personal": "username", **fields})


def told() -> list[tuple[str, str, str]]:
    """Whom the outbox tells what: (channel, person, event), oldest first."""
    rows = Notification.objects.select_related("channel", "recipient")
    return [
        (row.channel.slug, row.recipient.username if row.recipient else "", row.event)
        for row in rows.order_by("channel__slug", "id")
    ]
