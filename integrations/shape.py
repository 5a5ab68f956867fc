"""Reading vendors' JSON without trusting its shape.

Every function takes any value and answers with the type it promises, empty where the value is
something else: a vendor that leaves a key out, sends null or changes a type must not raise in here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

Json = Mapping[str, object]

_EMPTY: Json = {}


def mapping(value: object) -> Json:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else _EMPTY


def sequence(value: object) -> Sequence[object]:
    """The value if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else ()


def dig(value: object, *keys: str) -> object:
    """The value behind a chain of object keys, None when any link is missing."""
    for key in keys:
        value = mapping(value).get(key)
    return value


def text(value: object) -> str:
    """Strings as they are, numbers as digits, everything else "" (true and false are not text)."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def texts(value: object) -> tuple[str, ...]:
    """The strings of an array, without the empty ones."""
    return tuple(entry for entry in sequence(value) if isinstance(entry, str) and entry)


def text_map(value: object) -> dict[str, str]:
    """An object of strings; values of other types are left out."""
    return {key: entry for key, entry in mapping(value).items() if isinstance(entry, str)}


def number(value: object) -> int | None:
    """An integer, also from digits in a string; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    # int() of a very long digit string raises, so length comes first.
    return (
        int(value)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20
        else None
    )


def moment(value: object) -> datetime | None:
    """An ISO 8601 or RFC 3339 time as aware UTC. None for no time, for nonsense, and for Go's zero
    time (year 1). A time without an offset is taken as UTC."""
    if not isinstance(value, str) or not value:
        return None
    try:
        parsed = datetime.fromisoformat(value.strip().removesuffix(" UTC"))
        parsed = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return None if parsed.year <= 1 else parsed


def one_line(value: str, limit: int = 500) -> str:
    """Text of others made fit for a sentence: no control characters or lone surrogates, shortened."""
    clean = "".join(character if character.isprintable() else " " for character in value)
    short = " ".join(clean.split())
    return short if len(short) <= limit else f"{short[: limit - 1]}…"
