"""Tell when an upstream has been out of reach for long, and when it answers again."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from promotions.choices import Event, UpstreamState, Vendor
from promotions.models import Connection, Outage, Stage
from promotions.notifications import News, put, rooms, subscribers


def look() -> None:
    """Compare what the observers say of each connection with what people were told of it.

    A connection is out of reach since the first of what is watched there failed, and back when all of it
    answered: one that flaps is told of once.
    """
    open_ones = {outage.connection_id: outage for outage in Outage.objects.filter(ended_at=None)}
    watched = Connection.objects.filter(upstreams__isnull=False).distinct().prefetch_related("upstreams")
    for connection in watched:
        upstreams = connection.upstreams.all()
        since = min((row.troubled_since for row in upstreams if row.troubled_since), default=None)
        outage = open_ones.get(connection.pk)
        if outage is None and since and timezone.now() - since >= settings.UNREACHABLE_AFTER:
            _begin(connection, since)
        elif outage and all(row.state == UpstreamState.FRESH for row in upstreams):
            _end(outage, connection)


def _begin(connection: Connection, since: datetime) -> None:
    with transaction.atomic():
        outage, new = Outage.objects.get_or_create(
            connection=connection, ended_at=None, defaults={"began_at": since}
        )
        if new:
            _put(outage, connection, Event.UNREACHABLE)


def _end(outage: Outage, connection: Connection) -> None:
    with transaction.atomic():
        now = timezone.now()
        if Outage.objects.filter(pk=outage.pk, ended_at=None).update(ended_at=now):
            outage.ended_at = now
            _put(outage, connection, Event.REACHABLE)


def _put(outage: Outage, connection: Connection, event: Event) -> None:
    news = News(
        event,
        f"outage:{outage.pk}:{event}",
        lambda: _words(outage, connection),
        "/",
        tuple(stages_using(connection)),
        connection=connection,
    )
    put(news, rooms(news), subscribers(news))


def _words(outage: Outage, connection: Connection) -> tuple[str, str]:
    """Say no more than everybody may know: the vendor's own words may speak of any project."""
    words = {
        "connection": connection.slug,
        "vendor": str(Vendor(connection.vendor).label),
        "since": date_format(timezone.localtime(outage.began_at), "DATETIME_FORMAT"),
    }
    if outage.ended_at is not None:
        body = _("It had not answered since %(since)s. What waited for it goes on by itself.")
        return _("%(connection)s (%(vendor)s) answers again") % words, body % words
    body = _("It has not answered since %(since)s. What Slipway shows of it may be old; promotions wait.")
    return _("%(connection)s (%(vendor)s) can't be reached") % words, body % words


def stages_using(connection: Connection) -> list[Stage]:
    """Return the Stages that can't be seen or promoted to without this connection."""
    used = (
        Q(manifest_connection=connection)
        | Q(argocd_connection=connection)
        | Q(verification_connection=connection)
        | Q(image__connection=connection)
        | Q(application__source_connection=connection)
    )
    return list(Stage.objects.filter(used).select_related("application", "environment"))
