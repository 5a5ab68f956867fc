"""Whose turn it is to write to a branch: one at a time across all workers, in the order they came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from zlib import crc32

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from promotions.choices import PromotionStatus, StepName, StepStatus
from promotions.models import Promotion, Stage, StepResult
from promotions.steps.base import Waiting
from promotions.workflow import StaleState

_WRITE_LOCKS = 7_305_002
# A promotion that was not looked at for so long may have lost its worker: it holds nobody up.
_ABSENT_AFTER = timedelta(seconds=5)


@contextmanager
def turn(result: StepResult, stage: Stage, branch: str) -> Iterator[Waiting | None]:
    """Hold the right to write to the branch, or yield why not yet. The database frees it when this process
    dies, and undoes with it whatever the block changed in the tables.

    The promotion's row is held, too: who aborts or supersedes it waits for the write, or keeps it from
    beginning. Raises StaleState when one of them was first.
    """
    lane = lane_of(stage, branch)
    with transaction.atomic():
        is_ours = _try_lock(lane)
        before = list(_in_line(lane).filter(pk__lt=result.pk))
        if not is_ours or before:
            yield _wait(lane, branch, before)
            return
        held = Promotion.objects.select_for_update().filter(
            pk=result.promotion_id, status=PromotionStatus.RUNNING, attempt=result.attempt
        )
        if held.first() is None:
            raise StaleState(_("Promotion #%d is no longer running.") % result.promotion_id)
        if result.data.get("lane"):
            result.data["lane"] = ""
            result.save(update_fields=["data"])
        yield None


def _try_lock(lane: str) -> bool:
    with connection.cursor() as cursor:
        key = crc32(lane.encode()) - 2**31
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_WRITE_LOCKS, key])
        row = cursor.fetchone()
    return bool(row and row[0])


def next_in_line(stage: Stage, branch: str) -> Promotion | None:
    """Return who has waited longest for the branch, to be looked at when it is free."""
    first = _in_line(lane_of(stage, branch)).first()
    return first.promotion if first is not None else None


def lane_of(stage: Stage, branch: str) -> str:
    """Return the name of the line for a branch; who waits for it remembers the name as `lane`."""
    return f"{stage.manifest_connection_id}:{stage.manifest_project}:{branch}"


def _in_line(lane: str) -> QuerySet[StepResult]:
    """Steps are numbered as they begin: that is the order of the line."""
    return (
        StepResult.objects.filter(
            step=StepName.WRITE,
            status=StepStatus.WAITING,
            data__lane=lane,
            promotion__status=PromotionStatus.RUNNING,
            promotion__look_at__gte=timezone.now() - _ABSENT_AFTER,
        )
        .select_related("promotion")
        .order_by("pk")
    )


def _wait(lane: str, branch: str, before: list[StepResult]) -> Waiting:
    if not before:
        message = _("Another promotion is writing to %(branch)s.") % {"branch": branch}
    else:
        message = ngettext(
            "Promotion #%(first)d writes to %(branch)s first.",
            "%(count)d promotions write to %(branch)s first, the next is #%(first)d.",
            len(before),
        ) % {"first": before[0].promotion_id, "branch": branch, "count": len(before)}
    # Whoever is next is called when the branch is free: those far behind need not look every second.
    return Waiting(message, look_in=min(1 + len(before) / 2, 6), data={"lane": lane})
