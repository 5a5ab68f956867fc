"""The cast and scenario A's catalogue."""

from __future__ import annotations

import pytest

from tests import cast


@pytest.fixture
def people(db: None) -> cast.People:
    return cast.make_people()


@pytest.fixture
def catalogue(people: cast.People) -> cast.Catalogue:
    return cast.make_catalogue(people)
