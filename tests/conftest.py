"""What every test may ask for."""

from __future__ import annotations

import os
from urllib.parse import quote

import pytest


@pytest.fixture
def database_environ(transactional_db: None) -> dict[str, str]:
    """The environment for a real child process that works on this worker's test database."""
    from django.db import connection

    settings = connection.settings_dict
    url = f"postgresql://{quote(settings['USER'])}@/{quote(settings['NAME'])}?host={quote(settings['HOST'])}"
    return {**os.environ, "DATABASE_URL": url}
