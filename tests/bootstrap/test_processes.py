"""Children are restarted, shown, ended with all their descendants, and die with their parent."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.bootstrap.conftest import Python, alive, until

# Every child writes its process ids to a file, so that the test can look for them afterwards.
SUPERVISE = """
import sys
from pathlib import Path
from promotions.bootstrap.processes import Child, StopRequested, Supervisor, stop_signals
child = Child("web", [sys.executable, sys.argv[1], sys.argv[2]], log=Path(sys.argv[2] + ".log"))
try:
    with stop_signals(), Supervisor(lambda line: print(line, flush=True), stop_seconds=1.0) as supervisor:
        supervisor.add(child)
        supervisor.run()
except StopRequested as request:
    print("stopped by", request, flush=True)
"""
WITH_GRANDCHILD = """
import json, pathlib, subprocess, sys, os, time
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
path = pathlib.Path(sys.argv[1])
path.with_suffix(".new").write_text(json.dumps([os.getpid(), grandchild.pid]))
path.with_suffix(".new").rename(path)
time.sleep(600)
"""
STUBBORN = "import signal\nfor each in (signal.SIGTERM, signal.SIGINT): signal.signal(each, signal.SIG_IGN)\n"
BROKEN = """
import sys
print("cannot read the configuration", flush=True)
sys.exit(3)
"""


class Family:
    """A supervisor with one child that has a child of its own."""

    def __init__(self, python: Python, folder: Path, child: str) -> None:
        script = folder / "child.py"
        script.write_text(child)
        self.note = folder / "pids"
        self.parent = python(SUPERVISE, script, self.note)

    def pids(self) -> list[int]:
        until(self.note.exists, "the child's start")
        found: list[int] = json.loads(self.note.read_text())
        return found

    def end(self, number: signal.Signals) -> str:
        self.parent.send_signal(number)
        return self.parent.communicate(timeout=30)[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_ends_children_and_grandchildren(
    python: Python, tmp_path: Path, number: signal.Signals
) -> None:
    family = Family(python, tmp_path, WITH_GRANDCHILD)
    pids = family.pids()
    assert f"stopped by {number.name}" in family.end(number)
    until(lambda: not any(alive(pid) for pid in pids), "the end of all processes")
    assert family.parent.returncode == 0


def test_a_child_that_ignores_the_request_is_killed_after_a_while(python: Python, tmp_path: Path) -> None:
    family = Family(python, tmp_path, STUBBORN + WITH_GRANDCHILD)
    pids = family.pids()
    assert "stopped by SIGTERM" in family.end(signal.SIGTERM)
    until(lambda: not any(alive(pid) for pid in pids), "the end of all processes")


def test_a_child_dies_with_a_parent_that_is_killed(python: Python, tmp_path: Path) -> None:
    family = Family(python, tmp_path, STUBBORN + WITH_GRANDCHILD)
    child, grandchild = family.pids()
    family.parent.kill()
    until(lambda: not alive(child), "the child's end")
    # The kernel's promise covers children only; this test's grandchild is ended by hand.
    os.kill(grandchild, signal.SIGKILL)


def test_a_child_that_dies_is_started_again_without_its_old_descendants(
    python: Python, tmp_path: Path
) -> None:
    family = Family(python, tmp_path, WITH_GRANDCHILD)
    first = family.pids()
    family.note.unlink()
    os.kill(first[0], signal.SIGKILL)
    second = family.pids()
    assert set(first).isdisjoint(second)
    until(lambda: not alive(first[1]), "the old grandchild's end")
    assert "web was ended by SIGKILL; starting it again in 0.5 s" in family.end(signal.SIGINT)


def test_deaths_in_a_row_wait_longer_and_show_the_last_output(python: Python, tmp_path: Path) -> None:
    family = Family(python, tmp_path, BROKEN)
    assert family.parent.stdout is not None
    lines = [family.parent.stdout.readline() for _ in range(4)]
    assert lines[0].startswith("web ended with exit code 3; starting it again in 0.5 s.")
    assert lines[1] == "    cannot read the configuration\n"
    assert "starting it again in 1 s." in lines[2]
    assert "stopped by SIGINT" in family.end(signal.SIGINT)
