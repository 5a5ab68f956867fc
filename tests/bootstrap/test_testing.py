"""`manage.py test` runs in parallel unless the caller says how."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from promotions.bootstrap.testing import scheduling
from tests.bootstrap.conftest import ROOT

RUN = "import sys; from promotions.bootstrap.testing import run; run(sys.argv[1:])"


@pytest.mark.parametrize("arguments", [[], ["-x"], ["tests/api", "-k", "not slow"], ["--no-header"]])
def test_everything_runs_in_parallel(arguments: list[str]) -> None:
    assert scheduling(arguments)[0] == "-n"
    assert int(scheduling(arguments)[1]) >= 2


@pytest.mark.parametrize("arguments", [["-n0"], ["-n", "8"], ["tests", "--pdb"], ["-p", "no:xdist"]])
def test_the_caller_s_own_choice_wins(arguments: list[str]) -> None:
    assert scheduling(arguments) == []


@pytest.mark.parametrize(("passes", "code"), [("True", 0), ("False", 1)])
def test_its_last_line_and_exit_code_are_pytest_s_own(tmp_path: Path, passes: str, code: int) -> None:
    test = tmp_path / "test_one.py"
    test.write_text(f"def test_it_is_so() -> None:\n    assert {passes}\n")
    arguments = ["-n0", "-p", "no:django", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments, "-c", "/dev/null", str(test)],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
        cwd=ROOT,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert ("1 passed" if code == 0 else "1 failed") in done.stdout.splitlines()[-1]
