"""The parsed form of a manifest: nodes that know where their bytes are.

Offsets count characters of the decoded text without its byte order mark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

MERGE_KEY = "<<"


class Mark(Protocol):
    """libyaml's position: `index` in characters from the start, `line` and `column` from 0."""

    index: int
    line: int
    column: int


class YamlEvent(Protocol):
    """An event of PyYAML; each kind has only some of these (the type stubs name none of them)."""

    start_mark: Mark
    end_mark: Mark
    anchor: str | None
    tag: str | None
    value: str
    style: str | None
    implicit: object
    flow_style: bool | None


class Scalar:
    """A scalar; `event` holds libyaml's marks, `ordinal` is its number in the file's events.

    No dataclass, like `Collection`: there are many. `source` is set for YAML inside another scalar.
    """

    # A dictionary for each of them would cost more than the rest of reading them.
    __slots__ = ("event", "ordinal", "source", "value")

    def __init__(self, value: str, event: YamlEvent, ordinal: int) -> None:
        self.value = value
        self.event = event
        self.ordinal = ordinal
        self.source: Embedded | None = None

    # Computed when asked: only sentences need it, and there are thousands of scalars.
    @property
    def line(self) -> int:
        line = self.event.start_mark.line
        return self.source.line_of(line) if self.source else line + 1

    @property
    def anchor(self) -> str | None:
        return self.event.anchor

    @property
    def style(self) -> str:
        """One of "", "'", '"', "|" and ">"; "" is plain."""
        return self.event.style or ""


class Collection:
    """A mapping or sequence. No dataclass: there are many, and most fields keep their defaults."""

    def __init__(self, event: YamlEvent) -> None:
        self.event = event

    @property
    def line(self) -> int:
        return self.event.start_mark.line + 1


class MappingNode(Collection):
    """Entries in the file's order; `merges` are the values of `<<`, `complex` holds keys that are no
    scalars, and their values. `pending` is the key that waits for its value while the file is read;
    `flat` remembers the entries with the merged ones.
    """

    # Class attributes; an empty tuple is shared by all mappings that have none.
    merges: Sequence[Node] = ()
    complex: Sequence[Node] = ()
    pending: Node | YamlEvent | None = None
    flat: dict[str, Node] | None = None

    def __init__(self, event: YamlEvent) -> None:
        self.event = event
        # Aliases are kept as they are written; `get` follows them.
        self.entries: dict[str, Node] = {}

    def get(self, key: str) -> Node | None:
        """The value of a key of this mapping itself, aliases followed, merge keys left out."""
        return resolve(self.entries.get(key))


class SequenceNode(Collection):
    def __init__(self, event: YamlEvent) -> None:
        self.event = event
        self.items: list[Node] = []


@dataclass(slots=True, eq=False)
class AliasNode:
    """`*name`: `target` is the node at the anchor."""

    line: int
    target: Node


Node = Scalar | MappingNode | SequenceNode | AliasNode


@dataclass(slots=True, eq=False)
class Document:
    """One document of a file; `root` is None when it is empty. `aliases` counts its aliases.

    `alias_keys` are aliases that stand as keys.
    """

    number: int
    root: Node | None
    aliases: int = 0
    alias_keys: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Parsed:
    """A whole file: its text without the BOM, its documents, and the events for the comparison."""

    file: str
    text: str
    # Windows editors write one; libyaml's marks would count it as a character.
    bom: bytes
    documents: list[Document]
    events: list[YamlEvent]


@dataclass(slots=True, eq=False)
class Embedded:
    """YAML written inside a scalar of another file (an inline patch, a values block).

    `starts[n]` is the offset in the outer text at which line n of the inner text begins, `first_line`
    the outer line number (from 1) of inner line 0.
    """

    holder: Scalar
    parsed: Parsed
    starts: list[int]
    first_line: int

    def line_of(self, inner: int) -> int:
        return self.first_line + inner


def resolve(node: Node | None) -> Node | None:
    """The node itself, or what an alias stands for (aliases of aliases do not exist in YAML)."""
    return node.target if isinstance(node, AliasNode) else node


def mapping_of(node: Node | None) -> MappingNode | None:
    """The node as a mapping, or None."""
    node = resolve(node)
    return node if isinstance(node, MappingNode) else None


def items_of(node: Node | None) -> list[Node]:
    """The items of a sequence; none for anything else."""
    # An empty list for anything else lets readers loop over keys that are missing.
    node = resolve(node)
    return node.items if isinstance(node, SequenceNode) else []


def scalar_of(node: Node | None) -> Scalar | None:
    """The node as a scalar, or None."""
    node = resolve(node)
    return node if isinstance(node, Scalar) else None


def text_of(node: Node | None) -> str:
    """The scalar's value, or "" for anything else and for a null."""
    scalar = scalar_of(node)
    # Quoted, these words are text.
    if scalar is None or (not scalar.style and scalar.value in {"~", "null", "Null", "NULL"}):
        return ""
    return scalar.value


def child(node: Node | None, *keys: str) -> Node | None:
    """The node below a chain of mapping keys, or None where one is missing."""
    # Merge keys are left out: files of Kustomize and Argo CD hardly use them, and `entries` knows them.
    for key in keys:
        mapping = mapping_of(node)
        node = mapping.get(key) if mapping else None
    return resolve(node)


def names_under(root: Node | None, *keys: str) -> Iterator[tuple[str, int]]:
    """The texts in the lists at these keys, each with its line."""
    for key in keys:
        for item in items_of(child(root, key)):
            scalar = scalar_of(item)
            if scalar is not None and scalar.value:
                yield scalar.value, scalar.line
