"""The data folder: one owner at a time, and never somebody else's."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from promotions.bootstrap.stack import CannotStart, claim, generated_secret, locked, require_free_port, reset
from tests.bootstrap.conftest import Python


def test_a_second_start_on_the_same_data_says_who_runs_there(python: Python, tmp_path: Path) -> None:
    data = tmp_path / "data"
    code = """
        import sys, time
        from pathlib import Path
        from promotions.bootstrap.stack import locked
        with locked(Path(sys.argv[1]), note="at http://127.0.0.1:8000"):
            print("locked", flush=True)
            time.sleep(600)
    """
    first = python(code, data)
    assert first.stdout is not None
    assert first.stdout.readline() == "locked\n"
    expected = f"already runs on {data}: process {first.pid}, at http://127.0.0.1:8000"
    with pytest.raises(CannotStart, match=expected), locked(data, note=""):
        pass
    first.kill()
    first.wait()
    with locked(data, note="after a kill"):
        pass


def test_a_folder_that_somebody_else_filled_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CannotStart, match="not a data folder of Slipway"), locked(tmp_path, note=""):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_reset_forgets_everything_but_the_key_the_process_has_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    key = generated_secret(tmp_path).read_text()
    (tmp_path / "postgres" / "base").mkdir(parents=True)
    (tmp_path / "sandbox-ports.json").write_text("{}")
    outside = tmp_path.parent / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (tmp_path / "link").symlink_to(outside)
    reset(tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} == {"slipway-data", "secret-key"}
    assert generated_secret(tmp_path).read_text() == key
    assert (outside / "kept").exists()


def test_a_reset_never_touches_a_database_that_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://ann@db.example/slip")
    (tmp_path / "sandbox").mkdir()
    with pytest.raises(CannotStart, match="--reset does not empty the database"):
        reset(tmp_path)
    assert (tmp_path / "sandbox").exists()


def test_a_database_that_dies_is_started_again_while_the_rest_runs_on(python: Python, tmp_path: Path) -> None:
    code = """
        import os, signal, sys
        from pathlib import Path
        from promotions.bootstrap.stack import Stack
        stack = Stack(Path(sys.argv[1]), say=lambda line: print(line, flush=True), log_to_files=True)
        with stack.running(note="here"):
            child = stack.add("child", [sys.executable, "-c", "import time; time.sleep(600)"])
            first = stack.postgres.process.pid
            os.kill(first, signal.SIGKILL)
            stack.wait_until(lambda: stack.postgres.process.pid != first, what=lambda: "no new server")
            print("child runs on" if child.running() else "child is gone", flush=True)
    """
    process = python(code, tmp_path / "data")
    assert process.communicate(timeout=60)[0].splitlines() == [
        "postgres ended; starting it again.",
        "child runs on",
    ]
    assert process.returncode == 0


def test_the_key_is_made_once_long_and_private(tmp_path: Path) -> None:
    path = generated_secret(tmp_path)
    assert path.stat().st_mode & 0o077 == 0
    assert len(path.read_text()) >= 50
    assert generated_secret(tmp_path).read_text() == path.read_text()


def test_claiming_twice_is_harmless(tmp_path: Path) -> None:
    claim(tmp_path)
    (tmp_path / "something").touch()
    claim(tmp_path)


def test_a_taken_port_is_named_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=f"Port {port} .* choose another with --port"):
            require_free_port("127.0.0.1", port)
