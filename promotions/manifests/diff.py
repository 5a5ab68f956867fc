"""A unified diff of two texts that differ within lines only, in time proportional to the file."""

from __future__ import annotations

CONTEXT = 3


def unified_diff(file: str, old: bytes, new: bytes) -> str:
    """The diff as `git apply` takes it; "" when nothing differs.

    Edits never add or remove lines, so lines are compared pairwise: difflib needs seconds for a large
    file of similar lines. Line ends (CRLF) are part of the lines.
    """
    before, after = _lines(old), _lines(new)
    assert len(before) == len(after), "an edit stays within its line"
    changed = [number for number, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
    if not changed:
        return ""
    hunks = [_hunk(before, after, first, last) for first, last in _ranges(changed, len(before))]
    return "".join([f"--- a/{file}\n+++ b/{file}\n", *hunks])


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


def _hunk(before: list[str], after: list[str], first: int, last: int) -> str:
    where = f"{first + 1},{last - first}" if last - first != 1 else f"{first + 1}"
    out = [f"@@ -{where} +{where} @@\n"]
    pending: list[str] = []
    for old, new in zip(before[first:last], after[first:last], strict=True):
        if old == new:
            out += [*pending, _line(" ", old)]
            pending = []
        else:
            out.append(_line("-", old))
            pending.append(_line("+", new))
    return "".join([*out, *pending])


def _line(mark: str, text: str) -> str:
    return mark + text if text.endswith("\n") else f"{mark}{text}\n\\ No newline at end of file\n"
