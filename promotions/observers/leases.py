"""Leases: each upstream is watched by exactly one worker, taken over within 10 s of its death."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from promotions.models import Upstream

# The database's clock judges, so that workers with wrong clocks don't steal from each other.
# A holder that dies just after renewing has a successor within TERM and one RENEW_EVERY (seconds).
TERM = timedelta(seconds=7)
RENEW_EVERY = 2.5


def acquire(upstream: Upstream, holder: str, *, term: timedelta = TERM) -> bool:
    """Take a free or expired lease, or renew one's own; tell whether `holder` has it now."""
    return upstream.pk in acquire_all([upstream], holder, term=term)


def acquire_all(upstreams: Iterable[Upstream], holder: str, *, term: timedelta = TERM) -> set[int]:
    """Take or renew what can be had of these, in one statement; return the keys that `holder` has now.

    Locked in one order first, so that two workers that take several never wait for each other in a circle.
    """
    free = Q(holder="") | Q(holder=holder) | Q(held_until__lt=Now())
    wanted = Upstream.objects.filter(free, pk__in=[upstream.pk for upstream in upstreams])
    with transaction.atomic():
        had = set(wanted.select_for_update().order_by("pk").values_list("pk", flat=True))
        Upstream.objects.filter(pk__in=had).update(holder=holder, held_until=Now() + term)
    return had


def release(holder: str) -> None:
    """Give back everything, so that others need not wait for the term to end."""
    Upstream.objects.filter(holder=holder).update(holder="", held_until=None)


def held_by_others(holder: str) -> list[str]:
    """Return the names of the upstreams somebody else watches now."""
    others = Upstream.objects.filter(held_until__gte=Now()).exclude(holder__in=("", holder))
    return list(others.order_by(F("name")).values_list("name", flat=True))
