"""The cast and scenario A's catalogue."""

from __future__ import annotations

from typing import Any

import pytest

from tests import cast


@pytest.fixture
def people(db: None, settings: Any) -> cast.People:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return cast.make_people()


@pytest.fixture
def catalogue(people: cast.People) -> cast.Catalogue:
    return cast.make_catalogue(people)
