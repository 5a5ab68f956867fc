"""From bytes to nodes, through libyaml's events: no objects are built, no alias is expanded.

Reference measurements.md, "YAML edits": marks count a byte order mark, so it is cut off first; line
ends are never translated. JSON is read by the same parser.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Final, cast

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from promotions.manifests.errors import Unparsable, Unsafe
from promotions.manifests.nodes import (
    MERGE_KEY,
    AliasNode,
    Document,
    MappingNode,
    Node,
    Parsed,
    Scalar,
    SequenceNode,
    YamlEvent,
)
from promotions.manifests.tree import MAX_FILE_BYTES, too_large

# Generous: the schemas in CRDs nest some tens of levels.
MAX_DEPTH: Final = 100
# Bounds memory: 4 MB of nothing but `- a` would be a million.
MAX_EVENTS: Final = 400_000
_kind_of: Callable[[object], type[object]] = type
# JSON writes an emoji as two escapes that YAML does not know. An equally long one keeps all offsets;
# the text of such a scalar is then not exact, and splicing it is refused, since it differs from its bytes.
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
BOM: Final = b"\xef\xbb\xbf"


def parse(data: bytes, file: str = "") -> Parsed:
    """Parses one YAML or JSON file; raises Unparsable or Unsafe with the line, within bounded time."""
    if len(data) > MAX_FILE_BYTES:
        raise too_large(file, len(data))
    text, bom = decode(data, file)
    builder = _Builder(file)
    try:
        builder.run(reader(text))
    except yaml.YAMLError as error:
        raise _unparsable(error, text, file) from error
    return Parsed(file, text, bom, builder.documents, builder.events)


def reader(text: str) -> Callable[[], YamlEvent]:
    """A function that returns one event after another, up to StreamEndEvent; it raises yaml.YAMLError."""
    if "\\u" in text:
        text = _SURROGATE.sub(r"\\uFFFD", text)
    return cast(Callable[[], YamlEvent], yaml.CSafeLoader(text).get_event)


def decode(data: bytes, file: str) -> tuple[str, bytes]:
    """The text without its byte order mark, and the mark."""
    bom = BOM if data.startswith(BOM) else b""
    try:
        return data[len(bom) :].decode("utf-8"), bom
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, len(bom) + error.start) + 1
        raise Unparsable(file, line, "is not valid UTF-8 text") from error


def _unparsable(error: yaml.YAMLError, text: str, file: str) -> Unparsable:
    mark = getattr(error, "problem_mark", None)
    number = mark.line + 1 if mark else None
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
    lines = text.splitlines()
    for candidate in range(min(number or 0, len(lines)), 0, -1):
        # libyaml notices a template some lines after it, never before.
        if "{{" in lines[candidate - 1] or "{%" in lines[candidate - 1]:
            return Unparsable(file, candidate, "is a template ({{ }} or {% %}), not YAML")
    if number and "\t" in "".join(lines[number - 1 : number]) and "token" in problem:
        problem += " (tabs may not indent YAML)"
    return Unparsable(file, number, f"is not valid YAML: {problem}")


class _Builder:
    """Turns events into documents of nodes, without recursion, and keeps the events."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.documents: list[Document] = []
        self.events: list[YamlEvent] = []
        self._anchors: dict[str | None, Node] = {}
        self._stack: list[MappingNode | SequenceNode] = []

    def run(self, read: Callable[[], YamlEvent]) -> None:
        events, stack, attach = self.events, self._stack, self._attach
        # The reader gives None past the end; the limit costs nothing per event this way.
        for event in islice(iter(read, None), MAX_EVENTS):
            kind = _kind_of(event)
            if kind is ScalarEvent:
                anchor = event.anchor
                parent = stack[-1] if stack else None
                if type(parent) is MappingNode and parent.pending is None and not anchor:
                    # Half of all scalars are keys, and need no node of their own.
                    parent.pending = event
                elif (
                    type(parent) is MappingNode
                    and not anchor
                    and _kind_of(key := parent.pending) is ScalarEvent
                    and (name := key.value) not in parent.entries  # type: ignore[union-attr]
                    and name != MERGE_KEY
                ):
                    # Most of the others are values of plain keys: `attach` would come to the same.
                    parent.entries[name] = Scalar(event.value, event, len(events))
                    parent.pending = None
                else:
                    attach(Scalar(event.value, event, len(events)), anchor)
            elif kind is MappingStartEvent:
                self._open(MappingNode(event))
            elif kind is SequenceStartEvent:
                self._open(SequenceNode(event))
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                self._stack.pop()
            elif kind is AliasEvent:
                attach(self._alias(event), None)
            elif kind is DocumentStartEvent:
                self._start()
            events.append(event)
        if len(events) == MAX_EVENTS:
            raise Unsafe(self._file, event.start_mark.line + 1, f"has more than {MAX_EVENTS:,} values")

    def _start(self) -> None:
        self.documents.append(Document(len(self.documents), None))
        self._anchors.clear()

    def _open(self, node: MappingNode | SequenceNode) -> None:
        self._attach(node, node.event.anchor)
        self._stack.append(node)
        # Deep nesting costs libyaml quadratic time in flow style, so it ends here, early.
        if len(self._stack) > MAX_DEPTH:
            raise Unsafe(self._file, node.line, f"is nested more than {MAX_DEPTH} levels deep")

    def _attach(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        if not self._stack:
            self.documents[-1].root = node
            return
        parent = self._stack[-1]
        if type(parent) is SequenceNode:
            parent.items.append(node)
            return
        assert type(parent) is MappingNode
        if parent.pending is None:
            parent.pending = node
        else:
            key, parent.pending = parent.pending, None
            if _kind_of(key) is not ScalarEvent:
                self._unusual_entry(parent, cast(Node, key), node)
                return
            name: str = key.value  # type: ignore[union-attr]  # a test by type() is the fast one
            if name in parent.entries or name == MERGE_KEY:
                self._unusual_entry(parent, Scalar(name, cast(YamlEvent, key), -1), node)
            else:
                parent.entries[name] = node

    def _unusual_entry(self, parent: MappingNode, key: Node, value: Node) -> None:
        name = key.target if isinstance(key, AliasNode) else key
        if name is not key:
            self.documents[-1].alias_keys.append(key)
        if not isinstance(name, Scalar):
            parent.complex = [*parent.complex, key, value]
        elif name.value == MERGE_KEY and not name.style:
            parent.merges = [*parent.merges, value]
        elif name.value in parent.entries:
            first = parent.entries[name.value].line
            cause = f"has the key {name.value!r} twice (first in line {first}), so it can be read two ways"
            raise Unparsable(self._file, key.line, cause)
        else:
            parent.entries[name.value] = value

    def _alias(self, event: YamlEvent) -> AliasNode:
        line = event.start_mark.line + 1
        self.documents[-1].aliases += 1
        target = self._anchors.get(event.anchor)
        if target is None:
            raise Unparsable(self._file, line, f"uses the alias *{event.anchor}, which is not defined above")
        if any(target is each for each in self._stack):
            raise Unsafe(self._file, line, f"has the alias *{event.anchor} inside its own anchor")
        return AliasNode(line, target)
