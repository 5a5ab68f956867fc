"""Trees that were read lately, for reading one costs a process and finding references reads many."""

from __future__ import annotations

from integrations.memory import Memory

_MAX_BYTES = 16 * 1024 * 1024


class Trees:
    """Trees by names such as `<commit>:<folder>`, which never change; the latest used 16 MB of them.

    Belongs to one making of a copy: what a new one lacks must be seen to be lacking.
    """

    def __init__(self, generation: str) -> None:
        self.generation = generation
        self._kept: Memory[tuple[str, bytes]] = Memory(_MAX_BYTES)

    def get(self, name: str) -> tuple[str, bytes] | None:
        """The id and the bytes of a tree."""
        return self._kept.get(name)

    def keep(self, name: str, object_id: str, data: bytes) -> None:
        self._kept.keep(name, (object_id, data), len(data))
