"""Trees that were read lately, for reading one costs a process and finding references reads many."""

from __future__ import annotations

import threading
from collections import OrderedDict

_MAX_BYTES = 16 * 1024 * 1024


class Memory:
    """Trees by names such as `<commit>:<folder>`, which never change; the latest used 16 MB of them.

    Belongs to one making of a copy: what a new one lacks must be seen to be lacking.
    """

    def __init__(self, generation: str) -> None:
        self.generation = generation
        self._trees: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, name: str) -> tuple[str, bytes] | None:
        """The id and the bytes of a tree."""
        with self._lock:
            if name in self._trees:
                self._trees.move_to_end(name)
            return self._trees.get(name)

    def keep(self, name: str, object_id: str, data: bytes) -> None:
        with self._lock:
            if name not in self._trees:
                self._trees[name] = (object_id, data)
                self._bytes += len(data)
            while self._bytes > _MAX_BYTES:
                _, (_, gone) = self._trees.popitem(last=False)
                self._bytes -= len(gone)
