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


# Those that share what they start stay together on one worker: a folder or a file of tests.
# All scenarios but the failures, which take as long, have one Slipway, whose start costs as much as two
# promotions; all browser tests have one Chromium. Races have twenty threads each: two at once would take
# the processors from each other.
TOGETHER = (
    "tests/scenarios/test_failures.py",
    "tests/scenarios/",
    "tests/browser/",
    "tests/writers/test_race.py",
    "tests/writers/test_kill.py",
    "tests/bootstrap/test_environment.py",
    "tests/live/",
    "tests/integrations/registry/test_real_registry.py",
    "tests/integrations/sandbox/test_argocd_api.py",
    "tests/integrations/sandbox/test_scenarios.py",
    "tests/repositories/test_trees.py",
)
# Long tests mostly wait for processes of their own. The longest begin first, so that none is left over.
LONG = (*TOGETHER[:6], "tests/bootstrap/test_demo")


def place(item: pytest.Item, names: tuple[str, ...]) -> int:
    """Return the place of the name that a test's begins with; behind all where there is none."""
    return next((place for place, name in enumerate(names) if item.nodeid.startswith(name)), len(names))


# After pytest-randomly has shuffled, and around pytest-xdist, which reads the groups.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    shared = [item for item in items if place(item, TOGETHER) < len(TOGETHER)]
    for item in shared:
        item.add_marker(pytest.mark.xdist_group(TOGETHER[place(item, TOGETHER)]))
    yield
    # Where its version does not fit pytest's it says nothing, and every worker would start everything.
    if getattr(config.option, "loadgroup", False) and not all("@" in item.nodeid for item in shared):
        raise pytest.UsageError("pytest-xdist does not keep groups together with this version of pytest.")
    items.sort(key=lambda item: place(item, LONG))


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
        make_emptying(tables)
    # The one place where Django lets this be chosen.
    TransactionTestCase._fixture_teardown = lambda _case: empty_tables()  # type: ignore[attr-defined]


def make_emptying(tables: list[str]) -> None:
    """Write a function that deletes every row of the tables; it stays in this worker's database.

    No trigger is asked, foreign keys neither. A function, for its session plans each of its lines once:
    one question to all tables took eighteen milliseconds to plan, each time.
    """
    from django.db import connection

    # Most are empty, and asking is cheaper than deleting nothing.
    lines = "".join(
        f"IF EXISTS (SELECT FROM {table}) THEN DELETE FROM {table}; END IF;\n" for table in tables
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE OR REPLACE FUNCTION tests_empty() RETURNS void LANGUAGE plpgsql"
            f" SET session_replication_role = replica AS $$ BEGIN\n{lines}END $$"
        )


def empty_tables() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT tests_empty()")


@pytest.fixture
def database_environ(transactional_db: None) -> dict[str, str]:
    """The environment for a real child process that works on this worker's test database."""
    from django.db import connection

    settings = connection.settings_dict
    url = f"postgresql://{quote(settings['USER'])}@/{quote(settings['NAME'])}?host={quote(settings['HOST'])}"
    return {**os.environ, "DATABASE_URL": url}
