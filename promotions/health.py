"""Is this process able to serve? Asked by the demo, by probes and by load balancers."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor


def pending_migrations() -> int:
    """How many migrations of this code the database has not seen."""
    executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


class Health:
    """What keeps this process from serving.

    Migrations that were applied once stay applied, and finding that out loads all of them: after the
    first good answer only the database is asked, so probes stay cheap.
    """

    def __init__(self) -> None:
        self.migrated = False

    def problems(self) -> list[str]:
        """Sentences without any detail an outsider could use; empty when all is well."""
        try:
            if self.migrated:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
                return []
            pending = pending_migrations()
        except DatabaseError:
            return ["the database does not answer"]
        self.migrated = pending == 0
        return [] if self.migrated else [f"{pending} migrations are not applied"]


problems = Health().problems
