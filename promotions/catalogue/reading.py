"""YAML with line numbers: what PyYAML's nodes hold, asked for key by key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

import yaml

from promotions.catalogue.problems import Problems, looks_like_a_secret, shown, suggestion

LARGEST = 10_000_000
DEEPEST = 40
# An anchor may hold a merge of itself: following ends somewhere.
DEEPEST_MERGE = 5

_TAG = "tag:yaml.org,2002:"
_SLUG = re.compile(r"[-a-zA-Z0-9_]{1,50}")
_VARIABLE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*")
_MARKS = (yaml.MappingNode, "a mapping"), (yaml.SequenceNode, "a list"), (yaml.ScalarNode, "a value")


class Unreadable(Exception):
    """The text is no YAML we would read; `line` counts from 1, 0 where unknown."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(message)


def compose(text: str) -> yaml.Node | None:
    """Return the one document's root node; raises Unreadable."""
    if len(text) > LARGEST:
        raise Unreadable(0, f"The file is larger than {LARGEST // 1_000_000} MB.")
    try:
        _refuse_depth(text)
        return yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Unreadable(_line(mark), f"not valid YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise Unreadable(0, f"not valid YAML: {' '.join(str(error).split())}.") from error


def _refuse_depth(text: str) -> None:
    """The C composer recurses without a limit of its own; events do not."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise Unreadable(_line(event.start_mark), f"nested deeper than {DEEPEST} levels.")


def _line(mark: object) -> int:
    """Count from 1, as editors do; 0 where unknown. The C parser's marks share no base class."""
    return int(getattr(mark, "line", -1)) + 1


def line_of(node: yaml.Node) -> int:
    return _line(node.start_mark)


def what_is(node: yaml.Node) -> str:
    return next((word for kind, word in _MARKS if isinstance(node, kind)), "something else")


def is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}null"


