"""What the file says about automatic promotion and which version is the newest."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from promotions.catalogue import CatalogueError, read_catalogue
from promotions.catalogue.rows import ENVIRONMENT, IMAGE, STAGE
from promotions.models import Stage
from promotions.pins import ordering_of
from promotions.policy.ordering import By
from promotions.policy.rules import Rules
from tests.catalogue.conftest import SHOP, Run

STAGE_LINE = "      prod: {manifests: {path: prod},"


def with_stage(text: str) -> str:
    assert STAGE_LINE in SHOP
    return SHOP.replace(STAGE_LINE, f"{STAGE_LINE} {text},")


def test_people_promote_unless_the_file_says_otherwise() -> None:
    rows = read_catalogue(SHOP, file="f").rows
    assert (rows[STAGE][1].values["promote"], rows[STAGE][1].values["newest"]) == ("by-people", {})
    assert rows[IMAGE][0].values["newest"] == {}


@pytest.mark.django_db
def test_what_the_file_says_is_what_automation_reads(
    apply_catalog: Run, edit: Callable[[str, str], None]
) -> None:
    edit(STAGE_LINE, f"{STAGE_LINE} promote: automatically,")
    edit(
        "{web: harbor.example.com/team/shop}",
        '{web: {repository: harbor.example.com/team/shop, newest: {only: ["1.*"]}}}',
    )
    printed = apply_catalog()
    stage = Stage.objects.select_related("image").get(environment__slug="prod")
    assert stage.promotes_automatically, printed
    assert (ordering_of(stage).by, ordering_of(stage).only) == (By.SEMVER, ("1.*",))
    edit("promote: automatically,", 'promote: automatically, newest: {by: numeric, extract: "b-{key}"},')
    assert 'newest {} -> {"by": "numeric", "extract": "b-{key}"}' in apply_catalog("--dry-run")
    apply_catalog()
    stage = Stage.objects.select_related("image").get(environment__slug="prod")
    assert (ordering_of(stage).by, ordering_of(stage).extract) == (By.NUMERIC, "b-{key}")
    assert "nothing" in apply_catalog().lower()


MISTAKES = [
    ("promote: sometimes", 'promote: "sometimes" is not one of them. Known: automatically, by-people.'),
    ("promote: automatically, promotable: false", "contradicts promotable: false"),
    ("newest: semvre", 'newest.by: "semvre" is not one of them. Did you mean "semver"?'),
    ("newest: {by: pushed, prereleases: true}", "means nothing when ordered by pushed"),
    ("newest: {extract: main-}", "newest.extract: must name {key} once"),
    ("newest: {onyl: x}", 'newest.onyl: unknown key. Did you mean "only"?'),
]


@pytest.mark.parametrize(("text", "told"), MISTAKES, ids=lambda text: text[:40])
def test_mistakes_are_told_with_their_key(text: str, told: str) -> None:
    with pytest.raises(CatalogueError) as raised:
        read_catalogue(with_stage(text), file="f")
    assert told in str(raised.value)


def test_an_environment_names_the_time_zone_of_its_people() -> None:
    text = SHOP.replace("{risk: production}", "{risk: production, policy: {time_zone: Asia/Tokyo}}")
    policy = read_catalogue(text, file="f").rows[ENVIRONMENT][1].values["policy"]
    assert isinstance(policy, dict)
    assert Rules.of(policy).time_zone == "Asia/Tokyo"
    with pytest.raises(CatalogueError, match=r"policy\.time_zone: there is no time zone 'Asia/Tokio'"):
        read_catalogue(text.replace("Tokyo", "Tokio"), file="f")
