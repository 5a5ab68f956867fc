"""Run processes side by side, start again what dies, and leave nothing behind.

Each child leads its own process group, so that Ctrl-C in the terminal reaches the parent alone and
the parent can end a child with everything the child started. Where the system can, a child is
killed by the kernel when its parent dies without a chance to say so.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

LEASH = Path(__file__).with_name("leash.py")
STOP_SECONDS = 10.0
# A child that lived this long was healthy: its next death counts as the first again.
HEALTHY_SECONDS = 30.0
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
LOG_BYTES = 10_000_000


def leashed(
    command: list[str], *, signal_name: str = "SIGKILL", account: tuple[int, int] | None = None
) -> list[str]:
    """The command, wrapped so that the kernel sends it the signal when this process ends (Linux)."""
    name = "-" if account is None else f"{account[0]}:{account[1]}"
    return [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), signal_name, name, *command]


@dataclass
class Child:
    """A process to keep running. `log` takes its output; None means that it writes to ours."""

    name: str
    command: list[str]
    log: Path | None = None
    environ: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    output_from: int = 0
    failures: int = 0
    due: float | None = None

    def start(self) -> None:
        """Start it, in a process group of its own; its output is appended to the log."""
        self.due = None
        self.started_at = time.monotonic()
        environ = {**os.environ, **self.environ}
        with self.output() as output:
            self.process = subprocess.Popen(
                leashed(self.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environ,
                start_new_session=True,
            )

    @contextlib.contextmanager
    def output(self) -> Iterator[int | None]:
        """The file descriptor for the child's output, or None to share ours."""
        if self.log is None:
            yield None
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        size = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab" if size < LOG_BYTES else "wb") as handle:
            self.output_from = handle.tell()
            yield handle.fileno()

    def last_output(self, lines: int = 15) -> str:
        """The end of what this run of the child wrote; empty when it shares our output."""
        if self.log is None or not self.log.exists():
            return ""
        with self.log.open("rb") as handle:
            handle.seek(max(self.output_from, handle.seek(0, os.SEEK_END) - 20_000))
            text = handle.read().decode(errors="replace")
        return "\n".join(text.strip().splitlines()[-lines:])

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def note_death(self, now: float) -> float:
        """Count the death; the seconds until the next start, growing with deaths in a row."""
        self.failures = 1 if now - self.started_at >= HEALTHY_SECONDS else self.failures + 1
        delay = min(FIRST_DELAY * 2.0 ** (self.failures - 1), LONGEST_DELAY)
        self.due = now + delay
        return delay

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the child and everything it started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)


class Supervisor:
    """Keeps children running until a signal comes. Use it from the main thread, as a context."""

    def __init__(
        self,
        say: Callable[[str], None],
        *,
        every_time: Callable[[], None] = lambda: None,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self.say = say
        self.every_time = every_time
        self.stop_seconds = stop_seconds
        self.children: list[Child] = []
        self.wake_reader, self.wake_writer = socket.socketpair()

    def __enter__(self) -> Supervisor:
        self.wake_reader.setblocking(False)
        self.wake_writer.setblocking(False)
        # Any signal writes to this pair, so that waiting ends at once and without polling.
        signal.set_wakeup_fd(self.wake_writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.wake_reader.close()
        self.wake_writer.close()

    def add(self, child: Child) -> None:
        """Start a child and keep it running from now on."""
        self.children.append(child)
        child.start()

    def tend(self) -> float | None:
        """Look after every child once; the seconds until one is due to start again, None for never."""
        self.every_time()
        now = time.monotonic()
        for child in self.children:
            if child.due is None and not child.running():
                self.announce_death(child, child.note_death(now))
            elif child.due is not None and child.due <= now:
                child.start()
        waiting = [child.due for child in self.children if child.due is not None]
        return max(0.0, min(waiting) - now) if waiting else None

    def announce_death(self, child: Child, delay: float) -> None:
        code = child.process.returncode if child.process else 0
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        # What the dead child started must not go on beside its successor.
        child.signal_group(signal.SIGKILL)
        said = child.last_output()
        tail = f" Its last output:\n{indented(said)}" if said else ""
        self.say(f"{child.name} {how}; starting it again in {delay:g} s.{tail}")

    def wait(self, seconds: float | None) -> None:
        """Sleep until a signal, a child's end or the time-out."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.wake_reader, selectors.EVENT_READ)
            selector.select(seconds)
        with contextlib.suppress(BlockingIOError):
            while self.wake_reader.recv(4096):
                pass

    def run(self) -> None:
        """Tend the children for ever; left by the exception that a stop signal raises."""
        while True:
            self.wait(self.tend())

    def stop(self) -> None:
        """End every child, the last started first in line, within a bound; then their descendants."""
        for child in reversed(self.children):
            if child.running():
                child.signal_group(signal.SIGTERM)
        deadline = time.monotonic() + self.stop_seconds
        for child in self.children:
            if child.process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.process.wait(max(0.0, deadline - time.monotonic()))
            child.signal_group(signal.SIGKILL)
            if child.process is not None:
                child.process.wait()
        self.children.clear()


class StopRequested(BaseException):
    """A signal asks us to end. Not an Exception, so that no handler on the way swallows it."""


@contextlib.contextmanager
def stop_signals() -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into StopRequested, once; while stopping they are ignored."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(number: int, _: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise StopRequested(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
