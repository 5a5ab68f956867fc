"""Start `manage.py demo` once the way a newcomer does, look at it, stop it, and find nothing left running.

Uses the standard library only: it runs under whatever Python the machine has.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
READY_SECONDS, STOP_SECONDS = 120.0, 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str) -> tuple[int, str]:
    """Status and text of a page; status 0 when nobody answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


def wait_until_ready(demo: subprocess.Popen[bytes], base: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while fetch(f"{base}/healthz")[0] != 200:
        if demo.poll() is not None:
            sys.exit(f"manage.py demo ended with exit code {demo.returncode}")
        if time.monotonic() > deadline:
            sys.exit(f"/healthz did not answer 200 within {READY_SECONDS:g} s")
        time.sleep(0.1)


def left_over(data_dir: str) -> list[str]:
    """Processes that still work for the data folder, by their command or environment (Linux)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            environ = (entry / "environ").read_bytes()
        except OSError:
            continue
        if data_dir.encode() in command + environ and entry.name != str(os.getpid()):
            found.append(f"{entry.name}: {command.replace(bytes(1), b' ').decode(errors='replace')}")
    return found


def main() -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="slipway-ci-") as folder:
        data_dir = str(Path(folder) / "data")
        command = [sys.executable, str(ROOT / "manage.py"), "demo", "--no-browser"]
        demo = subprocess.Popen(
            [*command, "--port", str(port), "--data-dir", data_dir], stdin=subprocess.DEVNULL
        )
        try:
            wait_until_ready(demo, base)
            status, page = fetch(f"{base}/sign-in/")
            if status != 200 or "<h1" not in page:
                sys.exit(f"the sign-in page answered {status} with {len(page)} characters")
            demo.send_signal(signal.SIGINT)
            code = demo.wait(STOP_SECONDS)
        finally:
            if demo.poll() is None:
                demo.kill()
                demo.wait()
        if code or (left := left_over(data_dir)):
            sys.exit(f"demo ended with exit code {code}; still running: {left if not code else 'not looked'}")
    print("The demo started, showed its sign-in page, and stopped without leaving anything behind.")


if __name__ == "__main__":
    main()
