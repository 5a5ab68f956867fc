"""Answers are kept for one look, and never longer (docs/adr/0010-one-look.md, 0011-facts-when-asked.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from itertools import count

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from promotions.choices import Role
from promotions.middleware import looking
from promotions.models import RoleGrant, Stage
from promotions.policy import Act, Facts, gather, one_look, refusals
from promotions.policy.access import holders, holds
from promotions.policy.facts import Gathered
from promotions.policy.looking import moment, once_a_look
from tests import cast

pytestmark = pytest.mark.django_db


def test_a_look_reads_once_and_the_next_one_reads_anew(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    stage, approver = catalogue.production, people.approver
    with one_look(), CaptureQueriesContext(connection) as asked:
        for _turn in range(3):
            assert holds(approver, Role.APPROVER, stage)
            assert not holds(approver, Role.ADMIN, stage)
            assert approver in holders(Role.APPROVER, Stage.objects.get(pk=stage.pk))
    assert sum("rolegrant" in query["sql"] for query in asked.captured_queries) == 2
    with one_look():
        RoleGrant.objects.all().delete()
        assert not holds(approver, Role.APPROVER, stage)


def test_without_a_look_a_lost_role_counts_at_once(catalogue: cast.Catalogue, people: cast.People) -> None:
    assert holds(people.approver, Role.APPROVER, catalogue.production)
    RoleGrant.objects.filter(user=people.approver).delete()
    assert not holds(people.approver, Role.APPROVER, catalogue.production)


def counting() -> Callable[[], int]:
    """Return what answers how often it was really asked."""
    numbers = count(1)
    return once_a_look(lambda: next(numbers))


def test_an_inner_look_is_part_of_the_outer_one_and_a_failure_ends_it() -> None:
    ask = counting()

    def fail() -> None:
        with one_look():
            assert ask() == 1
            with one_look():
                assert ask() == 1
            assert ask() == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (ask(), ask()) == (2, 3)


def test_rows_are_told_apart_by_kind_and_key_and_new_ones_are_not_kept() -> None:
    asked: list[object] = []

    @once_a_look
    def read(row: object) -> int:
        asked.append(row)
        return len(asked)

    with one_look():
        assert read(Stage(pk=1)) == read(Stage(pk=1)) == 1
        assert read(RoleGrant(pk=1)) == 2
        assert read(Stage(pk=2)) == 3
        assert (read(Stage()), read(Stage())) == (4, 5)


@pytest.mark.parametrize(("method", "answers"), [("get", [1, 1]), ("head", [1, 1]), ("post", [1, 2])])
def test_only_a_request_that_reads_is_one_look(method: str, answers: list[int]) -> None:
    seen: list[int] = []
    ask = counting()

    def view(request: HttpRequest) -> HttpResponse:
        seen.extend([ask(), ask()])
        return HttpResponse()

    looking(view)(getattr(RequestFactory(), method)("/"))
    assert seen == answers


def test_all_of_a_look_is_of_one_moment() -> None:
    with one_look():
        assert moment() == moment()


def test_a_page_asks_for_the_freezes_once(catalogue: cast.Catalogue, people: cast.People) -> None:
    promotion = cast.make_promotion(catalogue, people.requester)
    client = Client()
    client.force_login(people.approver)
    with CaptureQueriesContext(connection) as asked:
        assert client.get(reverse("promotion", args=[promotion.pk])).status_code == 200
    assert sum('FROM "promotions_freezewindow"' in query["sql"] for query in asked.captured_queries) == 1


def test_every_fact_has_a_place_where_it_is_read() -> None:
    assert {field.name for field in fields(Facts)} <= set(vars(Gathered))


def test_what_follows_its_change_is_asked_for_locks_alone(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    promotion = cast.make_promotion(catalogue, people.requester)
    facts = gather(promotion.stage, promotion.version, None, promotion=promotion)
    with CaptureQueriesContext(connection) as asked:
        assert refusals(Act.FOLLOW, facts) == []
    (query,) = asked.captured_queries
    assert 'FROM "promotions_lock"' in query["sql"]
    with CaptureQueriesContext(connection) as again:
        assert refusals(Act.FOLLOW, facts) == []
    assert not again.captured_queries, "what was read stays"
