"""The cast, scenario A's catalogue and a promotion that waits."""

from __future__ import annotations

import pytest

from promotions.models import Promotion
from tests.cast import Catalogue, People, make_promotion
from tests.pages.conftest import catalogue, people, sign_in

__all__ = ["catalogue", "people", "sign_in"]


@pytest.fixture
def waiting(catalogue: Catalogue, people: People) -> Promotion:
    return make_promotion(catalogue, people.requester)
