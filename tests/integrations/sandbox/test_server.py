"""The sandbox as a process: addresses, ports kept, a second start, a clean end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from integrations.sandbox import invented
from integrations.sandbox.server import InThread, Options

ROOT = Path(__file__).parents[3]
PROJECT = "/api/v4/projects/gitlab%2Fflask-k8s-example"
TOKEN = {"PRIVATE-TOKEN": invented.GITLAB_TOKEN}


@contextmanager
def sandbox(folder: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run `python -m integrations.sandbox`, wait for its addresses, and end it."""
    ready = folder / "ready"
    ready.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "integrations.sandbox",
        "--data-dir",
        str(folder / "data"),
    ]
    command += ["--speed", "50", "--ready-file", str(ready), "--ports-file", str(folder / "ports")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert json.loads(line) == json.loads(ready.read_text())
            yield process, json.loads(line)
        finally:
            process.kill()


def ended_within(process: subprocess.Popen[str], number: int, seconds: float) -> bool:
    """Send a signal and tell whether the process ended well and in time."""
    started = time.monotonic()
    os.kill(process.pid, number)
    return process.wait(timeout=10) == 0 and time.monotonic() - started < seconds


def branches(url: str) -> list[tuple[str, str]]:
    """Return the source project's branches and tips."""
    rows = httpx.get(f"{url}{PROJECT}/repository/branches", headers=TOKEN, verify=False).json()
    return [(row["name"], row["commit"]["id"]) for row in rows]


def test_a_second_start_finds_the_same_ports_and_the_same_data(tmp_path: Path) -> None:
    """Seeding is idempotent: ids, branches and hooks stay."""
    with sandbox(tmp_path) as (process, first):
        before = branches(first["gitlab"])
        httpx.post(f"{first['control']}/api/play/push-dev", verify=False).raise_for_status()
        moved = branches(first["gitlab"])
        assert ended_within(process, signal.SIGTERM, 2)
    with sandbox(tmp_path) as (process, second):
        assert first == second
        assert branches(second["gitlab"]) == moved != before
        hooks = httpx.get(f"{second['gitlab']}{PROJECT}/hooks", headers=TOKEN, verify=False).json()
        assert len(hooks) == 3
        assert ended_within(process, signal.SIGINT, 2)


def test_it_ends_within_two_seconds_with_a_stream_open(tmp_path: Path) -> None:
    """An open watch does not hold the sandbox back."""
    with sandbox(tmp_path) as (process, urls):
        headers = {"Authorization": f"Bearer {invented.KUBERNETES_TOKEN}"}
        url = f"{urls['kubernetes']}/apis/tekton.dev/v1/pipelineruns?watch=true"
        with httpx.stream("GET", url, headers=headers, timeout=10) as answer:
            assert answer.status_code == 200
            assert ended_within(process, signal.SIGTERM, 2)


def test_every_vendor_has_an_address_and_answers(tmp_path: Path) -> None:
    """One loop serves them all."""
    with InThread(Options(tmp_path, speed=50)) as box:
        assert set(box.urls) == {"gitlab", "kubernetes", "argocd", "registry", "control"}
        assert httpx.get(f"{box.urls['control']}/healthz", verify=False).json()["urls"] == box.urls
        for url in box.urls.values():
            assert httpx.get(url, verify=False).status_code < 500
