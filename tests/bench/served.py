# ruff: noqa: E402
"""A durable PostgreSQL, migrated, with scenario A's catalogue, and a web process to measure."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from promotions.bootstrap.postgres import EmbeddedPostgres, database_url
from promotions.bootstrap.stack import web_command
from tests.system import free_port, wait_for

SECRET = "secret-of-the-benchmark"


@contextlib.contextmanager
def database() -> Iterator[str]:
    """Run a PostgreSQL that flushes to disk, as in production; Django is set up on it."""
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        server = EmbeddedPostgres(Path(folder), durable=True)
        server.start()
        try:
            os.environ |= {
                "DATABASE_URL": database_url(Path(folder)),
                "SECRET_KEY": "only-for-benchmarks-" + "x" * 40,
                "ALLOWED_HOSTS": "127.0.0.1",
                "DJANGO_SETTINGS_MODULE": "promotions.settings",
                "HOOK_SECRET": SECRET,
                "PYTHONPATH": str(ROOT),
                "LOG_LEVEL": "ERROR",
            }
            subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, check=True)
            import django

            django.setup()
            yield os.environ["DATABASE_URL"]
            from django.db import connections

            connections.close_all()
            connections["default"].close_pool()  # type: ignore[attr-defined]
        finally:
            server.stop()


@contextlib.contextmanager
def web() -> Iterator[tuple[int, int]]:
    """Run the web process; give its port and process id."""
    port = free_port()
    os.environ["BASE_URL"] = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(web_command("127.0.0.1", port), cwd=ROOT)
    try:
        wait_for(lambda: _answers(port), bool, what="the web process's start")
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(timeout=15)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False, verify=False).is_success
    except httpx.TransportError:
        return False


def cpu_seconds(pid: int) -> float:
    """Return the processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def now() -> float:
    return time.monotonic()
