"""The one writer of a promotion's status: compare-and-set, audited, announced."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser, User
from django.db import transaction
from django.utils import timezone

from promotions.audit.entries import append
from promotions.choices import OPEN_STATUSES, PromotionStatus
from promotions.live import announce_all
from promotions.models import Promotion, Stage
from promotions.notifications import tell

Status = PromotionStatus

TRANSITIONS: dict[str, frozenset[str]] = {
    Status.REQUESTED: frozenset({Status.APPROVED, Status.REJECTED, Status.ABORTED, Status.SUPERSEDED}),
    # Back to requested: the change differs from the approved one, so the approvals fell.
    Status.APPROVED: frozenset(
        {Status.RUNNING, Status.REQUESTED, Status.ABORTED, Status.SUPERSEDED, Status.ERRORED}
    ),
    # Superseded only while it waits in line to write.
    Status.RUNNING: frozenset(
        {
            Status.SUCCEEDED,
            Status.FAILED,
            Status.ERRORED,
            Status.ABORTED,
            Status.REQUESTED,
            Status.SUPERSEDED,
        }
    ),
    Status.FAILED: frozenset({Status.RUNNING, Status.APPROVED}),
    Status.ERRORED: frozenset({Status.RUNNING, Status.APPROVED}),
}


class StaleState(Exception):
    """Someone else was faster: what the caller saw is no longer so. Nothing was changed."""


def person_name(person: AbstractBaseUser | None) -> str:
    """Return how a person is called in records that outlive the account; Slipway acts for nobody."""
    if not isinstance(person, User):
        return "Slipway"
    return person.get_full_name() or person.get_username()


def record(
    action: str, *, subject: object, by: User | None, promotion: Promotion | None = None, **data: Any
) -> None:
    """Append an audit row to the current transaction; it says from where by itself (audit/origin.py).

    `reason`, `comment` or `message` among the data is the row's why; `before` and `after` are shown as such.
    """
    append(action, subject=subject, by=by, by_name=person_name(by), promotion=promotion, data=data)


def transition(
    promotion: Promotion, to: PromotionStatus, *, by: User | None, message: str = "", **fields: Any
) -> None:
    """Move a promotion on, if it still is in the status that `promotion` shows.

    `message` says why in a sentence; further fields are set in the same statement. The instance is
    brought up to date. Raises StaleState when another writer was first, ValueError for a way that does
    not exist.
    """
    if to not in TRANSITIONS.get(promotion.status, frozenset()):
        raise ValueError(f"a promotion can't go from {promotion.status} to {to}")
    now = timezone.now()
    values: dict[str, Any] = {
        "status": to,
        "status_at": now,
        "message": message,
        "finished_at": None if to in OPEN_STATUSES else now,
        **fields,
    }
    before = promotion.status
    with transaction.atomic():
        if not Promotion.objects.filter(pk=promotion.pk, status=before).update(**values):
            raise StaleState(f"Promotion #{promotion.pk} is no longer {Status(before).label}.")
        for name, value in values.items():
            setattr(promotion, name, value)
        record(
            f"promotion.{to}",
            subject=promotion,
            by=by,
            promotion=promotion,
            before=before,
            after=str(to),
            message=message,
        )
        if to != Status.RUNNING:
            tell(promotion, to, by=person_name(by), message=message)
        announce_promotion(promotion)


def announce_promotion(promotion: Promotion) -> None:
    """Tell every page that shows this promotion: its own, its application's and the matrix."""
    application_id = promotion.stage.application_id
    fragments: list[tuple[str, object]] = [("promotion", promotion.pk), ("promotions", application_id)]
    if promotion.release_id is not None:
        fragments.append(("member", promotion.pk))
    if promotion.status != Status.RUNNING:
        # What goes on in a running one changes nobody's approvals.
        fragments.append(("approvals", application_id))
    announce_all(*fragments, *_showing(promotion.stage), application_id=application_id)


def announce_stage(stage: Stage) -> None:
    """Tell every page that shows this Stage: its cell, its card, and where each version is."""
    announce_all(*_showing(stage), application_id=stage.application_id)


def _showing(stage: Stage) -> list[tuple[str, object]]:
    return [("cell", stage.pk), ("stage", stage.pk), ("versions", stage.application_id)]
