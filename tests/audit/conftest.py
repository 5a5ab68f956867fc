"""The cast, and an audit trail that is really committed, with every trigger on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from promotions.models import AuditEntry
from promotions.workflow import record
from tests import cast
from tests.conftest import TRUNCATE_TRIGGERS

Tamper = Callable[..., None]


@pytest.fixture
def people(db: None) -> cast.People:
    return cast.make_people()


@pytest.fixture
def catalogue(people: cast.People) -> cast.Catalogue:
    return cast.make_catalogue(people)


def set_triggers(word: str) -> None:
    with connection.cursor() as cursor:
        for table, trigger in TRUNCATE_TRIGGERS.items():
            cursor.execute(f"ALTER TABLE {table} {word} TRIGGER {trigger}")


@pytest.fixture
def trail(transactional_db: None) -> Iterator[list[AuditEntry]]:
    """Ten entries by one person about ten things."""
    set_triggers("ENABLE")
    by = cast.make_people().requester
    for number in range(10):
        record("thing.done", subject=f"thing {number}", by=by, reason=f"Reason {number} – なぜ")
    yield list(AuditEntry.objects.order_by("number"))
    set_triggers("DISABLE")


@pytest.fixture
def tamper(trail: list[AuditEntry]) -> Tamper:
    """Change the tables as somebody does who may switch triggers off."""

    def change(statement: str, *values: object) -> None:
        with connection.cursor() as cursor:
            for table in TRUNCATE_TRIGGERS:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            cursor.execute(statement, values)
            for table in TRUNCATE_TRIGGERS:
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")

    return change
