"""What every test may ask for."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from pytest_django.plugin import DjangoDbBlocker


def pytest_configure(config: pytest.Config) -> None:
    """Hashing is slow on purpose. Quick for the whole run, for a hash may outlive the test that made it.

    Every test client would list all static files first: they are looked for when one is asked for.
    """
    if config.pluginmanager.hasplugin("django"):
        from django.conf import settings

        settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
        settings.WHITENOISE_AUTOREFRESH = True


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave all that was imported out of every later search for garbage: there is much, and it stays."""
    gc.collect()
    gc.freeze()


# Those that share what they start stay together on one worker: all scenarios but the failures, which take as
# long, have one Slipway, whose start costs as much as two promotions.
# Races have twenty threads each: two at once would take the processors from each other.
TOGETHER = ("tests/scenarios/", "tests/browser/", "tests/writers/")
# Long tests mostly wait for processes of their own. The longest begin first, so that none is left over.
LONG = (
    "tests/scenarios/test_failures",
    "tests/scenarios/",
    "tests/writers/",
    "tests/browser/",
    "tests/bootstrap/test_demo",
    "tests/bootstrap/test_environment",
)


def begins(item: pytest.Item) -> int:
    """Return which place among the long ones a test has; the others come after them."""
    return next((place for place, name in enumerate(LONG) if item.nodeid.startswith(name)), len(LONG))


# After pytest-randomly has shuffled, and before pytest-xdist reads the groups.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    for item in items:
        if item.nodeid.startswith(TOGETHER):
            file = item.nodeid.partition("::")[0]
            shared = file.startswith("tests/scenarios/") and not file.endswith("/test_failures.py")
            item.add_marker(pytest.mark.xdist_group("tests/scenarios" if shared else file))
    yield
    items.sort(key=begins)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """Copy a database that was migrated once, instead of migrating one in each worker."""
    from django.db import connection

    from tests.system import template

    connection.settings_dict["TEST"]["TEMPLATE"] = template()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Tests that really commit empty the tables they filled: Django's own way empties all of them, which
    costs PostgreSQL more than most tests do, and makes all permissions anew."""
    from django.db import connection
    from django.test import TransactionTestCase

    # What migrations wrote stays.
    kept = {"django_migrations", "django_content_type", "auth_permission"}
    with django_db_blocker.unblock():
        tables = sorted(set(connection.introspection.table_names()) - kept)
    # The one place where Django lets this be chosen.
    TransactionTestCase._fixture_teardown = lambda _case: empty_tables(tables)  # type: ignore[attr-defined]


def empty_tables(tables: list[str]) -> None:
    """Delete every row of the tables, which takes a superuser: no trigger is asked, foreign keys neither."""
    from django.db import connection, transaction

    any_row = " UNION ALL ".join(f"(SELECT '{table}' FROM {table} LIMIT 1)" for table in tables)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(any_row)
        for (table,) in cursor.fetchall():
            cursor.execute(f"DELETE FROM {table}")


@pytest.fixture
def database_environ(transactional_db: None) -> dict[str, str]:
    """The environment for a real child process that works on this worker's test database."""
    from django.db import connection

    settings = connection.settings_dict
    url = f"postgresql://{quote(settings['USER'])}@/{quote(settings['NAME'])}?host={quote(settings['HOST'])}"
    return {**os.environ, "DATABASE_URL": url}
