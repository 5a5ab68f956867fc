"""Find what was tampered with, and say where.

What stands in the database alone can't prove more than that it fits together: whoever may switch triggers
off and rewrite every hash up to the head leaves a chain that holds. Against that a head that was noted
elsewhere (the log has one every ten minutes) must still be found in the chain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db import connection
from django.utils.translation import gettext as _

from promotions.audit import chain
from promotions.models import AuditEntry, AuditHead

TRIGGERS = {
    "promotions_auditentry": {"audit_seal", "audit_refuse", "audit_refuse_truncate"},
    "promotions_audithead": {"audit_refuse_head", "audit_refuse_head_truncate"},
}
_FIELDS = ("id", "number", "previous_hash", "hash", "content_hash", *chain.CONTENT)
_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written. `number` is the place in the chain, 0 for the whole."""

    number: int
    message: str

    def __str__(self) -> str:
        return f"{self.number}: {self.message}" if self.number else self.message


@dataclass
class Verification:
    """What was read, and what was wrong with it."""

    count: int = 0
    number: int = 0
    head: str = chain.START
    findings: list[Finding] = field(default_factory=list)

    def found(self, number: int, message: str) -> None:
        self.findings.append(Finding(number, message))


def verify(anchor: str = "") -> Verification:
    """Read the whole chain once, in order; `anchor` is a hash that must be found in it.

    Rows that come meanwhile do no harm: the head is read before them.
    """
    result = Verification()
    head = AuditHead.objects.filter(pk=1).first()
    is_anchored = not anchor or anchor == chain.START
    for row in _rows():
        is_anchored |= row["hash"] == anchor
        _check(row, result)
    _check_tail(head, result)
    _check_unsealed(result)
    _check_triggers(result)
    if not is_anchored:
        result.found(
            0,
            _("The hash %(hash)s is not in the chain: what led to it was cut off or rewritten.")
            % {"hash": anchor},
        )
    return result


def _rows() -> Iterator[dict[str, object]]:
    rows = AuditEntry.objects.filter(number__isnull=False).order_by("number")
    yield from rows.values(*_FIELDS).iterator(chunk_size=_AT_ONCE)


def _check(row: dict[str, object], result: Verification) -> None:
    number, entry_id = row["number"], row["id"]
    assert isinstance(number, int)
    assert isinstance(entry_id, int)
    previous, content = str(row["previous_hash"]), str(row["content_hash"])
    if number != result.number + 1:
        result.found(result.number + 1, _missing(result.number + 1, number - 1))
    elif previous != result.head:
        result.found(
            number, _("It does not follow the entry before it: one of the two was put in its place.")
        )
    if chain.content_hash(row) != content:
        result.found(number, _("Its content was changed after it was written (entry %d).") % entry_id)
    if chain.seal(number, entry_id, previous, content) != row["hash"]:
        result.found(
            number, _("Its hash does not fit its place: it was moved or changed (entry %d).") % entry_id
        )
    result.count += 1
    result.number, result.head = number, str(row["hash"])


def _missing(first: int, last: int) -> str:
    if first == last:
        return _("Entry %d of the chain was removed.") % first
    return _("The entries %(first)d to %(last)d of the chain were removed.") % {"first": first, "last": last}


def _check_tail(head: AuditHead | None, result: Verification) -> None:
    """Compare with the head, which was read first: the chain may only have grown since."""
    if head is None:
        if result.count:
            result.found(0, _("The head of the chain was removed: whether its end was cut can't be told."))
        return
    if head.number > result.number:
        result.found(result.number + 1, _missing(result.number + 1, head.number))
    elif head.number == result.number and head.hash != result.head:
        result.found(result.number, _("It is not the entry that the head of the chain names."))
    elif head.number < result.number:
        now = AuditHead.objects.get(pk=1)
        if now.number < result.number:
            result.found(now.number + 1, _("Entries stand behind the head of the chain: it was put back."))


def _check_unsealed(result: Verification) -> None:
    for pk in AuditEntry.objects.filter(number=None).values_list("pk", flat=True)[:20]:
        result.found(0, _("Entry %d is not in the chain: it was written around the trigger.") % pk)


def _check_triggers(result: Verification) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger"
            " WHERE tgrelid = ANY(%s::regclass[]) AND tgenabled IN ('O', 'A')",
            [list(TRIGGERS)],
        )
        there = set(cursor.fetchall())
    for table, names in TRIGGERS.items():
        for name in sorted(names):
            if (table, name) not in there:
                result.found(
                    0,
                    _("The trigger %(name)s of %(table)s is gone or switched off: nothing refuses changes.")
                    % {"name": name, "table": table},
                )
