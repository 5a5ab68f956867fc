"""Key paths that readers understand and that lead back to exactly one scalar.

`spec.template.spec.containers[name=web].image`: an item of a list is named by its `name` (or `key`,
`path`) where that is unique in the list, else by its index. Keys with other than word characters are
quoted (`["app.kubernetes.io/version"]`); `|` enters YAML that is written inside a scalar.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from promotions.manifests.embedded import embedded
from promotions.manifests.errors import NotFound, Unsafe
from promotions.manifests.nodes import (
    AliasNode,
    Document,
    MappingNode,
    Node,
    Parsed,
    Scalar,
    SequenceNode,
    items_of,
    mapping_of,
    resolve,
    text_of,
)

MAX_VISITS = 200_000
MAX_PATH = 200
# Containers, env entries and Helm parameters have a name; operations of a JSON patch have a path.
_IDENTITIES = ("name", "key", "path")
_BARE_KEY = re.compile(r"[\w$/<>*-]+\Z")
_BARE_IDENTITY = re.compile(r"[\w$/:.*~{}@+-]+\Z")
# `images.0` is read as a bare key: only the node there tells whether that is an index.
_TOKEN = re.compile(
    r"""\.?(?P<bare>[\w$/<>*-]+)
    | \.?\[(?P<quoted>"(?:[^"\\]|\\.)*")\]
    | \[(?P<index>\d+)\]
    | \[(?P<identity>name|key|path)=(?:(?P<value>[\w$/:.*~{}@+-]+)|(?P<string>"(?:[^"\\]|\\.)*"))\]
    | \|(?:\#(?P<inside>\d+)\|)?""",
    re.VERBOSE,
)


class Item(NamedTuple):
    """A step into a list; `key` is "" where the index names it."""

    number: int
    key: str = ""
    value: str = ""


class Inside(NamedTuple):
    """A step into a document of the YAML inside a scalar."""

    document: int


Step = str | Item | Inside
Path = tuple[Step, ...]


def render(path: Path) -> str:
    """The path as text; `locate` and `parse_path` are its inverse."""
    return "".join(_render(step) for step in path).removeprefix(".").replace("|.", "|")


def _render(step: Step) -> str:
    if isinstance(step, str):
        return f".{step}" if _BARE_KEY.match(step) else f"[{json.dumps(step, ensure_ascii=False)}]"
    if isinstance(step, Inside):
        return f"|#{step.document}|" if step.document else "|"
    if not step.key:
        return f"[{step.number}]"
    bare = _BARE_IDENTITY.match(step.value)
    return f"[{step.key}={step.value if bare else json.dumps(step.value, ensure_ascii=False)}]"


def pointer(path: Path) -> str:
    """The path as a JSON pointer (RFC 6901), with list items by index."""
    # `~` first: the other way round the `~1` of a slash would become `~01`.
    steps = (step if isinstance(step, str) else str(step[0]) for step in path)
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


@lru_cache(maxsize=1024)
def parse_path(text: str) -> Path:
    """The steps of a written key path; raises ValueError where it cannot be read."""
    # Remembered: a Stage's few paths are read at each look, for each edit, and to tell them apart.
    steps: list[Step] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"the key path {text!r} cannot be read from {text[position:]!r} on")
        steps.append(_step(match))
        position = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    if bare := match["bare"]:
        return bare
    if quoted := match["quoted"]:
        return str(json.loads(quoted))
    if index := match["index"]:
        return Item(int(index))
    # The index is not known from the text alone; `_descend` finds it.
    if identity := match["identity"]:
        return Item(-1, identity, match["value"] or str(json.loads(match["string"])))
    return Inside(int(match["inside"] or 0))


def item_steps(items: list[Node]) -> list[Item]:
    """How each item of a list is named."""
    # A name survives a container that is added before it; an index does not.
    maps = [mapping_of(item) for item in items]
    for identity in _IDENTITIES:
        names = [text_of(each.get(identity)) if each else "" for each in maps]
        # A name that occurs twice (ports and env of lax CRDs) would lead to the wrong item.
        counts = Counter(names)
        if names and all(name and counts[name] == 1 for name in names):
            return [Item(index, identity, name) for index, name in enumerate(names)]
    return [Item(index) for index in range(len(items))]


