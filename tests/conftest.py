"""What every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from pytest_django.plugin import DjangoDbBlocker

TRUNCATE_TRIGGERS = {
    "promotions_auditentry": "audit_refuse_truncate",
    "promotions_audithead": "audit_refuse_head_truncate",
}


def pytest_configure(config: pytest.Config) -> None:
    """Hashing is slow on purpose. Quick for the whole run, for a hash may outlive the test that made it."""
    if config.pluginmanager.hasplugin("django"):
        from django.conf import settings

        settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


# Long tests mostly wait for processes of their own: begun first, none is left over at the end. Those that
# share what they start stay together on one worker.
LONG = ("tests/scenarios/", "tests/browser/", "tests/bootstrap/test_demo", "tests/bootstrap/test_environment")
TOGETHER = ("tests/scenarios/", "tests/browser/")


# After pytest-randomly has shuffled, and before pytest-xdist reads the groups.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    for item in items:
        if item.nodeid.startswith(TOGETHER):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    yield
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """Copy a database that was migrated once, instead of migrating one in each worker."""
    from django.db import connection

    from tests.system import template

    connection.settings_dict["TEST"]["TEMPLATE"] = template()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Tests that really commit empty all tables afterwards; making all permissions anew each time took most
    of that, and nothing here asks for them. Audit tables may be emptied by nothing else than this."""
    from django.contrib.contenttypes.management import create_contenttypes
    from django.db import connection
    from django.db.models.signals import post_migrate

    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table, trigger in TRUNCATE_TRIGGERS.items():
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")

    post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")
    post_migrate.disconnect(create_contenttypes)


@pytest.fixture
def transactional_db(transactional_db: None) -> Iterator[None]:
    """Really commit; the queue's tables are unknown to Django, so that they are emptied here."""
    from django.db import connection

    yield
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs, procrastinate_workers CASCADE")


@pytest.fixture
def database_environ(transactional_db: None) -> dict[str, str]:
    """The environment for a real child process that works on this worker's test database."""
    from django.db import connection

    settings = connection.settings_dict
    url = f"postgresql://{quote(settings['USER'])}@/{quote(settings['NAME'])}?host={quote(settings['HOST'])}"
    return {**os.environ, "DATABASE_URL": url}
