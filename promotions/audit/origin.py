"""From where something is done: a page, a token, a worker, a command.

A context variable, set at the few ways in (one middleware, the API's token authentication) and read by
`workflow.record` alone: passed as an argument it would go through every operation for the record's sake.
Work outside of any request is the process's own.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache

from promotions.choices import Via


@dataclass(frozen=True, slots=True)
class Origin:
    """`address` is the caller's IP address, for our own processes the host's name; `client` is what spoke:
    a token's name, a command."""

    via: Via
    address: str
    client: str = ""


_current: ContextVar[Origin | None] = ContextVar("origin", default=None)


def current() -> Origin:
    """Return from where the current act comes."""
    return _current.get() or _of_process()


@contextmanager
def coming_from(origin: Origin) -> Iterator[None]:
    """Have everything recorded inside say that it came from there."""
    token = _current.set(origin)
    try:
        yield
    finally:
        _current.reset(token)


def through_token(name: str) -> None:
    """Say that the request under way speaks with this token; `coming_from` forgets it with the request."""
    _current.set(replace(current(), via=Via.TOKEN, client=name))


@cache
def _of_process() -> Origin:
    """Workers act for Slipway; every other command is somebody at the machine."""
    command = sys.argv[1] if len(sys.argv) > 1 and sys.argv[0].endswith("manage.py") else ""
    via = Via.WORKER if command == "worker" else Via.COMMAND
    return Origin(via, socket.gethostname(), command)
