"""Announce that something changed. Pages hear of it through the hub; see hub.py for the other end."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Max, Min
from django.utils import timezone

from promotions.models import Announcement

KEPT_FOR = timedelta(hours=12)
CHANNEL = "slipway_live"
# Numbers must become visible in order, or a page that has seen 10 would never ask for a late 9.
_ORDER_LOCK = 7_305_001


# One statement, for it comes with every change: the lock is held from before the numbers are drawn until
# they are committed.
_PUBLISH = """
WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(%s)),
written AS (
    INSERT INTO promotions_announcement (application_id, fragment, key, at)
    SELECT %s, said.fragment, said.key, now()
    FROM locked, unnest(%s::text[], %s::text[]) AS said(fragment, key)
    RETURNING id
)
SELECT pg_notify(%s, '') FROM (SELECT count(*) FROM written) AS done
"""


def announce(fragment: str, key: object, *, application_id: int | None = None) -> None:
    """Tell, once the current transaction has committed, that a fragment's content changed.

    `fragment` and `key` name what the hub renders ("cell", stage id). A crash between commit and
    announcement loses the announcement, not the change: the next one about the same thing shows both.
    """
    announce_all((fragment, key), application_id=application_id)


def announce_all(*fragments: tuple[str, object], application_id: int | None = None) -> None:
    """Tell of several fragments as `announce` does of one, in one go."""
    said = [name for name, _key in fragments], [str(key) for _name, key in fragments]
    # Robust: the change is committed, so its author must not be told that it failed.
    transaction.on_commit(lambda: _publish(*said, application_id), robust=True)


def _publish(names: list[str], keys: list[str], application_id: int | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_PUBLISH, [_ORDER_LOCK, application_id, names, keys, CHANNEL])


def latest_number() -> int:
    """Return the number of the newest announcement: read before a page's queries, it misses nothing."""
    return Announcement.objects.aggregate(latest=Max("id"))["latest"] or 0


def oldest_number() -> int:
    """Return the number of the oldest announcement that is still known; 0 when there is none."""
    return Announcement.objects.aggregate(oldest=Min("id"))["oldest"] or 0


def forget_old() -> None:
    """Drop announcements that no page can still want: one that slept longer is told to load again.

    The newest stays, however old: its number says that nothing has changed since.
    """
    old = Announcement.objects.filter(at__lt=timezone.now() - KEPT_FOR)
    old.exclude(pk=latest_number()).delete()
