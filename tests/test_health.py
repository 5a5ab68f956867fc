"""Ready means: the database answers and knows every migration of this code."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from promotions.health import Health, pending_migrations


@pytest.mark.django_db
def test_a_migrated_database_is_healthy_and_later_answers_cost_one_query(
    django_assert_num_queries: pytest.FixtureRequest,
) -> None:
    health = Health()
    assert health.problems() == []
    with django_assert_num_queries(1):  # type: ignore[operator]  # the plugin's fixture has no public type
        assert health.problems() == []


@pytest.mark.django_db
def test_a_migration_the_database_has_not_seen_is_counted() -> None:
    MigrationRecorder(connection).record_unapplied("sessions", "0001_initial")
    assert pending_migrations() == 1
    assert Health().problems() == ["1 migrations are not applied"]
