"""Keys that appear, go, or get another name, with every other byte as it was.

Used where one half of a version stands and the other is prescribed: a `newTag` without a `digest`, or a
digest that would win over the tag. A comment is never lost: a key that carries one is not removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from yaml.events import ScalarEvent

from promotions.manifests.errors import AliasRefused, ManifestError, Unsafe
from promotions.manifests.nodes import (
    AliasNode,
    Document,
    MappingNode,
    Node,
    Parsed,
    Scalar,
    SequenceNode,
    YamlEvent,
)
from promotions.manifests.scalars import Splice, restyled, splice

_COLON = re.compile(r"[ \t]*:[ \t]*\Z")
_COMMA = re.compile(r"\s*,\s*\Z")


@dataclass(frozen=True, slots=True)
class Added:
    """`name: value` that shall stand beside the entry of `scalar`; `key` is its key path."""

    mapping: MappingNode
    scalar: Scalar
    name: str
    value: str
    key: str


@dataclass(frozen=True, slots=True)
class Removed:
    """The entry of `scalar` that shall go."""

    mapping: MappingNode
    scalar: Scalar
    key: str


@dataclass(frozen=True, slots=True)
class Renamed:
    """The entry of `scalar` that gets another key and value; `key` is the old path, `new_key` the new."""

    mapping: MappingNode
    scalar: Scalar
    name: str
    value: str
    key: str
    new_key: str


KeyChange = Added | Removed | Renamed


def neighbour(parsed: Parsed, mapping: MappingNode, key: str) -> Scalar:
    """The entry of the mapping that a new key is written beside: its last plain one."""
    # A block of text ends where the next line begins, so "below it" is not well told by its marks.
    plain = (node for node in mapping.entries.values() if isinstance(node, Scalar))
    own = [scalar for scalar in plain if scalar.style not in {"|", ">"}]
    if not own:
        raise Unsafe(parsed.file, mapping.line, f"has no value beside which {key} could be written")
    return own[-1]


def check_own(parsed: Parsed, document: Document, change: KeyChange) -> None:
    """Raises where the mapping is not this place's alone, or the entry does not stand in it by itself."""
    line = change.scalar.line
    if change.scalar.source is not None:
        raise Unsafe(parsed.file, line, f"holds {change.key} in a block of text; change its keys in Git")
    # A value from an alias or a merge key has its bytes elsewhere.
    if not any(change.scalar is node for node in change.mapping.entries.values()):
        raise AliasRefused(parsed.file, line, f"{change.key} comes from an alias; write it out there")
    if not isinstance(change, Removed) and change.name in change.mapping.entries:
        raise ManifestError(parsed.file, line, f"has {change.name} beside {change.key} already")
    # A key added here would appear wherever the mapping is used, and no reader of this place sees that.
    if document.aliases and id(change.mapping) in _aliased(document):
        cause = f"shares the mapping of {change.key} through an alias, so its keys stay as they are"
        raise AliasRefused(parsed.file, line, cause)


def _aliased(document: Document) -> set[int]:
    """The nodes below any anchor that is used; each is looked at once, whatever the aliases unfold to."""
    seen: set[int] = set()
    stack: list[tuple[Node, bool]] = [(document.root, False)] if document.root else []
    stack += [(key, True) for key in document.alias_keys]
    done: set[tuple[int, bool]] = set()
    # A node may be met as its own and again as shared; only the second visit matters then.
    while stack:
        node, shared = stack.pop()
        if isinstance(node, AliasNode):
            node, shared = node.target, True
        if (id(node), shared) in done:
            continue
        done.add((id(node), shared))
        if shared:
            seen.add(id(node))
        stack += [(each, shared) for each in _below(node)]
    return seen


def _below(node: Node) -> Iterable[Node]:
    if isinstance(node, MappingNode):
        return (*node.entries.values(), *node.merges, *node.complex)
    return node.items if isinstance(node, SequenceNode) else ()


def key_splices(parsed: Parsed, change: KeyChange) -> list[Splice]:
    """The splices of one change; raises Unsafe where the text around it is not understood for sure."""
    entry = _Entry(parsed, change)
    # The key keeps its line, its comment and its quotes: one line of difference, not two.
    if isinstance(change, Renamed):
        renamed = splice(parsed, Scalar(entry.key.value, entry.key, -1), change.name, change.key)
        return [renamed, splice(parsed, change.scalar, change.value, change.key)]
    # An emptied mapping would read as null, which most readers refuse.
    if isinstance(change, Removed):
        if len(change.mapping.entries) + len(change.mapping.merges) + len(change.mapping.complex) < 2:
            raise entry.refused("is the only key of its mapping")
        return [entry.removed_from_flow() if entry.is_flow else entry.removed_lines()]
    return [entry.added_in_flow(change) if entry.is_flow else entry.added_line(change)]


def changed_events(
    events: list[YamlEvent], changes: Iterable[KeyChange]
) -> tuple[list[tuple[int, YamlEvent]], dict[int, str]]:
    """The events the file must have afterwards, with their old ordinals (-1: new), and the texts that
    differ, by position.
    """
    gone: set[int] = set()
    texts: dict[int, str] = {}
    new: dict[int, list[str]] = {}
    for each in changes:
        ordinal = each.scalar.ordinal
        if isinstance(each, Removed):
            gone |= {ordinal - 1, ordinal}
        elif isinstance(each, Renamed):
            texts |= {ordinal - 1: each.name, ordinal: each.value}
        else:
            # In flow style it stands before its neighbour, in block style on the next line.
            flow = is_flow(each.mapping)
            new[ordinal - 1 if flow else ordinal + 1] = [each.name, each.value]
    expected: list[tuple[int, YamlEvent]] = []
    intended: dict[int, str] = {}
    for ordinal, event in enumerate(events):
        for text in new.get(ordinal, ()):
            intended[len(expected)] = text
            # Plain or quoted is not compared for these: the text is what was intended.
            expected.append((-1, cast(YamlEvent, ScalarEvent(None, None, (True, False), text))))
        if ordinal not in gone:
            if ordinal in texts:
                intended[len(expected)] = texts[ordinal]
            expected.append((ordinal, event))
    return expected, intended


