"""What can never change under its name, kept for a while: a bounded memory for one process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Memory(Generic[Value]):
    """The latest used values, up to `max_bytes` of them. May be used by many threads.

    For what its key makes immutable (a blob by its id, a folder at a commit): nothing is ever forgotten
    because it changed.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Value | None:
        """Return the value, or None."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def keep(self, key: Hashable, value: Value, size: int) -> None:
        """Keep a value of about `size` bytes; the ones that were not used for longest make room."""
        with self._lock:
            if key not in self._kept and size <= self._max_bytes:
                self._kept[key] = (value, size)
                self._bytes += size
            while self._bytes > self._max_bytes:
                _key, (_value, gone) = self._kept.popitem(last=False)
                self._bytes -= gone