class Keys:
    """The keys of one mapping. Ask for each that may be there, then `finish`: the rest is unknown.

    A wrong value is added to the problems and read as the default, so that reading goes on and people
    see all their mistakes at once. A key with an empty value counts as not given.
    """

    def __init__(
        self,
        node: yaml.Node | None,
        path: str,
        problems: Problems,
        *,
        line: int = 0,
        defaults: Keys | None = None,
    ) -> None:
        self.path = path
        self.problems = problems
        self.line = line_of(node) if node is not None else line
        self.nodes: dict[str, yaml.Node] = {}
        self.lines: dict[str, int] = {}
        self.asked: set[str] = set()
        self.defaults = defaults
        if node is not None and not is_null(node):
            self._fill(node)

    def _fill(self, node: yaml.Node) -> None:
        if not isinstance(node, yaml.MappingNode):
            self.problems.add(self.line, self.path, f"must be a mapping of keys, not {what_is(node)}.")
            return
        for name, key_line, value in _pairs(node, self.path, self.problems):
            self.nodes[name] = value
            self.lines[name] = key_line

    def __contains__(self, key: str) -> bool:
        return self.node(key) is not None

    def node(self, key: str) -> yaml.Node | None:
        """Return a key's node, or None where it is not given."""
        self.asked.add(key)
        default = self.defaults.node(key) if self.defaults is not None else None
        node = self.nodes.get(key)
        return default if node is None or is_null(node) else node

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def line_at(self, key: str) -> int:
        node = self.node(key)
        return self.lines.get(key) or (line_of(node) if node is not None else self.line)

    def wrong(self, key: str, message: str) -> None:
        """Add a problem about one key."""
        self.problems.add(self.line_at(key), self.at(key), message)

    def missing(self, key: str, hint: str = "") -> None:
        self.problems.add(self.line, self.at(key), f"is missing.{' ' + hint if hint else ''}")

    def text(self, key: str, default: str = "", *, required: bool = False, longest: int = 255) -> str:
        node = self.node(key)
        if node is None:
            if required:
                self.missing(key)
            return default
        value = scalar_text(node, self.at(key), self.problems)
        if value is None:
            return default
        if len(value) > longest:
            self.wrong(key, f"is longer than {longest} characters.")
            return default
        return value

    def flag(self, key: str, default: bool) -> bool:
        node = self.node(key)
        if node is None:
            return default
        if not isinstance(node, yaml.ScalarNode) or node.tag != f"{_TAG}bool":
            self.wrong(key, "must be true or false.")
            return default
        return str(node.value).lower() in ("true", "yes", "on")

    def number(self, key: str, default: int, *, most: int = 30_000) -> int:
        node = self.node(key)
        if node is None:
            return default
        if not isinstance(node, yaml.ScalarNode) or not re.fullmatch(r"0|[1-9][0-9]{0,8}", str(node.value)):
            self.wrong(key, "must be a whole number, 0 or more.")
            return default
        if int(node.value) > most:
            self.wrong(key, f"must be at most {most}.")
            return default
        return int(node.value)

    def choice(self, key: str, choices: Iterable[str], default: str = "", *, required: bool = False) -> str:
        value = self.text(key, default, required=required)
        known = list(choices)
        if value and value not in known:
            self.wrong(key, f"{shown(value)} is not one of them.{suggestion(value, known)}")
            return default
        return value

    def address(self, key: str, *, required: bool = False) -> str:
        """A http(s) address; credentials in it are refused."""
        value = self.text(key, required=required, longest=200).rstrip("/")
        if not value:
            return ""
        try:
            parts = urlsplit(value)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            valid = False
        if not valid or re.search(r"\s", value):
            self.wrong(key, f"must look like https://gitlab.example.com, not {shown(value)}.")
            return ""
        if parts.username or parts.password or parts.query or parts.fragment:
            self.wrong(key, "must hold neither a name, a password nor a query: use username and secret.")
            return ""
        return value

    def git_address(self, key: str) -> str:
        """What stands before a project's path: http(s)://host or ssh://user@host; no password in it."""
        value = self.text(key, required=True, longest=200).rstrip("/")
        if not value.startswith("ssh://"):
            return self.address(key) if value else ""
        parts = urlsplit(value)
        if not parts.hostname or parts.password or parts.query or parts.fragment or re.search(r"\s", value):
            self.wrong(key, f"must look like ssh://git@git.example.com, not {shown(value)}.")
            return ""
        return value

    def reference(self, key: str, known: Mapping[str, object], what: str, default: str = "") -> str:
        """A name that another section must declare; `what` is the noun for the message."""
        value = self.text(key, default)
        if value and value not in known:
            self.wrong(key, f"there is no {what} {shown(value)}.{suggestion(value, known)}")
            return default
        return value

    def secret(self, key: str) -> str:
        """A reference to a secret; the value itself is refused and never repeated."""
        node = self.node(key)
        return "" if node is None else secret_reference(node, self.at(key), self.problems)

    def texts(self, key: str) -> list[tuple[str, int]]:
        """One text or a list of texts, each with its line."""
        return [
            (value, line_of(node))
            for node, path in self.items(key, single=True)
            if (value := scalar_text(node, path, self.problems)) is not None
        ]

    def items(self, key: str, *, single: bool = False) -> list[tuple[yaml.Node, str]]:
        """A list's nodes with their paths; with `single`, one value counts as a list of one."""
        node = self.node(key)
        if node is None:
            return []
        if single and isinstance(node, yaml.ScalarNode):
            return [(node, self.at(key))]
        if not isinstance(node, yaml.SequenceNode):
            self.wrong(key, f"must be a list, not {what_is(node)}.")
            return []
        return [(item, f"{self.at(key)}[{number}]") for number, item in enumerate(node.value)]

    def keys(self, key: str, *, short_for: str = "", defaults: Keys | None = None) -> Keys:
        """The keys of a mapping below; a plain text stands for {short_for: text} where that is allowed."""
        node = self.node(key)
        line = self.line_at(key)
        if short_for and isinstance(node, yaml.ScalarNode):
            below = Keys(None, self.at(key), self.problems, line=line, defaults=defaults)
            below.nodes[short_for] = node
            return below
        return Keys(node, self.at(key), self.problems, line=line, defaults=defaults)

    def named(self, key: str) -> Iterator[tuple[str, int, yaml.Node, str]]:
        """The entries of a mapping from names to things: (name, line, node, path)."""
        node = self.node(key)
        if node is None:
            return
        if not isinstance(node, yaml.MappingNode):
            self.wrong(key, f"must be a mapping from names to settings, not {what_is(node)}.")
            return
        for name, line, value in _pairs(node, self.at(key), self.problems):
            path = f"{self.at(key)}.{name}"
            if not _SLUG.fullmatch(name):
                message = "a name is 1 to 50 letters without accents, digits, hyphens and underscores."
                self.problems.add(line, path, message)
            yield name, line, value, path

    def finish(self) -> None:
        """Report every key that nobody asked for."""
        for name in self.nodes.keys() - self.asked:
            message = f"unknown key.{suggestion(name, self.asked)}"
            self.problems.add(self.lines.get(name, self.line), self.at(name), message)


