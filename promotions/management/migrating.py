"""Bring the database up to date, quickly when it is already."""

from __future__ import annotations

from django.core.management import call_command
from django.db import connections

from promotions.health import pending_migrations


def migrate() -> None:
    """Apply what is pending. Asking first saves the second that `migrate` takes to find nothing to do."""
    if pending_migrations():
        call_command("migrate", verbosity=0, interactive=False)


def release_connections() -> None:
    """Give back the database connections of a process that from now on only watches others."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        # Only the PostgreSQL backend has a pool, and its threads would keep reconnecting.
        if close_pool := getattr(connection, "close_pool", None):
            close_pool()
