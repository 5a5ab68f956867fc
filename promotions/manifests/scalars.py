"""One scalar's bytes: where they are, and how another value is written in their place."""

from __future__ import annotations

import re
from typing import NamedTuple

from promotions.manifests.errors import Unsafe
from promotions.manifests.nodes import Parsed, Scalar

# What YAML 1.1 (PyYAML, Go's yaml.v2) or 1.2 (yaml.v3, Helm) reads as something else than a string.
# `1234e56` is the case that bites: a short commit hash that Go reads as a float, and PyYAML does not.
_NOT_A_STRING = re.compile(
    r"""(?: ~ | null | true | false | yes | no | on | off | y | n | = | <<
    | [-+]?[0-9][0-9_,]*(?:\.[0-9_]*)?(?:e[-+]?[0-9_]+)?
    | [-+]?\.[0-9_]+(?:e[-+]?[0-9_]+)?
    | [-+]?0x[0-9a-f_]+ | [-+]?0o?[0-7_]+ | [-+]?0b[01_]+
    | [-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?
    | [-+]?\.inf | \.nan
    | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\s].*)?)?\Z""",
    re.VERBOSE | re.IGNORECASE,
)
# A plain scalar of these characters needs no quotes in block or flow style.
_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_.:/@+=-]*\Z")
_PROPERTIES = re.compile(r"(?:[&!][^\s,\[\]{}]*[ \t]+)*")


class Splice(NamedTuple):
    """New text for the characters from `start` to `end`.

    `lines` whole lines appear before line `line` of the old text (from 0), or so many go from there on
    where it is negative: the diff needs to know which lines are the same.
    """

    start: int
    end: int
    text: str
    line: int = 0
    lines: int = 0


def needs_quotes(value: str) -> bool:
    """Whether YAML would read the bare text as a number, boolean, null or date, or not as one scalar."""
    return _NOT_A_STRING.match(value) is not None or not _PLAIN.match(value) or value.endswith(":")


def body_span(text: str, scalar: Scalar) -> tuple[int, int] | None:
    """Start and end offset of the scalar itself: libyaml's mark begins at its anchor or tag.

    None for a block scalar. Offsets are in `text`, the outermost file's.
    """
    if scalar.style in {"|", ">"}:
        return None
    event = scalar.event
    if scalar.source is not None:
        starts = scalar.source.starts
        start = starts[event.start_mark.line] + event.start_mark.column
        end = starts[event.end_mark.line] + event.end_mark.column
    else:
        start, end = event.start_mark.index, event.end_mark.index
    if event.anchor or event.tag:
        match = _PROPERTIES.match(text, start, end)
        start = match.end() if match else start
    return start, end


def written(parsed: Parsed, scalar: Scalar) -> str:
    """The scalar as it stands in the file, quotes included."""
    span = body_span(parsed.text, scalar)
    return parsed.text[span[0] : span[1]] if span else ""


def splice(parsed: Parsed, scalar: Scalar, value: str, key: str) -> Splice:
    """Writes `value` over the scalar in its own style.

    Raises Unsafe where the file's bytes are not the value: blocks, folded lines, escapes.
    """
    span = body_span(parsed.text, scalar)
    if span is None:
        raise Unsafe(parsed.file, scalar.line, f"writes {key} as a block ({scalar.style}); use one line")
    start, end = span
    raw = parsed.text[start:end]
    # A key without a value has an empty span.
    if start == end:
        return Splice(start, end, _into_the_gap(parsed.text, start) + restyled(value, "", parsed.file))
    # The bytes must be the value: else an escape or a folded line is in play, and the span is not the text.
    for quote, escape in ((scalar.style, False), (scalar.style, scalar.style == '"')):
        if raw == _quoted(scalar.value, quote, escape):
            return Splice(start, end, restyled(value, quote, parsed.file, escape=escape))
    cause = f"writes {key} over several lines or with escapes; write it in one piece to have it edited"
    raise Unsafe(parsed.file, scalar.line, cause)


def _into_the_gap(text: str, position: int) -> str:
    """`tag:` without a value: libyaml marks the place right after the colon or dash."""
    return "" if position and text[position - 1] in " \t" else " "


def restyled(value: str, quote: str, file: str, *, escape: bool = False) -> str:
    """The value as text of the file: with these quotes, or bare where YAML reads it as a string."""
    if quote:
        return _quoted(value, quote, escape)
    return f'"{value}"' if needs_quotes(value) or file.endswith(".json") else value


def _quoted(value: str, quote: str, escape: bool) -> str:
    # `\/` is legal in JSON and some serialisers write it; a file keeps its habit.
    return f"{quote}{value.replace('/', chr(92) + '/') if escape else value}{quote}"
