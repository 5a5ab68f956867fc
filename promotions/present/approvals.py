"""What waits for one person's decision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User

from promotions.models import Application, Promotion
from promotions.policy.awaiting import awaiting
from promotions.present.promotions import title

_MOST_EDITS = 4


@dataclass(frozen=True, slots=True)
class EditNote:
    file: str
    key: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """`edits` are the first of what changes; `further` counts those left out."""

    number: int
    url: str
    title: str
    stage: str
    version: str
    from_version: str
    requested_by: str
    reason: str
    since: datetime
    edits: tuple[EditNote, ...]
    further: int


def waiting_rows(user: User) -> tuple[WaitingRow, ...]:
    return tuple(_row(promotion) for promotion in awaiting(user))


def _row(promotion: Promotion) -> WaitingRow:
    shown = promotion.edits[:_MOST_EDITS]
    return WaitingRow(
        number=promotion.pk,
        url=promotion.get_absolute_url(),
        title=title(promotion),
        stage=str(promotion.stage),
        version=promotion.version.label,
        from_version=promotion.from_version.label if promotion.from_version else "",
        requested_by=promotion.requested_by_name,
        reason=promotion.reason,
        since=promotion.status_at,
        edits=tuple(EditNote(edit["file"], edit["key"], edit["old"], edit["new"]) for edit in shown),
        further=len(promotion.edits) - len(shown),
    )


def changed(key: str) -> str | None:
    """What is pushed when an application's approvals change: a sign to ask again, for it says nothing itself.

    Who must decide depends on who looks. None when the application is gone.
    """
    return key if Application.objects.filter(pk=key).exists() else None
