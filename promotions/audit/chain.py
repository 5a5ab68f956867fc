"""What a row's hashes cover. Pure: the migration's trigger computes `seal` the same way in SQL.

Verification repeats this with what stands in the table, so a change here breaks every chain there is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime

# In this order; `id`, `number` and `previous_hash` come in with the seal.
CONTENT = (
    "at",
    "actor_id",
    "actor_username",
    "actor_name",
    "via",
    "address",
    "client",
    "action",
    "subject",
    "reason",
    "application",
    "environment",
    "promotion_id",
    "tag",
    "digest",
    "commit",
    "manifest_commit",
    "change_hash",
    "data",
)
START = "0" * 64


def content_hash(values: Mapping[str, object]) -> str:
    """Return the SHA-256 of a row's content as canonical JSON; `values` holds each name of CONTENT."""
    at = values["at"]
    assert isinstance(at, datetime)
    listed = [at.astimezone(UTC).isoformat(timespec="microseconds"), *(values[name] for name in CONTENT[1:])]
    text = json.dumps(listed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def seal(number: int, entry_id: int, previous: str, content: str) -> str:
    """Return the hash that binds a row's content to its place in the chain."""
    return hashlib.sha256(f"{number}\n{entry_id}\n{previous}\n{content}".encode()).hexdigest()


def plain(value: object) -> object:
    """Return a value as JSON that reads back exactly as it was written.

    PostgreSQL keeps JSON's numbers as decimals, so that a float may come back spelt otherwise, and takes
    no NUL characters: floats become text, NULs U+FFFD.
    """
    match value:
        case None | bool() | int():
            return value
        case dict():
            return {_text(key): plain(inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(inner) for inner in value]
    return _text(value)


def _text(value: object) -> str:
    return str(value).replace("\0", "\ufffd").encode("utf-8", "replace").decode()
