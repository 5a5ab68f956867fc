"""How fresh our picture of each upstream is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Min

from promotions.choices import UpstreamState, Vendor
from promotions.models import Connection, Upstream
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


def rows() -> list[UpstreamRow]:
    """Return everything that is watched, troubled first, with the vendors' own words."""
    order = {state.value: place for place, state in enumerate(_WORST_FIRST)}
    found = sorted(Upstream.objects.select_related("connection"), key=lambda row: order[row.state])
    return [UpstreamRow(upstream, upstream_mark(upstream.state)) for upstream in found]
