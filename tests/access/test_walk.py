"""Default closed: every address, API route and socket of the configuration, for everybody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from channels.routing import URLRouter
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.urls.exceptions import NoReverseMatch

from promotions.models import AuditEntry
from promotions.views.permissions import Permission
from tests.access.conftest import World, prepare
from tests.access.rules import ADMINISTRATION, RULES, SOCKETS, Level, Rule

LEVELS = list(Level)
CHANGE_NOTHING = ("sign-in", "sign-out", "set-language", "api-release-preview")
ACTS = sorted(name for name, rule in RULES.items() if rule.acts)


def patterns(found: list[Any], space: str = "") -> Iterator[tuple[str, URLPattern]]:
    for each in found:
        if isinstance(each, URLResolver):
            yield from patterns(each.url_patterns, f"{space}{each.namespace}:" if each.namespace else space)
        else:
            yield f"{space}{each.name}", each


def routes() -> dict[str, URLPattern]:
    return dict(patterns(get_resolver().url_patterns))


def test_every_route_stands_in_the_table_and_nothing_else_does() -> None:
    names = {name for name in routes() if not name.startswith(ADMINISTRATION)}
    assert sorted(names - set(RULES)) == [], "nobody said who may reach these: tests/access/rules.py"
    assert sorted(set(RULES) - names) == [], "these are no addresses any more"


def test_every_page_names_the_permission_it_needs() -> None:
    own = {name: each for name, each in routes().items() if name in RULES and not name.startswith("api-")}
    nameless = [name for name, each in own.items() if not hasattr(each.callback, "permission")]
    assert nameless == ["set-language"], "Django's own view, for everybody"
    for name, each in own.items():
        if name in nameless:
            continue
        assert (each.callback.permission == Permission.ANYONE) == (RULES[name].sees == Level.ANONYMOUS), name


def is_sign_in(response: Any) -> bool:
    return response.status_code == 302 and response["Location"].startswith("/sign-in/?next=")


def assert_hidden(response: Any, name: str, rule: Rule, level: Level) -> None:
    if level == Level.ANONYMOUS:
        is_page = not name.startswith("api-") or name == "api-docs"
        assert is_sign_in(response) if is_page else response.status_code == 401, name
    else:
        assert response.status_code == rule.hidden, name


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name.lower())
def test_each_person_reads_what_the_table_says(level: Level, world: World) -> None:
    for name, rule in RULES.items():
        with transaction.atomic():
            response = world.client().get(world.url(name))
            transaction.set_rollback(True)
        if not rule.reads:
            assert response.status_code in (405, 302 if level == 0 else rule.hidden, 401), name
        elif name.startswith("oidc-"):
            # There is no provider of that name: it does not exist, and says so to everybody.
            assert response.status_code == 404
        elif level < rule.sees:
            assert_hidden(response, name, rule, level)
        else:
            assert response.status_code in (200, 302), name
            assert not is_sign_in(response), name


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name.lower())
def test_each_person_does_what_the_table_says_and_nothing_is_recorded_otherwise(
    level: Level, world: World
) -> None:
    for name in ACTS:
        rule = RULES[name]
        assert rule.acts is not None
        with transaction.atomic():
            prepare(name, world)
            before = AuditEntry.objects.count()
            response = world.post(name, world.client())
            recorded = AuditEntry.objects.count() - before
            transaction.set_rollback(True)
        if level < rule.sees:
            assert_hidden(response, name, rule, level)
        elif level < rule.acts:
            # For who sees nothing of the stage, what the body names does not exist either.
            expected = (rule.refused, 404, 422) if level < Level.VIEWER else (rule.refused,)
            assert response.status_code in expected, name
        else:
            assert response.status_code in (200, 201, 302), (name, response.content[:2000])
            assert recorded or name in CHANGE_NOTHING, name
            continue
        assert not recorded, name


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("level", [Level.ADMIN], ids=["admin"])
def test_no_address_takes_a_method_that_the_table_does_not_name(
    level: Level, world: World, method: str
) -> None:
    client = world.client()
    for name, rule in RULES.items():
        if method == "post" and rule.acts is not None:
            continue
        if name == "set-language":
            continue
        response = getattr(client, method)(world.url(name), {}, content_type="application/json")
        assert response.status_code == 405, name


def administration() -> Iterator[str]:
    for name in routes():
        # Everybody may leave.
        if not name.startswith(ADMINISTRATION) or name.endswith((":None", ":logout")):
            continue
        for arguments in ((), ("1",), ("promotions",), ("1", "1")):
            try:
                yield reverse(name, args=arguments)
                break
            except NoReverseMatch:
                continue
        else:
            pytest.fail(f"{name} was not visited")


@pytest.mark.parametrize("level", [Level.ANONYMOUS, Level.APPROVER], ids=lambda level: level.name.lower())
def test_the_administration_is_closed_to_everybody_else(level: Level, world: World) -> None:
    client = world.client()
    before = AuditEntry.objects.count()
    for url in administration():
        for response in (client.get(url), client.post(url, {"post": "yes"})):
            if response.status_code == 302:
                assert "/sign-in/" in response["Location"] or "/admin/login/" in response["Location"], url
            else:
                assert response.status_code == 403, url
    assert AuditEntry.objects.count() == before


def socket_routes(application: Any) -> Iterator[str]:
    """Look through the wrappers for the router."""
    while not isinstance(application, URLRouter):
        application = getattr(application, "application", None) or application.inner
    for route in application.routes:
        yield str(route.pattern)


def test_every_socket_stands_in_the_table() -> None:
    from promotions.asgi import websocket

    assert sorted(socket_routes(websocket)) == sorted(SOCKETS), "name it in tests/access/rules.py"
