"""The cast, and an audit trail that is really committed, with every trigger on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from promotions.models import AuditEntry
from promotions.workflow import record
from tests import cast

Tamper = Callable[..., None]
GUARDED = ("promotions_auditentry", "promotions_audithead")


@pytest.fixture
def people(db: None) -> cast.People:
    return cast.make_people()


@pytest.fixture
def catalogue(people: cast.People) -> cast.Catalogue:
    return cast.make_catalogue(people)


@pytest.fixture
def trail(transactional_db: None) -> list[AuditEntry]:
    """Ten entries by one person about ten things."""
    by = cast.make_people().requester
    for number in range(10):
        record("thing.done", subject=f"thing {number}", by=by, reason=f"Reason {number} – なぜ")
    return list(AuditEntry.objects.order_by("number"))


@contextmanager
def without_triggers(*names: str) -> Iterator[None]:
    """Switch a trigger of each guarded table off for a while, in their order."""

    def switch(word: str) -> None:
        with connection.cursor() as cursor:
            for table, name in zip(GUARDED, names, strict=True):
                cursor.execute(f"ALTER TABLE {table} {word} TRIGGER {name}")

    switch("DISABLE")
    try:
        yield
    finally:
        switch("ENABLE")


@pytest.fixture
def tamper(trail: list[AuditEntry]) -> Tamper:
    """Change the tables as somebody does who may switch triggers off."""

    def change(statement: str, *values: object) -> None:
        with without_triggers("USER", "USER"), connection.cursor() as cursor:
            cursor.execute(statement, values)

    return change
