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