def is_flow(mapping: MappingNode) -> bool:
    """Whether the mapping is written `{like: this}`, as all of JSON is."""
    return bool(mapping.event.flow_style)


def _is_scalar(event: YamlEvent) -> bool:
    kind: type[object] = type(event)
    return kind is ScalarEvent


class _Entry:
    """A key with its scalar value, and the text around them."""

    def __init__(self, parsed: Parsed, change: KeyChange) -> None:
        self._file, self._text, self._path = parsed.file, parsed.text, change.key
        self._scalar = change.scalar
        # The parser gives a key's event right before its value's.
        self.key = parsed.events[change.scalar.ordinal - 1]
        self._next = parsed.events[change.scalar.ordinal + 1]
        self._before = parsed.events[change.scalar.ordinal - 2]
        self.is_flow = is_flow(change.mapping)
        self._start = self.key.start_mark.index
        self._end = change.scalar.event.end_mark.index
        self._line_start = self._text.rfind("\n", 0, self._start) + 1
        newline = self._text.find("\n", self._end)
        self._line_end = newline + 1 if newline >= 0 else len(self._text)
        self._head = self._text[self._line_start : self._start]
        self._tail = self._text[self._end : self._line_end]

    def refused(self, why: str) -> Unsafe:
        return Unsafe(self._file, self._scalar.line, f"{self._path} {why}; change it in Git")

    def _row(self, position: int) -> int:
        return self._text.count("\n", 0, position)

    def _eol(self) -> str:
        # The file's own habit, for lines that have no end of their own.
        first = self._text.find("\n")
        return "\r\n" if first > 0 and self._text[first - 1] == "\r" else "\n"

    def _colon(self) -> str:
        """The neighbour's own in flow style; blanks that line block values up are the neighbour's alone."""
        between = self._text[self.key.end_mark.index : self._scalar.event.start_mark.index]
        return between if self.is_flow and _COLON.match(between) else ": "

    def _written(self, change: Added) -> str:
        quote = self._scalar.style if self._scalar.style in {"'", '"'} else ""
        name = restyled(change.name, self.key.style or "", self._file)
        return name + self._colon() + restyled(change.value, quote, self._file)

    def added_line(self, change: Added) -> Splice:
        """A line of its own below the neighbour's, indented as its key is."""
        if self._tail.strip() and not self._tail.lstrip().startswith("#"):
            raise self.refused("is followed by more on its line")
        # After a dash the key itself has no indentation to copy.
        indent = " " * self.key.start_mark.column if self._head.strip(" \t") else self._head
        line = indent + self._written(change)
        at, row = self._line_end, self._row(self._line_end)
        if self._tail.endswith("\n"):
            eol = "\r\n" if self._tail.endswith("\r\n") else "\n"
            return Splice(at, at, line + eol, row, 1)
        return Splice(at, at, self._eol() + line, row + 1, 1)

    def added_in_flow(self, change: Added) -> Splice:
        """Before the neighbour: behind it a comma or a comment may follow that is the neighbour's."""
        written = self._written(change)
        # A key at the start of its line gets company of the same shape: a line of its own.
        if not self._head.strip(" \t"):
            ends = self._text[self._line_start - 2 : self._line_start]
            eol = "\r\n" if ends == "\r\n" else "\n"
            return Splice(self._start, self._start, f"{written},{eol}{self._head}", self._row(self._start), 1)
        gap = "" if self._colon() == ":" else " "
        return Splice(self._start, self._start, f"{written},{gap}")

    def removed_lines(self) -> Splice:
        """The entry's whole line; behind a dash the next key moves up to it."""
        if self._tail.lstrip().startswith("#"):
            raise self.refused("has a comment on its line, which would be lost")
        if self._tail.strip():
            raise self.refused("is followed by more on its line")
        if self._head.strip(" \t"):
            return self._moved_up()
        rows = self._text.count("\n", self._line_start, self._end) + 1
        row, start = self._row(self._start), self._line_start
        if not self._tail.endswith("\n"):
            # The last line has no end, so the one before it loses its own.
            start -= 2 if self._text[:start].endswith("\r\n") else 1
        return Splice(start, self._line_end, "", row, -rows)

    def _moved_up(self) -> Splice:
        until = self._next.start_mark.index
        between = self._text[self._end : until]
        if not _is_scalar(self._next) or between.strip():
            raise self.refused("stands behind a dash with something else below it")
        # The key that moves up keeps its column, since the dash and its blanks stay.
        rows = self._text.count("\n", self._start, until)
        return Splice(self._start, until, "", self._row(self._start), -rows)

    def removed_from_flow(self) -> Splice:
        """With the comma behind it, or of the last entry the one before it."""
        after = self._next.start_mark.index
        if _is_scalar(self._next) and _COMMA.match(self._text[self._end : after]):
            return self._cut(self._start, after, self._row(self._start))
        before = self._before.end_mark.index
        if _COMMA.match(self._text[before : self._start]):
            return self._cut(before, self._end, self._row(before) + 1)
        raise self.refused("has a comment or more around it")

    def _cut(self, start: int, end: int, row: int) -> Splice:
        return Splice(start, end, "", row, -self._text.count("\n", start, end))
