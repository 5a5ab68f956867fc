"""Entries as CSV for spreadsheets and as JSON lines for machines, row by row as they are read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime

from django.db.models import QuerySet

from promotions.audit.chain import CONTENT
from promotions.models import AuditEntry

COLUMNS = ("number", "id", *CONTENT, "content_hash", "previous_hash", "hash")
FORMATS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
_AT_ONCE = 1000
# Spreadsheets take a cell that begins so for a formula, also after spaces and in full width.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def export(entries: QuerySet[AuditEntry], kind: str) -> Iterator[str]:
    """Return the text of all entries, piece by piece, in one of FORMATS."""
    rows = entries.values_list(*COLUMNS).iterator(chunk_size=_AT_ONCE)
    return _csv(rows) if kind == "csv" else _json_lines(rows)


class _Echo:
    """What csv writes to: gives the line back."""

    def write(self, line: str) -> str:
        return line


def _csv(rows: Iterator[tuple[object, ...]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    # Without this mark Excel takes the text for Latin-1.
    yield "\ufeff" + str(writer.writerow(COLUMNS))
    for row in rows:
        yield str(writer.writerow([_cell(value) for value in row]))


def _cell(value: object) -> object:
    if isinstance(value, int) or value is None:
        return value
    text = _text(value) if not isinstance(value, dict) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _json_lines(rows: Iterator[tuple[object, ...]]) -> Iterator[str]:
    for row in rows:
        values = dict(zip(COLUMNS, row, strict=True))
        yield json.dumps(values, ensure_ascii=False, default=_text) + "\n"


def _text(value: object) -> str:
    """Moments as they are hashed (chain.content_hash), so that an export can be verified by itself."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return str(value)
