"""A unified diff of an edit, in time proportional to the file: the edit knows which lines are the same."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from itertools import takewhile

from promotions.manifests.scalars import Splice

CONTEXT = 3

_Pair = tuple[str | None, str | None]
"""A line before and after; None where it was added or removed."""


def unified_diff(file: str, old: bytes, new: bytes, splices: Iterable[Splice] = ()) -> str:
    """The diff as `git apply` takes it; "" when nothing differs.

    `splices` tell which lines were added or removed; all others are compared pairwise, since difflib
    needs seconds for a large file of similar lines. Line ends (CRLF) are part of the lines.
    """
    return _told(file, _pairs(_lines(old), _lines(new), splices))


def text_diff(file: str, old: bytes, new: bytes) -> str:
    """The diff of any two texts, for what a build makes of an edit; `git apply` takes it, too."""
    before, after = _lines(old), _lines(new)
    same = next((n for n, (x, y) in enumerate(zip(before, after, strict=False)) if x != y), None)
    first = min(len(before), len(after)) if same is None else same
    pairs: list[_Pair] = list(zip(before[:first], after[:first], strict=True))
    # Equal ends are cut off first: what is left for the quadratic search is small.
    ends = zip(reversed(before[first:]), reversed(after[first:]), strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], ends))
    left, right = before[first : len(before) - shared], after[first : len(after) - shared]
    for kind, i, j, k, m in SequenceMatcher(None, left, right).get_opcodes():
        if kind == "equal":
            pairs += zip(left[i:j], right[k:m], strict=True)
        else:
            pairs += [(line, None) for line in left[i:j]] + [(None, line) for line in right[k:m]]
    pairs += [(line, line) for line in before[len(before) - shared :]]
    return _told(file, pairs)


def _told(file: str, pairs: list[_Pair]) -> str:
    changed = [number for number, (before, after) in enumerate(pairs) if before != after]
    if not changed:
        return ""
    starts = _line_numbers(pairs)
    hunks = [_hunk(pairs[first:last], starts[first]) for first, last in _ranges(changed, len(pairs))]
    return "".join([f"--- a/{file}\n+++ b/{file}\n", *hunks])


def _pairs(old: list[str], new: list[str], splices: Iterable[Splice]) -> list[_Pair]:
    pairs: list[_Pair] = []
    left = right = 0
    for each in sorted(splices, key=lambda splice: splice.line):
        if each.lines:
            pairs += zip(old[left : each.line], new[right : right + each.line - left], strict=True)
            right, left = right + each.line - left, each.line
            # A positive number of lines was added, a negative one removed; the other range is empty.
            pairs += [(None, line) for line in new[right : right + each.lines]] if each.lines > 0 else []
            pairs += [(line, None) for line in old[left : left - each.lines]]
            left, right = left + max(0, -each.lines), right + max(0, each.lines)
    pairs += zip(old[left:], new[right:], strict=True)
    return pairs


def _line_numbers(pairs: list[_Pair]) -> list[tuple[int, int]]:
    """How many old and new lines lie before each pair."""
    numbers = [(0, 0)]
    for before, after in pairs:
        old, new = numbers[-1]
        numbers.append((old + (before is not None), new + (after is not None)))
    return numbers


def _lines(data: bytes) -> list[str]:
    # Not splitlines(): that also breaks at form feeds and U+2028, where Git does not.
    lines = data.decode("utf-8").split("\n")
    last = lines.pop()
    ended = [line + "\n" for line in lines]
    return [*ended, last] if last else ended


def _ranges(changed: list[int], count: int) -> list[tuple[int, int]]:
    """Line ranges [first, last) of the hunks, neighbours joined."""
    ranges: list[tuple[int, int]] = []
    for number in changed:
        # Hunks whose context touches become one, as Git writes them.
        first, last = max(0, number - CONTEXT), min(count, number + CONTEXT + 1)
        if ranges and first <= ranges[-1][1]:
            first = ranges.pop()[0]
        ranges.append((first, last))
    return ranges


def _hunk(pairs: list[_Pair], start: tuple[int, int]) -> str:
    counts = [sum(pair[side] is not None for pair in pairs) for side in (0, 1)]
    out = [f"@@ -{_where(start[0], counts[0])} +{_where(start[1], counts[1])} @@\n"]
    pending: list[str] = []
    for old, new in pairs:
        if old == new and old is not None:
            out += [*pending, _line(" ", old)]
            pending = []
        else:
            out += [_line("-", old)] if old is not None else []
            pending += [_line("+", new)] if new is not None else []
    return "".join([*out, *pending])


def _where(before: int, count: int) -> str:
    # Of an empty range the number is the line above it.
    return f"{before + 1}" if count == 1 else f"{before + (1 if count else 0)},{count}"


def _line(mark: str, text: str) -> str:
    return mark + text if text.endswith("\n") else f"{mark}{text}\n\\ No newline at end of file\n"
