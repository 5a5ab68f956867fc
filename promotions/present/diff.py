"""A unified diff as rows of a table: numbered, marked with + and -, changed words found. Pure Python."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_WORD_START = re.compile(r"[\w.+-]*")
_WORD_END = re.compile(r"[\w.+-]*$")
_HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@ ?(.*)$")


@dataclass(frozen=True, slots=True)
class DiffLine:
    """`kind` is added, removed, same, hunk or note. The text is before + changed + after."""

    kind: str
    old: int | None
    new: int | None
    before: str
    changed: str = ""
    after: str = ""

    @property
    def mark(self) -> str:
        return {"added": "+", "removed": "-"}.get(self.kind, " ")

    @property
    def text(self) -> str:
        return self.before + self.changed + self.after


@dataclass(slots=True)
class DiffFile:
    path: str
    lines: list[DiffLine] = field(default_factory=list)

    @property
    def added(self) -> int:
        return sum(line.kind == "added" for line in self.lines)

    @property
    def removed(self) -> int:
        return sum(line.kind == "removed" for line in self.lines)


def parse_diff(text: str) -> list[DiffFile]:
    """Return the files of a unified diff; text before the first file heading is left out."""
    files: list[DiffFile] = []
    for path, lines in _files(text.split("\n")):
        files.append(DiffFile(path, list(_with_changed_words(list(_numbered(lines))))))
    return files


def _files(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    path = ""
    body: list[str] = []
    for index, line in enumerate(lines):
        following = lines[index + 1] if index + 1 < len(lines) else ""
        # A removed line may itself begin with "--": a heading is always two lines.
        if line.startswith("--- ") and following.startswith("+++ "):
            if path:
                yield path, body
            path, body = _path(line[4:], following[4:]), []
        elif path and not (line.startswith("+++ ") and lines[index - 1].startswith("--- ")):
            body.append(line)
    if path:
        yield path, body


def _path(old: str, new: str) -> str:
    name = old if new.startswith("/dev/null") else new
    name = name.split("\t")[0]
    return name[2:] if name.startswith(("a/", "b/")) else name


def _numbered(lines: list[str]) -> Iterator[DiffLine]:
    old = new = 0
    for line in lines:
        if match := _HUNK.match(line):
            old, new = int(match[1]), int(match[2])
            yield DiffLine("hunk", None, None, line)
        elif line.startswith("+") and new:
            yield DiffLine("added", None, new, line[1:])
            new += 1
        elif line.startswith("-") and old:
            yield DiffLine("removed", old, None, line[1:])
            old += 1
        elif line.startswith(" "):
            yield DiffLine("same", old, new, line[1:])
            old, new = old + 1, new + 1
        elif line.startswith("\\"):
            yield DiffLine("note", None, None, line[1:].strip())


def _with_changed_words(lines: list[DiffLine]) -> Iterator[DiffLine]:
    """Find what differs inside a removed line followed by its one replacement."""
    index = 0
    while index < len(lines):
        if _is_single_pair(lines, index):
            yield from _pair(lines[index], lines[index + 1])
            index += 2
        else:
            yield lines[index]
            index += 1


def _is_single_pair(lines: list[DiffLine], index: int) -> bool:
    kinds = [line.kind for line in lines[max(index - 1, 0) : index + 3]]
    if index == 0:
        kinds.insert(0, "")
    return (
        kinds[1:3] == ["removed", "added"]
        and kinds[0] not in ("removed", "added")
        and kinds[3:4] not in (["added"], ["removed"])
    )


def _pair(removed: DiffLine, added: DiffLine) -> tuple[DiffLine, DiffLine]:
    """Cut out the differing words whole: of 1.0.0 and 1.1.0 not only the one digit."""
    one, two = removed.before, added.before
    start = _common_start(one, two)
    end = _common_start(one[start:][::-1], two[start:][::-1])
    start -= _length(_WORD_END.search(one[:start]))
    end -= _length(_WORD_START.match(one[len(one) - end :]))
    return _cut(removed, start, end), _cut(added, start, end)


def _length(match: re.Match[str] | None) -> int:
    return len(match[0]) if match else 0


def _common_start(one: str, two: str) -> int:
    count = 0
    for a, b in zip(one, two, strict=False):
        if a != b:
            break
        count += 1
    return count


def _cut(line: DiffLine, start: int, end: int) -> DiffLine:
    text = line.before
    stop = len(text) - end
    return DiffLine(line.kind, line.old, line.new, text[:start], text[start:stop], text[stop:])