def scalar_text(node: yaml.Node, path: str, problems: Problems) -> str | None:
    """Return a node's text, or None after reporting that it is none."""
    if not isinstance(node, yaml.ScalarNode):
        problems.add(line_of(node), path, f"must be a text, not {what_is(node)}.")
        return None
    value = str(node.value)
    if node.tag != f"{_TAG}str":
        kind = node.tag.removeprefix(_TAG)
        problems.add(line_of(node), path, f"must be a text, YAML reads it as {kind}: put quotes around it.")
        return None
    if looks_like_a_secret(value):
        message = "looks like a secret: write env:NAME or file:/path where a secret belongs."
        problems.add(line_of(node), path, message)
        return None
    if "\0" in value:
        problems.add(line_of(node), path, "holds a NUL character.")
        return None
    return value


def secret_reference(node: yaml.Node, path: str, problems: Problems) -> str:
    """Return "env:NAME" or "file:/path", or "" after reporting that the node is no such reference."""
    value = str(node.value) if isinstance(node, yaml.ScalarNode) else ""
    if _VARIABLE.fullmatch(value) or (value.startswith("file:/") and len(value) <= 500):
        return value
    # The value is not quoted here: it is most likely the secret itself.
    message = "must be a reference, env:NAME or file:/absolute/path, never the secret itself."
    problems.add(line_of(node), path, message)
    return ""


def _pairs(
    node: yaml.MappingNode, path: str, problems: Problems, *, merges: int = 0
) -> list[tuple[str, int, yaml.Node]]:
    """Return (name, line of the key, value), with `<<` merged in and duplicates reported."""
    found: dict[str, tuple[str, int, yaml.Node]] = {}
    merged: dict[str, tuple[str, int, yaml.Node]] = {}
    for key, value in node.value:
        if key.tag == f"{_TAG}merge":
            for pair in _merged(value, path, problems, merges + 1):
                merged.setdefault(pair[0], pair)
            continue
        name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
        if not name:
            problems.add(line_of(key), path, "a key must be a text.")
        elif name in found:
            message = f"the key is given twice, first in line {found[name][1]}."
            problems.add(line_of(key), f"{path}.{name}" if path else name, message)
        else:
            found[name] = (name, line_of(key), value)
    return [*found.values(), *(pair for name, pair in merged.items() if name not in found)]


def _merged(value: yaml.Node, path: str, problems: Problems, merges: int) -> list[tuple[str, int, yaml.Node]]:
    if merges > DEEPEST_MERGE:
        problems.add(line_of(value), path, f"merges deeper than {DEEPEST_MERGE} levels.")
        return []
    nodes = value.value if isinstance(value, yaml.SequenceNode) else [value]
    pairs: list[tuple[str, int, yaml.Node]] = []
    for node in nodes:
        if isinstance(node, yaml.MappingNode):
            pairs += _pairs(node, path, problems, merges=merges)
        else:
            problems.add(line_of(node), path, "<< merges mappings only.")
    return pairs
