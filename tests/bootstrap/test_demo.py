"""`manage.py demo` and `up` as a newcomer runs them: real processes, real database, real signals."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from promotions.bootstrap.stack import claim
from tests.bootstrap.conftest import ROOT, until

pytestmark = pytest.mark.timeout(180)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def working_for(folder: Path) -> list[str]:
    """Commands of the processes that still work for a data folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command, environ = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in command + environ:
            found.append(command.replace(b"\0", b" ").decode())
    return found


class Slipway:
    """One data folder and port, and the processes started on it."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.port = free_port()
        self.output = folder / "output"
        self.started: list[subprocess.Popen[bytes]] = []

    def environ(self, **extra: str) -> dict[str, str]:
        own = {"DATABASE_URL", "SECRET_KEY", "ALLOWED_HOSTS", "SLIPWAY_TEST_FOLDER", "DJANGO_SETTINGS_MODULE"}
        return {name: value for name, value in os.environ.items() if name not in own} | extra

    def start(self, command: str, *options: str, **environ: str) -> subprocess.Popen[bytes]:
        arguments = [command, "--port", str(self.port), "--data-dir", str(self.data), *options]
        with self.output.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environ(**environ),
            )
        self.started.append(process)
        return process

    def demo(self, *options: str) -> subprocess.Popen[bytes]:
        process = self.start("demo", "--no-browser", *options)
        self.wait_until_ready(process)
        return process

    def said(self) -> str:
        """What the process started last has printed so far."""
        return self.output.read_text()

    def wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        until(lambda: "Slipway is ready" in self.said() or process.poll() is not None, "readiness", bound=90)
        assert process.poll() is None, self.said()
        assert healthy(self.port)

    def stop(self, process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGINT) -> str:
        process.send_signal(number)
        assert process.wait(40) == 0, self.said()
        until(lambda: not working_for(self.data), "the end of all processes")
        return self.said()


@pytest.fixture
def slipway(tmp_path: Path) -> Iterator[Slipway]:
    made = Slipway(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_a_demo_starts_over_runs_once_per_folder_survives_a_kill_and_stops_without_a_trace(
    slipway: Slipway,
) -> None:
    """One life of a data folder, for a start takes seconds: reset, second start, kill, restart, Ctrl-C."""
    claim(slipway.data)
    cluster = slipway.data / "postgres" / "PG_VERSION"
    cluster.parent.mkdir()
    cluster.write_text("of a version nobody has")
    first = slipway.demo("--reset")
    assert cluster.read_text() == "18\n"
    assert f"Slipway is ready:  http://127.0.0.1:{slipway.port}" in slipway.said()
    assert "Sign in as:" in slipway.said()

    second = slipway.start("demo", "--no-browser")
    assert second.wait(30) == 1
    assert f"already runs on {slipway.data}: process {first.pid}" in slipway.said()
    assert healthy(slipway.port)

    before = cluster.stat().st_ino, (slipway.data / "secret-key").read_text()
    first.kill()
    first.wait()
    third = slipway.demo()
    assert (cluster.stat().st_ino, (slipway.data / "secret-key").read_text()) == before
    slipway.stop(third, signal.SIGINT)


def test_a_taken_port_stops_the_demo_before_anything_runs(slipway: Slipway) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", slipway.port))
        taken.listen()
        assert slipway.start("demo", "--no-browser").wait(60) == 1
    assert f"Port {slipway.port} on 127.0.0.1 cannot be used" in slipway.said()
    assert not (slipway.data / "postgres").exists()


def test_up_serves_the_real_thing_from_the_environment_s_settings(slipway: Slipway) -> None:
    base = f"http://127.0.0.1:{slipway.port}"
    environ = {"SECRET_KEY": "k" * 50, "BASE_URL": base, "ALLOWED_HOSTS": "127.0.0.1,localhost"}
    process = slipway.start("up", **environ)
    slipway.wait_until_ready(process)
    assert not [command for command in working_for(slipway.data) if "sandbox" in command]
    slipway.stop(process, signal.SIGTERM)
