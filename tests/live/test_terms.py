"""What happens to an open socket when its reader loses the right to it, or stops reading."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test.signals import template_rendered
from django.utils import timezone

from promotions.choices import Role
from promotions.hub import Change, Hub
from promotions.live import announce, latest_number
from promotions.models import RoleGrant, Session, StageState
from tests import cast
from tests.live.conftest import OpenPage, Quick, database_parameters, session_of
from tests.live.test_sockets import say, shown
from tests.system import wait_for


def test_a_silent_line_beats_and_each_beat_says_the_number(
    quick: Quick, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    page = open_page(quick, people.viewer).hello("cell", since=latest_number())
    for _ in range(4):
        assert page.read(seconds=2) == ""
    # What does not concern the page only moves its number.
    announce("deliveries", "all")
    page.read_until(lambda: page.number == latest_number(), seconds=2)
    assert page.fragments == {}


def test_a_role_that_is_taken_away_takes_the_view_with_it_while_the_socket_stays(
    quick: Quick, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    page = open_page(quick, people.viewer).hello("cell", "upstreams", since=latest_number())
    say(catalogue.dev.pk, "before", catalogue.application.pk)
    page.read_until(lambda: "before" in shown(page, catalogue.dev.pk))
    RoleGrant.objects.filter(user=people.viewer).delete()
    # Two beats later the socket has asked again, whatever it was doing.
    page.read(2), page.read(2), page.read(2)
    say(catalogue.dev.pk, "after", catalogue.application.pk)
    announce("upstreams", "all")
    page.read_until(lambda: "upstreams-all" in page.fragments)
    assert "after" not in shown(page, catalogue.dev.pk)


def test_a_role_is_lost_even_under_a_stream_of_changes(
    quick: Quick, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    page = open_page(quick, people.viewer).hello("cell", since=latest_number())
    page.read()
    RoleGrant.objects.filter(user=people.viewer).update(role=Role.VIEWER, application=None)
    RoleGrant.objects.filter(user=people.viewer).delete()

    def one_more() -> str:
        say(catalogue.dev.pk, f"t{timezone.now().timestamp()}", catalogue.application.pk)
        return page.read(2)

    wait_for(one_more, lambda content: content == "", seconds=10, what="the loss of the view")
    number = page.number
    say(catalogue.dev.pk, "secret", catalogue.application.pk)
    page.read_until(lambda: page.number > number)
    assert "secret" not in shown(page, catalogue.dev.pk)


@pytest.mark.parametrize("how", ["signed out", "expired", "a new password", "no longer active"])
def test_a_session_that_ends_closes_the_socket_within_a_beat(
    quick: Quick, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People, how: str
) -> None:
    session = session_of(people.viewer)
    page = open_page(quick, None, session=session).hello("cell", since=latest_number())
    page.read()
    if how == "signed out":
        Session.objects.filter(session_key=session).delete()
    elif how == "expired":
        Session.objects.filter(session_key=session).update(expire_date=timezone.now())
    elif how == "a new password":
        people.viewer.set_password("another long password")
        people.viewer.save()
    else:
        people.viewer.is_active = False
        people.viewer.save()
    assert page.closed_with(seconds=3) == 4401
    wait_for(lambda: len(quick.hub.subscribers), lambda count: count == 0, seconds=3)


def test_a_page_that_does_not_read_is_let_go_and_catches_up_later(
    quick: Quick, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    before = latest_number()
    slow = open_page(quick, people.viewer, slow=True).hello("cell", "versions", since=before)
    slow.read()
    other = open_page(quick, people.viewer).hello("cell", since=before)
    # Fragments large enough to fill what lies between two sockets.
    StageState.objects.filter(stage=catalogue.production).update(
        running_tag="", running_version=None, running_problem="x" * 4000
    )
    for number in range(40):
        cast.make_version(catalogue.production.image, f"9.9.{number}-" + "x" * 100)

    def fill() -> int:
        announce("versions", catalogue.application.pk, application_id=catalogue.application.pk)
        say(catalogue.dev.pk, f"n{latest_number()}", catalogue.application.pk)
        other.read()
        return len(quick.hub.subscribers)

    wait_for(fill, lambda count: count == 1, seconds=30, what="letting the slow page go")
    truth = StageState.objects.get(stage=catalogue.dev).running_tag
    other.read_until(lambda: truth in shown(other, catalogue.dev.pk))
    back = open_page(quick, people.viewer).hello("cell", since=before)
    back.read_until(lambda: truth in shown(back, catalogue.dev.pk))


def test_a_page_that_vanishes_is_forgotten(
    quick: Quick, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    page = open_page(quick, people.viewer).hello("cell", since=latest_number())
    page.read()
    page.connection.socket.close()
    wait_for(lambda: len(quick.hub.subscribers), lambda count: count == 0, seconds=5)


@dataclass(eq=False)
class Listener:
    """A subscriber that keeps what it is given."""

    language: str = "en"
    got: list[tuple[int, str]] = field(default_factory=list)

    def accepts(self, change: Change) -> bool:
        return change.fragment == "cell"

    def deliver(self, number: int, html: str) -> None:
        self.got.append((number, html))


def say_once(catalogue: cast.Catalogue) -> None:
    try:
        say(catalogue.dev.pk, "once", catalogue.application.pk)
    finally:
        connection.close()


def test_a_change_is_rendered_once_per_language_however_many_listen_or_come_later(
    catalogue: cast.Catalogue,
) -> None:
    """Design section 6: a change is rendered once per change, not once per viewer."""
    rendered: list[str] = []

    def count(template: object, **_rest: object) -> None:
        name = str(getattr(template, "name", ""))
        if name == "fragments/cell.html":
            rendered.append(name)

    before, database = latest_number(), database_parameters()

    async def listen() -> list[Listener]:
        hub = Hub(database)
        listeners = [Listener("en") for _ in range(30)] + [Listener("ja") for _ in range(30)]
        for listener in listeners:
            await hub.join(listener)
        await sync_to_async(say_once)(catalogue)
        for _ in range(500):
            if all(listener.got for listener in listeners):
                break
            await asyncio.sleep(0.02)
        late = [Listener("en") for _ in range(20)]
        for listener in late:
            await hub.join(listener)
            assert await hub.catch_up(listener, before)
        assert hub._task is not None
        hub._task.cancel()
        return listeners + late

    template_rendered.connect(count)
    try:
        everybody = asyncio.run(listen())
    finally:
        template_rendered.disconnect(count)
    assert all("once" in listener.got[-1][1] for listener in everybody)
    assert len(rendered) == 2


def test_pages_that_come_at_the_same_moment_start_one_hub(catalogue: cast.Catalogue) -> None:
    database = database_parameters()

    async def listen() -> list[Listener]:
        hub = Hub(database)
        listeners = [Listener() for _ in range(20)]
        await asyncio.gather(*(hub.join(listener) for listener in listeners))
        await sync_to_async(say_once)(catalogue)
        for _ in range(500):
            if all(listener.got for listener in listeners):
                break
            await asyncio.sleep(0.02)
        running = [task for task in asyncio.all_tasks() if task.get_name() == "live hub"]
        for task in running:
            task.cancel()
        assert len(running) == 1
        return listeners

    assert {len(listener.got) for listener in asyncio.run(listen())} == {1}
