"""Locks between processes and threads that share a cache folder; the system frees a dead one's."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from integrations.errors import Unavailable
from integrations.git.remote import VENDOR

_PAUSE = 0.01


@contextmanager
def locked(path: Path, *, shared: bool = False, timeout: float) -> Iterator[None]:
    """Hold the lock file, alone or with other sharers; Unavailable after `timeout` seconds."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, time.monotonic() + timeout)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, kind: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Unavailable("The repository's local copy is busy", vendor=VENDOR) from None
            time.sleep(_PAUSE)
