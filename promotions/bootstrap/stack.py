"""The whole of a running Slipway on one machine: data folder, database, processes, readiness."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from promotions.bootstrap.environment import ROOT
from promotions.bootstrap.postgres import EmbeddedPostgres
from promotions.bootstrap.processes import Child, Supervisor, stop_signals

READY_SECONDS = 60.0
MARKER = "slipway-data"
SECRET_KEY = "secret-key"


class CannotStart(Exception):
    """Something on this machine is in the way; the message is for the person at the terminal."""


@contextlib.contextmanager
def locked(data_dir: Path, *, note: str) -> Iterator[None]:
    """Hold the data folder for this process; `note` tells a second one what runs here."""
    claim(data_dir)
    with (data_dir / "lock").open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise CannotStart(f"Slipway already runs on {data_dir}: {handle.read().strip()}.") from None
        handle.truncate(0)
        handle.write(f"process {os.getpid()}, {note}\n")
        handle.flush()
        yield
        handle.truncate(0)


def claim(data_dir: Path) -> None:
    """Make the data folder ours, so that --reset can never empty a folder somebody else filled."""
    data_dir.mkdir(parents=True, exist_ok=True)
    if (data_dir / MARKER).exists():
        return
    if any(data_dir.iterdir()):
        raise CannotStart(
            f"{data_dir} is not empty and not a data folder of Slipway; choose another --data-dir."
        )
    (data_dir / MARKER).touch()


def external_database() -> bool:
    """Whether somebody else's server is used, which is never started, stopped or emptied by us."""
    return bool(os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_URL_FILE"))


def reset(data_dir: Path) -> None:
    """Remove what earlier runs left; the caller holds the lock. The key stays: settings are read already."""
    if external_database():
        raise CannotStart("--reset does not empty the database that DATABASE_URL names; do that there.")
    for entry in data_dir.iterdir():
        if entry.name in {"lock", MARKER, SECRET_KEY}:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def require_free_port(host: str, port: int) -> None:
    """Say in words what uvicorn would say in a traceback."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(
                f"Port {port} on {host} cannot be used ({error.strerror}); choose another with --port."
            ) from None


def generated_secret(data_dir: Path) -> Path:
    """The file with this data folder's random key, made on the first call, for its owner only."""
    claim(data_dir)
    path = data_dir / SECRET_KEY
    if not path.exists():
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(50))
        fresh.rename(path)
    return path


class Stack:
    """Database and processes of one data folder. `with Stack(...).running() as stack:`."""

    def __init__(self, data_dir: Path, *, say: Callable[[str], None], log_to_files: bool) -> None:
        self.data_dir = data_dir
        self.say = say
        self.log_to_files = log_to_files
        self.supervisor = Supervisor(say, every_time=self.tend_postgres)
        self.postgres = None if external_database() else EmbeddedPostgres(data_dir)

    @contextlib.contextmanager
    def running(self, *, note: str, before: Callable[[], None] = lambda: None) -> Iterator[Stack]:
        """Lock, start the database; at the end stop what was started, children before the database.

        `before` runs under the lock, while nothing runs yet.
        """
        with locked(self.data_dir, note=note), stop_signals(), contextlib.ExitStack() as stack:
            before()
            if self.postgres is not None:
                stack.callback(self.postgres.stop)
                self.postgres.start()
            stack.enter_context(self.supervisor)
            yield self

    def tend_postgres(self) -> None:
        """Start the database again when it died; PostgreSQL recovers its data by itself."""
        if self.postgres is not None and not self.postgres.running():
            self.say("postgres ended; starting it again.")
            self.postgres.start()

    def add(self, name: str, command: list[str], **environ: str) -> Child:
        log = self.data_dir / "logs" / f"{name}.log" if self.log_to_files else None
        child = Child(name, command, log=log, environ=environ)
        self.supervisor.add(child)
        return child

    def add_web(self, host: str, port: int) -> Child:
        return self.add("web", web_command(host, port), PYTHONPATH=str(ROOT))

    def add_worker(self) -> Child:
        return self.add("worker", [sys.executable, str(ROOT / "manage.py"), "worker"])

    def wait_until_healthy(self, host: str, port: int) -> None:
        """Return when /healthz answers 200. Raises CannotStart with the page's words after a while."""
        self.wait_until(lambda: healthz(host, port) == "", what=lambda: healthz(host, port))

    def wait_for_json(self, path: Path) -> dict[str, str]:
        """The JSON object that a child writes into a file as soon as it is ready."""
        found: dict[str, str] = {}

        def ready() -> bool:
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                found.update(json.loads(path.read_text()))
            return bool(found)

        self.wait_until(ready, what=lambda: f"{path.name} was not written")
        return found

    def wait_until(self, ready: Callable[[], bool], *, what: Callable[[], str]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            if time.monotonic() > deadline:
                raise CannotStart(f"Not ready after {READY_SECONDS:g} s: {what()}.{self.outputs()}")
            due = self.supervisor.tend()
            self.supervisor.wait(min(0.05, due) if due is not None else 0.05)

    def outputs(self) -> str:
        """The last output of every child, for a start that failed."""
        parts = [f"\n{child.name}:\n{child.last_output()}" for child in self.supervisor.children]
        return "".join(part for part in parts if part.count("\n") > 1)


def web_command(host: str, port: int) -> list[str]:
    """uvicorn, set up once for the demo, `up` and containers."""
    command = [sys.executable, "-m", "uvicorn", "promotions.asgi:application", "--host", host]
    command += ["--port", str(port), "--no-server-header", "--no-access-log", "--log-level", "warning"]
    # Compressing each message costs nearly half the CPU (reference measurements.md, live fan-out).
    # Open websockets get three seconds to say goodbye before the process ends.
    return [*command, "--ws-per-message-deflate", "false", "--timeout-graceful-shutdown", "3"]


def healthz(host: str, port: int) -> str:
    """What is wrong according to /healthz; "" when it answers 200."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/healthz", headers={"Host": f"localhost:{port}"})
        answer = connection.getresponse()
        body = answer.read(2000).decode(errors="replace").strip()
    except OSError as error:
        return f"the web process does not answer ({error})"
    finally:
        connection.close()
    return "" if answer.status == 200 else f"/healthz answers {answer.status}: {body}"
