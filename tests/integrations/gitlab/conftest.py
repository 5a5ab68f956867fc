from __future__ import annotations

from collections.abc import Iterator

import pytest

from integrations.gitlab import GitLabClient
from integrations.http import Retry
from tests.integrations.loopback import Loopback

TOKEN = "glpat-very-secret-token"


@pytest.fixture
def gitlab(server: Loopback, retry: Retry) -> Iterator[GitLabClient]:
    client = GitLabClient(server.url, TOKEN, timeout=2.0, retry=retry)
    yield client
    client.close()
