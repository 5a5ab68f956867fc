"""The audit trail in words."""

from __future__ import annotations

import json
from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from promotions.choices import Via
from promotions.models import AuditEntry

_ROWS = 50


@dataclass(frozen=True, slots=True)
class EntryRow:
    """`origin` is from where, in words."""

    entry: AuditEntry
    origin: str


@dataclass(frozen=True, slots=True)
class AuditPage:
    """`older` is what the next page begins below; None on the last one."""

    rows: tuple[EntryRow, ...]
    older: int | None


@dataclass(frozen=True, slots=True)
class EntryDetail:
    entry: AuditEntry
    origin: str
    before: str
    after: str
    data: str


def origin(entry: AuditEntry) -> str:
    """Return from where something was done, as a few words."""
    words = {
        Via.PAGE: _("page, from %(address)s"),
        Via.TOKEN: _("token %(client)s, from %(address)s"),
        Via.WORKER: _("worker on %(address)s"),
        Via.COMMAND: _("command %(client)s on %(address)s"),
    }
    if entry.via not in words:
        return ""
    return words[Via(entry.via)] % {"client": entry.client, "address": entry.address or "–"}


def page(found: QuerySet[AuditEntry], before: int | None) -> AuditPage:
    """Return the entries below the id `before`: pages by key stay in place while entries are added."""
    if before is not None:
        found = found.filter(pk__lt=before)
    entries = list(found[: _ROWS + 1])
    rows = tuple(EntryRow(entry, origin(entry)) for entry in entries[:_ROWS])
    return AuditPage(rows, rows[-1].entry.pk if len(entries) > _ROWS else None)


def detail(entry: AuditEntry) -> EntryDetail:
    data = entry.data
    return EntryDetail(
        entry,
        origin(entry),
        str(data.get("before", "")),
        str(data.get("after", "")),
        json.dumps(data, indent=2, ensure_ascii=False, sort_keys=True),
    )
