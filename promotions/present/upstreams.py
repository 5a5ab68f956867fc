"""How fresh our picture of each upstream is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, F, Min
from django.utils.translation import gettext as _

from promotions.choices import UpstreamState, Vendor
from promotions.models import Connection, Notification, NotificationChannel, Upstream
from promotions.present.marks import Mark, upstream_mark

_WORST_FIRST = (
    UpstreamState.REFUSED,
    UpstreamState.TROUBLED,
    UpstreamState.STARTING,
    UpstreamState.FRESH,
)


@dataclass(frozen=True, slots=True)
class ConnectionFreshness:
    """One connection, summed up. Names no project and no error: anybody who is signed in may see it."""

    name: str
    vendor: str
    mark: Mark
    is_trouble: bool
    since: datetime | None
    seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class Freshness:
    connections: tuple[ConnectionFreshness, ...]

    @property
    def troubled(self) -> tuple[ConnectionFreshness, ...]:
        return tuple(connection for connection in self.connections if connection.is_trouble)


@dataclass(frozen=True, slots=True)
class UpstreamRow:
    upstream: Upstream
    mark: Mark


def freshness(_key: str = "all") -> Freshness:
    """Sum up every watched connection by the worst of what is watched there."""
    watched = Connection.objects.filter(upstreams__isnull=False).distinct().prefetch_related("upstreams")
    oldest = dict(Upstream.objects.values_list("connection").annotate(Min("seen_at")))
    return Freshness(tuple(_of_connection(connection, oldest.get(connection.pk)) for connection in watched))


def _of_connection(connection: Connection, seen_at: datetime | None) -> ConnectionFreshness:
    watched = list(connection.upstreams.all())
    states = {upstream.state for upstream in watched}
    worst = next(state for state in _WORST_FIRST if state in states)
    is_trouble = worst in (UpstreamState.REFUSED, UpstreamState.TROUBLED)
    since = [upstream.troubled_since for upstream in watched if upstream.troubled_since]
    return ConnectionFreshness(
        connection.slug,
        str(Vendor(connection.vendor).label),
        upstream_mark(worst),
        is_trouble,
        min(since) if is_trouble and since else None,
        seen_at,
    )


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """A way by which people are told. `waiting` messages are to be sent; `lost` were given up."""

    channel: NotificationChannel
    mark: Mark
    waiting: int
    lost: int


def channels() -> list[ChannelRow]:
    """Return every notification channel with its last error, troubled ones first."""
    found = NotificationChannel.objects.order_by(F("troubled_since").asc(nulls_last=True), "slug")
    waiting = _counted(due_at__isnull=False)
    # What was not to be sent after all was never tried again.
    lost = _counted(due_at=None, sent_at=None, tries__gt=1)
    return [ChannelRow(row, _channel_mark(row), waiting.get(row.pk, 0), lost.get(row.pk, 0)) for row in found]


def _counted(**which: object) -> dict[int, int]:
    return dict(Notification.objects.filter(**which).order_by().values_list("channel").annotate(Count("pk")))


def _channel_mark(channel: NotificationChannel) -> Mark:
    if channel.troubled_since:
        return Mark("warn", "warn", _("takes no messages"))
    if channel.told_at:
        return Mark("good", "check", _("works"))
    return Mark("calm", "clock", _("not used yet"))


def rows() -> list[UpstreamRow]:
    """Return everything that is watched, troubled first, with the vendors' own words."""
    order = {state.value: place for place, state in enumerate(_WORST_FIRST)}
    found = sorted(Upstream.objects.select_related("connection"), key=lambda row: order[row.state])
    return [UpstreamRow(upstream, upstream_mark(upstream.state)) for upstream in found]
