"""A whole Slipway for one test: sandbox, database, web and worker as real processes on free ports."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit
from zlib import crc32

import httpx
import psycopg

from tests.nursery import ROOT, Forked, Nursery

SPEED = 25.0
_TEMPLATE_LOCK = 7_305_900
Value = TypeVar("Value")

# Sets how scenario A's prod's changes are written: the catalogue's business, done here as its keeper would.
POLICY = "SELECT policy FROM promotions_environment WHERE slug = 'prod'"
SET_POLICY = "UPDATE promotions_environment SET policy = %s WHERE slug = 'prod'"
SET_MODE = """
UPDATE promotions_stage SET write_mode = %s, team_branch = %s WHERE environment_id =
    (SELECT id FROM promotions_environment WHERE slug = 'prod')
    AND application_id = (SELECT id FROM promotions_application WHERE slug = 'flask-k8s-example')
"""


class NotInTime(AssertionError):
    """What was waited for did not come; the message holds what was seen last."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def doze() -> None:
    time.sleep(0.3)


def wait_for(
    look: Callable[[], Value],
    until: Callable[[Value], bool],
    *,
    seconds: float = 30,
    what: str = "",
    rest: Callable[[], None] = doze,
) -> Value:
    """Look again and again until the condition holds; bounded, and loud about what was seen last."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if until(seen):
            return seen
        if time.monotonic() > deadline:
            raise NotInTime(f"{what or 'it'} did not happen within {seconds:g} s; seen last: {seen!r}")
        rest()


def _server_url() -> str:
    return os.environ["DATABASE_URL"]


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _maintenance() -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(_with_database(_server_url(), "postgres"), autocommit=True)


def template() -> str:
    """Return the name of a migrated database to copy: made once a run, by whichever worker comes first."""
    migrations = sorted((ROOT / "promotions" / "migrations").glob("*.py"))
    name = f"slipway_template_{crc32(b''.join(path.read_bytes() for path in migrations)):08x}"
    with _maintenance() as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_TEMPLATE_LOCK])
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.execute(f"DROP DATABASE IF EXISTS {name}_draft")
            connection.execute(f"CREATE DATABASE {name}_draft")
            environ = {**os.environ, "DATABASE_URL": _with_database(_server_url(), f"{name}_draft")}
            command = [sys.executable, "manage.py", "migrate", "-v0", "--skip-checks"]
            subprocess.run(command, cwd=ROOT, env=environ, check=True)
            connection.execute(f"ALTER DATABASE {name}_draft RENAME TO {name}")
    return name


def make_database(name: str) -> str:
    """Return the address of a fresh, migrated database."""
    source = template()
    with _maintenance() as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY FILE_COPY")
    return _with_database(_server_url(), name)


def drop_database(name: str) -> None:
    with _maintenance() as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def sandbox_secrets() -> dict[str, str]:
    """Return the variables that the demo's catalogue refers to."""
    from promotions import demo

    return demo.environment()


def chat_address(urls: dict[str, str]) -> str:
    from promotions import demo

    return demo.chat_address(urls)


