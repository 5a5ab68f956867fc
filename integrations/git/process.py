"""Start git: nobody's configuration, no questions, a time limit, a limit on what it may answer."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from integrations.errors import Rejected, Unavailable
from integrations.git.remote import VENDOR

MAX_OUTPUT = 64 * 1024 * 1024
_PIECE = 1 << 20
_MAX_COMPLAINT = 64 * 1024
_PROXIES = ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")
_ENVIRONMENT = {
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_LITERAL_PATHSPECS": "1",
}
_CONFIG = (
    # A cache on a shared volume often belongs to another user.
    ("safe.directory", "*"),
    ("core.hooksPath", os.devnull),
    # What a power cut takes from a cache is fetched again.
    ("core.fsync", "none"),
    ("credential.helper", ""),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
)


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended and what it said."""

    status: int
    out: bytes
    err: str


def environment(config: Sequence[tuple[str, str]], extra: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of one command; configuration travels here, unseen by other users."""
    inherited = {name: os.environ[name] for name in ("PATH", "TMPDIR", *_PROXIES) if name in os.environ}
    pairs = [*_CONFIG, *config]
    values = {"GIT_CONFIG_COUNT": str(len(pairs))}
    for index, (key, value) in enumerate(pairs):
        values |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return {"PATH": os.defpath, **inherited, **_ENVIRONMENT, **values, **extra}


def run(
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    timeout: float,
    data: bytes = b"",
    max_output: int = MAX_OUTPUT,
) -> Done:
    """Run one command to its end; Unavailable after `timeout` seconds, with all its children killed."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
        given.write(data)
        given.seek(0)
        with _start(command, given, said, environ) as process:
            try:
                out = _read(process, time.monotonic() + timeout, max_output)
            finally:
                # The helper that talks to the server outlives a git that was killed alone.
                if process.poll() is None:
                    _kill(process)
        said.seek(0)
        return Done(process.returncode, out, said.read(_MAX_COMPLAINT).decode(errors="replace"))


def _start(
    command: Sequence[str], given: IO[bytes], said: IO[bytes], environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=said,
            env=dict(environ),
            cwd="/",
            start_new_session=True,
        )
    except FileNotFoundError:
        raise Unavailable(
            f"The program {command[0]} is not installed on Slipway's server", vendor=VENDOR
        ) from None


def _read(process: subprocess.Popen[bytes], deadline: float, max_output: int) -> bytes:
    pipe: IO[bytes] | None = process.stdout
    if pipe is None:
        return b""
    out = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            piece = os.read(pipe.fileno(), _PIECE)
            out += piece
            if len(out) > max_output:
                raise Rejected(f"Git gave more than {max_output:,} bytes", vendor=VENDOR)
            if not piece:
                return _ended(process, deadline, bytes(out))
    raise _too_late()


def _ended(process: subprocess.Popen[bytes], deadline: float, out: bytes) -> bytes:
    try:
        process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise _too_late() from None
    return out


def _too_late() -> Unavailable:
    return Unavailable("The Git server did not answer in time", vendor=VENDOR)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
