"""A folder as Git stores it, read only as far as somebody asks: it may have 20,000 entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from integrations.git.objects import Node, decoded, encoded, node_named, walked
from integrations.git.types import Entry


class Folder(Mapping[str, Entry]):
    """What is in a folder, by name. `prefix` is the folder's path with its slash, `data` the stored tree."""

    def __init__(self, prefix: str, data: bytes) -> None:
        self._prefix = prefix
        self._data = data

    def __getitem__(self, name: str) -> Entry:
        node = node_named(self._data, encoded(name))
        if node is None:
            raise KeyError(name)
        return self._entry(node)

    def __iter__(self) -> Iterator[str]:
        return (decoded(node.name) for node in walked(self._data))

    def __len__(self) -> int:
        return sum(1 for _ in walked(self._data))

    def __bool__(self) -> bool:
        return bool(self._data)

    def all(self) -> Iterator[Entry]:
        """Go through the entries, one after the other: `values` would look each up by its name."""
        return (self._entry(node) for node in walked(self._data))

    def _entry(self, node: Node) -> Entry:
        return Entry(f"{self._prefix}{decoded(node.name)}", node.type, node.id, node.full_mode)