def walk(node: Node | None, path: Path = (), *, file: str = "") -> Iterator[tuple[Path, Scalar]]:
    """Every scalar with each path that leads to it, through aliases and merge keys.

    Raises Unsafe when aliases unfold to more than `MAX_VISITS` nodes (an alias bomb).
    """
    # A stack, not recursion: depth then costs memory that is counted, and no interpreter limit is met.
    stack: list[tuple[Path, Node]] = [(path, node)] if node is not None else []
    visits = 0
    while stack:
        here, current = stack.pop()
        visits += 1
        if visits > MAX_VISITS or len(here) > MAX_PATH:
            raise Unsafe(file, None, "unfolds through its aliases into more values than a manifest may have")
        current = current.target if isinstance(current, AliasNode) else current
        if isinstance(current, Scalar):
            yield here, current
        elif isinstance(current, SequenceNode):
            named = zip(item_steps(current.items), current.items, strict=True)
            stack.extend(reversed([((*here, step), item) for step, item in named]))
        else:
            stack.extend(reversed([((*here, key), value) for key, value in entries(current)]))


def entries(mapping: Node | None) -> list[tuple[str, Node]]:
    """A mapping's entries with those its merge keys bring; its own win, then the first merge."""
    mapping = resolve(mapping)
    if not isinstance(mapping, MappingNode):
        return []
    # Nearly all mappings: no copy of a copy for them.
    if not mapping.merges:
        return list(mapping.entries.items())
    if mapping.flat is None:
        # Remembered, since merges of merges would otherwise be unfolded again at every level.
        found = dict(mapping.entries)
        for merged in mapping.merges:
            for each in items_of(merged) or [merged]:
                for key, value in entries(each):
                    found.setdefault(key, value)
        mapping.flat = found
    return list(mapping.flat.items())


def locate(parsed: Parsed, document: int, key_path: str) -> Scalar:
    """The scalar at a written key path; raises NotFound with the part that is missing."""
    if not 0 <= document < len(parsed.documents):
        raise NotFound(parsed.file, None, f"has no document {document + 1} any more, so no {key_path}")
    try:
        steps = parse_path(key_path)
    except ValueError as error:
        raise NotFound(parsed.file, None, str(error)) from error
    node, _ = _descend(parsed, parsed.documents[document], steps)
    if not isinstance(node, Scalar):
        raise NotFound(parsed.file, node.line if node else None, f"has no single value at {key_path}")
    return node


def locate_entry(parsed: Parsed, document: int, key_path: str) -> tuple[MappingNode, str]:
    """The mapping that holds (or would hold) the last key of a path, and that key; raises NotFound."""
    if not 0 <= document < len(parsed.documents):
        raise NotFound(parsed.file, None, f"has no document {document + 1} any more, so no {key_path}")
    try:
        steps = parse_path(key_path)
    except ValueError as error:
        raise NotFound(parsed.file, None, str(error)) from error
    node, _ = _descend(parsed, parsed.documents[document], steps[:-1])
    if not isinstance(node, MappingNode) or not isinstance(last := steps[-1], str):
        raise NotFound(parsed.file, node.line if node else None, f"has no mapping for the key {key_path}")
    return node, last


def address(parsed: Parsed, document: int, path: Path) -> str:
    """The path as a JSON pointer, whatever way it names the items of lists; aliases stay apart."""
    return pointer(_descend(parsed, parsed.documents[document], path)[1])


def _descend(parsed: Parsed, document: Document, steps: Path) -> tuple[Node | None, Path]:
    """The node at a path (None: there is none), and the path with every item by its index."""
    node = resolve(document.root)
    path: list[Step] = []
    for step in steps:
        # `images.0.newTag` is how people write an index, too.
        if isinstance(step, str) and not (type(node) is SequenceNode and step.isdigit()):
            node = resolve(_entry(node, step))
        elif isinstance(step, Inside):
            inner = embedded(parsed, node) if isinstance(node, Scalar) else None
            if inner is None or step.document >= len(inner.parsed.documents):
                return None, ()
            node = resolve(inner.parsed.documents[step.document].root)
        else:
            step = _index(node, step if isinstance(step, Item) else Item(int(step)))
            node = _at(node, step.number)
        path.append(step)
    return node, tuple(path)


def _entry(node: Node | None, key: str) -> Node | None:
    # A mapping's own key wins over a merged one, so merges are unfolded only without it.
    if isinstance(node, MappingNode) and (key in node.entries or not node.merges):
        return node.entries.get(key)
    return dict(entries(node)).get(key)


def _index(node: Node | None, step: Item) -> Item:
    """The step by its index; -1 where no item, or more than one, is meant."""
    items = node.items if isinstance(node, SequenceNode) else []
    if step.key:
        met = [number for number, each in enumerate(items) if _identity(each, step.key) == step.value]
        return Item(met[0] if len(met) == 1 else -1)
    return Item(step.number if step.number < len(items) else -1)


def _at(node: Node | None, number: int) -> Node | None:
    return resolve(node.items[number]) if isinstance(node, SequenceNode) and number >= 0 else None


def _identity(node: Node, key: str) -> str:
    mapping = mapping_of(node)
    return text_of(mapping.get(key)) if mapping else ""
