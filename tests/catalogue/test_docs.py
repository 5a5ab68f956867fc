"""docs/catalogue.md: its example is a valid file, and it names every key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from promotions.catalogue import CatalogueError, read_catalogue
from promotions.catalogue.rows import STAGE

DOCS = (Path(__file__).parents[2] / "docs" / "catalogue.md").read_text(encoding="utf-8")
SECTIONS = {
    "a connection": "connections: {a: {zz: 1}}",
    "a webhook source": "webhook_sources: [{zz: 1}]",
    "an environment": "environments: {a: {zz: 1}}",
    "an application": "applications: {a: {zz: 1}}",
    "a stage": "applications: {a: {stages: {b: {zz: 1}}}}",
    "a stage's manifests": "applications: {a: {stages: {b: {manifests: {zz: 1}}}}}",
    "a role": "roles: [{zz: 1}]",
}


def test_the_example_is_a_valid_catalogue() -> None:
    example = re.search(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
    assert example is not None
    catalogue = read_catalogue(example[1], file="docs/catalogue.md")
    assert len(catalogue.rows[STAGE]) == 3


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_that_may_be_given_is_in_the_tables(section: str) -> None:
    """An unknown key's message lists the known ones: each must be explained."""
    with pytest.raises(CatalogueError) as raised:
        read_catalogue(SECTIONS[section], file="f")
    (told,) = [line for line in str(raised.value).splitlines() if "zz: unknown key. Known: " in line]
    keys = told.partition("Known: ")[2].rstrip(".").split(", ")
    assert len(keys) > 2
    for key in keys:
        assert re.search(rf"`(manifests\.)?{key}`", DOCS), key
