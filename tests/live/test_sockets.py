"""The page's websocket against the real web process: who may listen, what they hear, what they never miss."""

from __future__ import annotations

import random
import threading

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus

from promotions.choices import Role
from promotions.live import KEPT_FOR, announce, forget_old, latest_number
from promotions.models import Announcement, RoleGrant, StageState
from tests import cast
from tests.live.conftest import OpenPage, Page, Web, session_of


def say(stage_id: int, text: str, application_id: int) -> None:
    """Change what a cell shows and announce it, in one transaction as the product does."""
    with transaction.atomic():
        StageState.objects.filter(stage_id=stage_id).update(
            running_tag=text, running_version=None, running_digest="", desired_version=None, desired_tag=text
        )
        announce("cell", stage_id, application_id=application_id)


def shown(page: Page, stage_id: int) -> str:
    return page.fragments.get(f"cell-{stage_id}", "")


def test_a_change_reaches_the_page_numbered_and_in_place(
    web: Web, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    before = latest_number()
    page = open_page(web, people.viewer).hello("cell", since=before)
    page.read()
    assert page.number == before
    stage = catalogue.production
    say(stage.pk, "7.7.7", stage.application_id)
    page.read_until(lambda: "7.7.7" in shown(page, stage.pk))
    assert page.number == latest_number() > before


def test_a_page_hears_only_what_it_wants(
    web: Web, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    one = open_page(web, people.viewer).hello(f"cell:{catalogue.dev.pk}", since=latest_number())
    other = open_page(web, people.viewer).hello("versions", since=latest_number())
    one.read(), other.read()
    application = catalogue.application.pk
    say(catalogue.production.pk, "1.2.3", application)
    say(catalogue.dev.pk, "4.5.6", application)
    announce("versions", application, application_id=application)
    one.read_until(lambda: "4.5.6" in shown(one, catalogue.dev.pk))
    other.read_until(lambda: f"versions-{application}" in other.fragments)
    assert set(one.fragments) == {f"cell-{catalogue.dev.pk}"}
    assert set(other.fragments) == {f"versions-{application}"}


def test_a_page_hears_nothing_of_applications_its_reader_has_no_role_for(
    web: Web, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    outsider = open_page(web, people.outsider).hello("cell", "upstreams", since=latest_number())
    admin = open_page(web, people.admin).hello("cell", "upstreams", since=latest_number())
    outsider.read(), admin.read()
    say(catalogue.production.pk, "9.9.9", catalogue.application.pk)
    admin.read_until(lambda: "9.9.9" in shown(admin, catalogue.production.pk))
    # Upstreams concern everybody: once they are there, what came before has been held back.
    announce("upstreams", "all")
    outsider.read_until(lambda: "upstreams-all" in outsider.fragments)
    assert set(outsider.fragments) == {"upstreams-all"}


def test_what_a_webhook_said_is_for_those_who_may_see_the_machinery(
    web: Web, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    viewer = open_page(web, people.viewer).hello("deliveries", "upstreams", since=latest_number())
    admin = open_page(web, people.admin).hello("deliveries", "upstreams", since=latest_number())
    viewer.read(), admin.read()
    announce("deliveries", "all")
    announce("upstreams", "all")
    for page in (viewer, admin):
        page.read_until(lambda page=page: "upstreams-all" in page.fragments)  # type: ignore[misc]
    assert set(viewer.fragments) == {"upstreams-all"}
    assert len(admin.fragments) == 2


def test_each_page_gets_its_own_language(
    web: Web, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    StageState.objects.filter(stage=catalogue.dev).delete()
    pages = [
        open_page(web, people.viewer).hello("cell", since=latest_number(), language=code)
        for code in ("en", "ja", "xx")
    ]
    announce("cell", catalogue.dev.pk, application_id=catalogue.application.pk)
    for page in pages:
        page.read_until(lambda page=page: bool(shown(page, catalogue.dev.pk)))  # type: ignore[misc]
    english, _japanese, unknown = (shown(page, catalogue.dev.pk) for page in pages)
    assert english == unknown


def test_a_page_that_was_away_gets_the_state_now_once_and_misses_nothing(
    web: Web, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    session = session_of(people.viewer)
    page = open_page(web, None, session=session).hello("cell", since=latest_number())
    page.read()
    page.connection.close()
    application = catalogue.application.pk
    for number in range(5):
        say(catalogue.production.pk, f"5.0.{number}", application)
        say(catalogue.dev.pk, f"6.0.{number}", application)
    back = open_page(web, None, session=session)
    back.number = page.number
    back.hello("cell")
    back.read()
    assert back.number == page.number, "no number is said before what it covers"
    content = back.read()
    assert back.number == latest_number()
    assert "5.0.4" in shown(back, catalogue.production.pk)
    assert "6.0.4" in shown(back, catalogue.dev.pk)
    assert content.count('<div class="cell"') == 2, "one rendering each, of the state now"
    assert "5.0.3" not in content


def test_more_changes_than_fit_one_batch_are_all_caught_up(
    web: Web, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    before = latest_number()
    application = catalogue.application.pk
    say(catalogue.dev.pk, "first", application)
    Announcement.objects.bulk_create(
        Announcement(application_id=application, fragment="stage", key=str(number)) for number in range(3000)
    )
    say(catalogue.production.pk, "last", application)
    page = open_page(web, people.viewer).hello("cell", since=before)
    page.read_until(lambda: page.number == latest_number())
    assert "first" in shown(page, catalogue.dev.pk)
    assert "last" in shown(page, catalogue.production.pk)


def test_a_page_that_slept_longer_than_changes_are_kept_is_told_to_load_again(
    web: Web, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    for number in range(3):
        say(catalogue.dev.pk, str(number), catalogue.application.pk)
    newest = latest_number()
    Announcement.objects.filter(id__lt=newest).delete()
    assert open_page(web, people.viewer).hello("cell", since=newest - 3).closed_with() == 4410
    fresh = open_page(web, people.viewer).hello("cell", since=newest)
    fresh.read()
    assert fresh.number == newest


def test_a_number_of_another_database_loads_the_page_again(
    web: Web, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    page = open_page(web, people.viewer).hello("cell", since=latest_number() + 1000)
    assert page.closed_with() == 4410


def test_a_hello_with_other_wants_begins_again(
    web: Web, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    page = open_page(web, people.viewer).hello(f"cell:{catalogue.dev.pk}", since=latest_number())
    page.read()
    page.hello(f"cell:{catalogue.production.pk}")
    page.read()
    say(catalogue.dev.pk, "1", catalogue.application.pk)
    say(catalogue.production.pk, "2", catalogue.application.pk)
    page.read_until(lambda: bool(shown(page, catalogue.production.pk)))
    assert set(page.fragments) == {f"cell-{catalogue.production.pk}"}


def test_a_foreign_origin_is_refused_before_the_socket_opens(
    web: Web, open_page: OpenPage, people: cast.People
) -> None:
    for origin in ("https://evil.example.com", "null", "http://127.0.0.1:1", None):
        with pytest.raises(InvalidStatus) as refused:
            open_page(web, people.admin, origin=origin)
        assert refused.value.response.status_code == 403


def test_nobody_s_page_is_closed_with_a_code_that_says_so(
    web: Web, open_page: OpenPage, people: cast.People
) -> None:
    assert open_page(web, None).closed_with() == 4401
    assert open_page(web, None, session="x" * 32).closed_with() == 4401
    User.objects.filter(pk=people.viewer.pk).update(is_active=False)
    assert open_page(web, people.viewer).closed_with() == 4401


BAD_HELLOS = [
    "",
    "hello",
    "[]",
    "{}",
    '{"since": 1}',
    '{"since": "x", "wants": []}',
    '{"since": Infinity, "wants": []}',
    '{"since": 1, "wants": 5}',
    "[" * 5000,
    '{"since": 1, "wants": ["' + "x" * 9000 + '"]}',
    b"\x00\x01",
]


def test_a_bad_hello_closes_the_socket(web: Web, open_page: OpenPage, people: cast.People) -> None:
    session = session_of(people.viewer)
    for said in BAD_HELLOS:
        page = open_page(web, None, session=session)
        page.connection.send(said)
        assert page.closed_with() == 4400, said[:40]


def write_at_random(seed: int, stages: list[int], application: int) -> None:
    random_ = random.Random(seed)
    try:
        for count in range(12):
            stage = random_.choice(stages)
            say(stage, f"w{seed}n{count}", application)
    finally:
        connection.close()


@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(seed=st.integers(0, 10_000), breaks=st.integers(0, 3))
def test_whatever_the_order_of_writers_and_breaks_a_page_ends_at_the_true_state(
    web: Web, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People, seed: int, breaks: int
) -> None:
    stages = [catalogue.dev.pk, catalogue.production.pk]
    session = session_of(people.viewer)
    page = open_page(web, None, session=session).hello("cell", since=latest_number())
    page.read()
    writers = [
        threading.Thread(target=write_at_random, args=(seed + each, stages, catalogue.application.pk))
        for each in range(3)
    ]
    for writer in writers:
        writer.start()
    for _ in range(breaks):
        page.read()
        page.connection.close()
        numbers = page.numbers
        again = open_page(web, None, session=session)
        page = Page(again.connection, page.number, page.fragments, numbers)
        page.hello("cell")
    for writer in writers:
        writer.join(20)
    newest = latest_number()
    page.read_until(lambda: page.number >= newest)
    assert page.numbers == sorted(page.numbers)
    for stage in stages:
        truth = StageState.objects.get(stage_id=stage).running_tag
        if truth.startswith("w"):
            assert truth in shown(page, stage), (seed, breaks)


def test_the_newest_change_is_never_forgotten_so_that_a_quiet_night_loads_no_page_again(
    web: Web, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    say(catalogue.dev.pk, "1", catalogue.application.pk)
    newest = latest_number()
    Announcement.objects.update(at=timezone.now() - 2 * KEPT_FOR)
    forget_old()
    assert [row.pk for row in Announcement.objects.all()] == [newest]
    page = open_page(web, people.viewer).hello("cell", since=newest)
    page.read()
    assert page.number == newest


def test_a_role_that_is_granted_shows_at_the_next_hello(
    web: Web, open_page: OpenPage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    RoleGrant.objects.create(user=people.outsider, role=Role.VIEWER, application=catalogue.application)
    page = open_page(web, people.outsider).hello("cell", since=latest_number())
    page.read()
    say(catalogue.dev.pk, "granted", catalogue.application.pk)
    page.read_until(lambda: "granted" in shown(page, catalogue.dev.pk))