class System:
    """The running processes, and what a test says to them. Made by `running_system`."""

    def __init__(self, folder: Path, database_url: str, *, speed: float, scenario: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.speed = speed
        self.scenario = scenario
        self.processes: dict[str, subprocess.Popen[bytes] | Forked] = {}
        self._nursery: Nursery | None = None
        self.urls: dict[str, str] = {}
        self.passwords: dict[str, str] = {}
        self.policy: dict[str, object] | None = None
        self._clients: dict[str, httpx.Client] = {}
        self.environ = {
            **os.environ,
            "DATABASE_URL": database_url,
            "BASE_URL": self.base,
            "SLIPWAY_DATA_DIR": str(folder / "slipway"),
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "promotions.settings",
            "DATABASE_POOL": "true",
            "DEGRADED_GRACE_SECONDS": "5",
            **sandbox_secrets(),
        }

    def start(self) -> None:
        ready = self.folder / "ready.json"
        self._nursery = Nursery(self.folder, self.environ)
        self.processes["sandbox"] = self.fork(
            "sandbox",
            *("--scenario", self.scenario, "--speed", str(self.speed)),
            *("--data-dir", str(self.folder / "sandbox"), "--ready-file", str(ready)),
            *("--hook-base", self.base),
        )
        self.start_web()
        wait_for(ready.exists, bool, what="the sandbox's start")
        self.urls = json.loads(ready.read_text())
        self.prepare()
        self.start_worker()
        wait_for(self._health, lambda status: status == 200, what="the web process's health")

    def prepare(self) -> None:
        self.environ["SLIPWAY_DEMO_CHAT_URL"] = chat_address(self.urls)
        self.environ["SLIPWAY_DEMO_DIRECT_URL"] = chat_address(self.urls).replace("releases", "{username}")
        answer = self.folder / "passwords.json"
        done = self.fork("prepare", self.urls, self.base, self.scenario, str(answer))
        done.wait(timeout=60)
        assert answer.exists(), "the catalogue was not made: see prepare.log"
        self.passwords = json.loads(answer.read_text())

    def _health(self) -> int:
        try:
            return self._client(self.base).get("/healthz").status_code
        except httpx.TransportError:
            return 0

    def fork(self, part: str, *arguments: Any) -> Forked:
        if self._nursery is None:
            self._nursery = Nursery(self.folder, self.environ)
        return self._nursery.fork(part, self.environ, *arguments)

    def start_web(self) -> None:
        self.processes["web"] = self.fork("web", self.port)

    def start_worker(self) -> None:
        self.processes["worker"] = self.fork("worker")

    def kill(self, name: str) -> None:
        """End a process as the kernel does when memory runs out: at once, whatever it was doing."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)

    def stop(self) -> None:
        for client in self._clients.values():
            client.close()
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)
        self.processes.clear()
        if self._nursery is not None:
            self._nursery.close()

    def api(self, person: str) -> httpx.Client:
        """Return the client of the API that speaks as a person: one for all calls, for tests look often."""
        headers = {"Authorization": f"Bearer token-of-{person}"}
        return self._client(f"{self.base}/api/", **headers)

    def _client(self, base: str, **headers: str) -> httpx.Client:
        key = base + "".join(headers.values())
        if key not in self._clients:
            # Let go before uvicorn's five seconds: a connection that it closes meanwhile would fail a call.
            limits = httpx.Limits(keepalive_expiry=3)
            self._clients[key] = httpx.Client(
                base_url=base, headers=headers, timeout=30, trust_env=False, verify=False, limits=limits
            )
        return self._clients[key]

    def get(self, path: str, person: str = "dana") -> Any:
        return self.api(person).get(path).raise_for_status().json()

    def post(self, path: str, person: str, **body: Any) -> httpx.Response:
        return self.api(person).post(path, json=body)

    @property
    def control(self) -> httpx.Client:
        """Return the client of the sandbox's control API."""
        return self._client(self.urls["control"])

    def play(self, action: str, **parameters: Any) -> Any:
        """Do in the sandbox what another person or system would do."""
        return self.control.post(f"/api/play/{action}", json=parameters).raise_for_status().json()

    def faults(self, **faults: Any) -> None:
        self.control.put("/api/faults", json=faults).raise_for_status()

    def syncs(self) -> list[dict[str, Any]]:
        """Return what Argo CD was asked to sync, refused requests too, oldest first."""
        return list(self.control.get("/api/state").json()["syncs"])

    def page(self, path: str, person: str = "dana") -> str:
        """Return a page's HTML as a person sees it, who signs in once: that takes half a second."""
        browser = self._client(self.base, **{"User-Agent": f"{person}'s browser"})
        if "sessionid" not in browser.cookies:
            browser.get("/sign-in/").raise_for_status()
            form = {"username": person, "password": self.passwords[person]}
            token = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
            answer = browser.post("/sign-in/", data=form | token, headers={"Referer": self.base})
            assert answer.has_redirect_location, answer.text
        return browser.get(path, follow_redirects=True).raise_for_status().text

    def chat(self) -> list[dict[str, str]]:
        """Return what was said in the chat room, oldest first."""
        return list(self.control.get("/chat/releases").json())

    def set_write_mode(self, mode: str, team_branch: str = "") -> None:
        with psycopg.connect(self.environ["DATABASE_URL"]) as connection:
            connection.execute(SET_MODE, [mode, team_branch])

    def execute(self, code: str, *arguments: str) -> None:
        """Run code among the product's own, as its keeper may."""
        command = [sys.executable, "-c", code, *arguments]
        subprocess.run(command, cwd=ROOT, env=self.environ, check=True)

    def set_policy(self, **rules: object) -> None:
        """Give production these rules until the test is over, as its `policy` column holds them."""
        with psycopg.connect(self.environ["DATABASE_URL"]) as connection:
            row = connection.execute(POLICY).fetchone()
            assert row is not None
            self.policy = row[0] if self.policy is None else self.policy
            connection.execute(SET_POLICY, [json.dumps({**self.policy, **rules})])

    def wait_for(
        self,
        look: Callable[[], Value],
        until: Callable[[Value], bool],
        *,
        seconds: float = 30,
        what: str = "",
    ) -> Value:
        """Look when Slipway announces a change, and now and then: each look costs the web process as much as
        the work that is waited for, and not everything that happens is announced."""
        with psycopg.connect(self.environ["DATABASE_URL"], autocommit=True) as listener:
            listener.execute("LISTEN slipway_live")

            def rest() -> None:
                if list(listener.notifies(timeout=1.5, stop_after=1)):
                    # What happened at once is announced in several notices.
                    list(listener.notifies(timeout=0.4))

            return wait_for(look, until, seconds=seconds, what=what, rest=rest)

    def calm(self) -> None:
        """Take every fault away and leave nothing open, so that the next test finds an ordinary day."""
        self.play("calm")
        self.set_write_mode("team-branch", "dev")
        if self.policy is not None:
            self.set_policy()
        for promotion in self.get("promotions/")["results"]:
            if promotion["is_open"]:
                self.post(f"promotions/{promotion['id']}/abort/", "ada", reason="The test is over")
        # What an abandoned promotion left on the team's branch would go along with the next one.
        self.git("flask-k8s-manifest", "update-ref", "refs/heads/dev", "refs/heads/main")

    def repository(self, project: str) -> Path:
        """Return the bare repository of a project in the sandbox."""
        found = list((self.folder / "sandbox").rglob(f"{project}.git"))
        assert len(found) == 1, found
        return found[0]

    def git(self, project: str, *arguments: str) -> str:
        command = ["git", "-C", str(self.repository(project)), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def logs(self) -> str:
        """Return the ends of all logs, for the message of a failed test."""
        parts = []
        for log in sorted(self.folder.glob("*.log")):
            parts.append(f"--- {log.name}\n{log.read_text(errors='replace')[-6000:]}")
        return "\n".join(parts)


@contextmanager
def running_system(folder: Path, *, speed: float = SPEED, scenario: str = "a") -> Iterator[System]:
    """Run a whole Slipway with scenario A or others; everything it starts is stopped at the end."""
    name = f"slipway_{os.getpid()}_{time.monotonic_ns()}"
    system = System(folder, make_database(name), speed=speed, scenario=scenario)
    try:
        system.start()
        yield system
    except BaseException:
        print(system.logs())
        raise
    finally:
        system.stop()
        drop_database(name)
