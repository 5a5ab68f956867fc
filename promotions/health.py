"""Is this process able to serve? Asked by the demo, by probes and by load balancers."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor


def pending_migrations() -> int:
    """How many migrations of this code the database has not seen."""
    executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def problems() -> list[str]:
    """What keeps Slipway from serving, without any detail an outsider could use; empty when all is well."""
    try:
        pending = pending_migrations()
    except DatabaseError:
        return ["the database does not answer"]
    return [f"{pending} migrations are not applied"] if pending else []
