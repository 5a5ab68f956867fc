"""The embedded PostgreSQL: data that lasts, and a server that never outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from promotions.bootstrap.postgres import EmbeddedPostgres, PostgresFailed, database_url, socket_folder
from tests.bootstrap.conftest import Python, alive, until

PARENT = """
import sys, time
from pathlib import Path
from promotions.bootstrap.postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), durable=False)
server.start()
print(server.process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def fresh_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data after a first start: making it takes a second, a copy a tenth."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("fresh"), durable=False)
    server.start()
    server.stop()
    return server.cluster


@pytest.fixture
def server(tmp_path: Path, fresh_data: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(tmp_path)
    # Not with Python's copytree, which would make root the owner.
    subprocess.run(["cp", "-a", str(fresh_data), str(made.cluster)], check=True)
    made.start()
    yield made
    made.stop()


def query(data_dir: Path, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database_url(data_dir), autocommit=True) as connection:
        cursor = connection.execute(text)
        return cursor.fetchall() if cursor.description else []


def test_data_survives_a_restart(server: EmbeddedPostgres) -> None:
    query(server.data_dir, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    with pytest.raises(psycopg.OperationalError):
        query(server.data_dir, "SELECT 1")
    server.start()
    assert query(server.data_dir, "SELECT answer FROM kept") == [(42,)]


def test_data_survives_the_server_s_sudden_death(server: EmbeddedPostgres) -> None:
    query(server.data_dir, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    assert not server.running()
    server.start()
    assert query(server.data_dir, "SELECT answer FROM kept") == [(42,)]


def test_nobody_else_on_the_machine_reaches_it(server: EmbeddedPostgres) -> None:
    assert query(server.data_dir, "SHOW listen_addresses") == [("",)]
    assert socket_folder(server.data_dir).stat().st_mode & 0o077 == 0


def test_it_never_runs_as_root(server: EmbeddedPostgres) -> None:
    assert server.process is not None
    assert Path(f"/proc/{server.process.pid}").stat().st_uid != 0


def test_a_stop_ends_open_sessions(server: EmbeddedPostgres) -> None:
    with psycopg.connect(database_url(server.data_dir)) as connection:
        server.stop()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_it_ends_when_its_parent_is_killed_and_the_next_one_finds_the_data(
    python: Python, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    parent = python(PARENT, data)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    query(data, "CREATE TABLE kept AS SELECT 42 AS answer")
    parent.kill()
    # At once, as an impatient person would: the old server may still be writing its last page.
    successor = EmbeddedPostgres(data, durable=False)
    successor.start()
    assert query(data, "SELECT answer FROM kept") == [(42,)]
    successor.stop()
    until(lambda: not alive(pid), "the first server's end")


def test_a_recorded_process_that_is_a_stranger_is_left_alone(server: EmbeddedPostgres) -> None:
    server.stop()
    recorded = server.cluster / "postmaster.pid"
    recorded.write_text(f"{os.getpid()}\n{server.cluster}\n0\n5432\n\n\n\nready\n")
    recorded.chmod(0o600)
    owner = server.cluster.stat()
    os.chown(recorded, owner.st_uid, owner.st_gid)
    server.start()
    assert query(server.data_dir, "SELECT 1") == [(1,)]


def test_a_first_start_that_was_cut_short_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "half").touch()
    server = EmbeddedPostgres(tmp_path, durable=False)
    server.start()
    server.stop()
    assert not (server.cluster / "half").exists()


def test_a_deep_data_folder_gets_a_short_socket_path(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    server = EmbeddedPostgres(deep, durable=False)
    server.start()
    try:
        assert query(deep, "SELECT 1") == [(1,)]
        assert len(str(socket_folder(deep))) < 104
    finally:
        server.stop()
    assert not socket_folder(deep).exists()


def test_what_the_server_says_is_shown_when_it_does_not_start(server: EmbeddedPostgres) -> None:
    server.stop()
    with (server.cluster / "postgresql.conf").open("a") as handle:
        handle.write("no_such_setting_at_all = 1\n")
    with pytest.raises(PostgresFailed, match="no_such_setting_at_all"):
        server.start()


def test_data_of_a_version_that_is_not_there_is_named(server: EmbeddedPostgres) -> None:
    server.stop()
    (server.cluster / "PG_VERSION").write_text("9\n")
    with pytest.raises(PostgresFailed, match="PostgreSQL 9"):
        server.start()


def test_a_server_left_over_by_a_parent_without_a_leash_is_ended(server: EmbeddedPostgres) -> None:
    assert server.process is not None
    left_over = server.process
    successor = EmbeddedPostgres(server.data_dir, durable=False)
    successor.start()
    try:
        assert left_over.wait(10) == 0
        assert left_over.returncode != -signal.SIGKILL
        assert query(server.data_dir, "SELECT 1") == [(1,)]
    finally:
        successor.stop()
