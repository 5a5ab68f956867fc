"""A pytest plugin: one embedded PostgreSQL for the whole run, a database in it per worker.

It is named in pyproject.toml's addopts and not in a conftest, because pytest-django reads the
settings before it reads any conftest. `DATABASE_URL` wins when set.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from promotions.bootstrap.postgres import EmbeddedPostgres, database_url

FOLDER = "SLIPWAY_TEST_FOLDER"
SERVER = pytest.StashKey[EmbeddedPostgres]()


def own_server_wanted() -> bool:
    """Workers of pytest-xdist inherit the address from the run that started them."""
    return not os.environ.get("DATABASE_URL") and "PYTEST_XDIST_WORKER" not in os.environ


if own_server_wanted():
    # Short, so that the socket fits into it, and outside the checkout, which tests may copy.
    os.environ[FOLDER] = tempfile.mkdtemp(prefix="slipway-tests-")
    os.environ["DATABASE_URL"] = database_url(Path(os.environ[FOLDER]))
# The suite starts dozens of interpreters: each would compile the whole project again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ.setdefault("SECRET_KEY", "only-for-tests-" + "x" * 40)
os.environ.setdefault("ALLOWED_HOSTS", "127.0.0.1,localhost,testserver")
# A pool's threads would keep sessions on a database that the end of the run drops.
os.environ.setdefault("DATABASE_POOL", "false")


def pytest_configure(config: pytest.Config) -> None:
    """Start the server unless this run uses no database (`-p no:django`) or runs nothing."""
    folder = os.environ.get(FOLDER)
    asleep = config.option.collectonly or not config.pluginmanager.hasplugin("django")
    if folder is None or "PYTEST_XDIST_WORKER" in os.environ or asleep:
        return
    server = EmbeddedPostgres(Path(folder), durable=False)
    server.start()
    config.stash[SERVER] = server


def pytest_unconfigure(config: pytest.Config) -> None:
    server = config.stash.get(SERVER, None)
    if server is not None:
        server.stop()
    if FOLDER in os.environ and "PYTEST_XDIST_WORKER" not in os.environ:
        shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)
