"""What is pushed later is what a reload would show."""

from __future__ import annotations

import re

import pytest

from promotions import fragments
from promotions.models import StepLog
from tests import cast
from tests.pages.conftest import SignIn


def without_oob(html: str) -> str:
    return " ".join(html.replace(' hx-swap-oob="true"', "").split())


def test_every_fragment_is_on_its_page_exactly_as_it_is_pushed(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    promotion = cast.make_promotion(catalogue, people.requester)
    member = cast.make_member(catalogue, people.requester)
    assert member.release
    run = cast.make_run(catalogue)
    cast.make_delivery(catalogue)
    cast.make_upstream(catalogue.gitlab, "branches")
    log = StepLog.objects.get(task_run__run=run, task_run__task="build")
    application = catalogue.application
    pages: dict[str, list[tuple[str, object]]] = {
        "/": [
            ("cell", catalogue.dev.pk),
            ("cell", catalogue.production.pk),
            ("upstreams", "all"),
            ("approvals", application.pk),
        ],
        application.get_absolute_url(): [
            ("stage", catalogue.production.pk),
            ("versions", application.pk),
            ("promotions", application.pk),
            ("runs", application.pk),
        ],
        promotion.get_absolute_url(): [("promotion", promotion.pk)],
        member.release.get_absolute_url(): [("member", member.pk)],
        run.get_absolute_url(): [("run", run.pk), ("log", f"{run.pk}/{log.pk}")],
        "/deliveries/": [("deliveries", "all")],
    }
    client = sign_in(people.admin)
    for address, expected in pages.items():
        page = without_oob(client.get(address).content.decode())
        for fragment, key in expected:
            pushed = fragments.render(fragment, str(key))
            assert re.match(r'<\w+[^>]* id="[\w-]+"[^>]* hx-swap-oob="true"', pushed), pushed[:200]
            assert without_oob(pushed) in page, (fragment, key)
    assert {name for each in pages.values() for name, _key in each} == set(fragments.FRAGMENTS)


@pytest.mark.parametrize("fragment", sorted(set(fragments.FRAGMENTS) - {"deliveries", "upstreams", "log"}))
def test_an_object_that_is_gone_renders_as_nothing(db: None, fragment: str) -> None:
    assert fragments.render(fragment, "123456") == ""


def test_a_log_that_is_gone_renders_as_nothing(db: None) -> None:
    assert fragments.render("log", "1/2") == ""


def test_a_steps_place_exists_before_its_log_does(catalogue: cast.Catalogue, people: cast.People) -> None:
    run = cast.make_run(catalogue)
    log = StepLog.objects.get(task_run__run=run, task_run__task="build")
    place = re.search(r'id="(log-[^"]+)"', fragments.render("log", f"{run.pk}/{log.pk}"))
    assert place
    log.delete()
    assert f'id="{place[1]}"' in fragments.render("run", str(run.pk))
