"""End sessions."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from promotions.models import Session
from promotions.workflow import record


def open_sessions(user: User) -> int:
    return Session.objects.filter(user_id=user.pk).count()


def sign_out_everywhere(user: User, *, by: User) -> int:
    """End every session of a person: pages at their next request, sockets within a beat. Return how many."""
    with transaction.atomic():
        count, _rows = Session.objects.filter(user_id=user.pk).delete()
        record("session.ended-everywhere", subject=f"person {user}", by=by, sessions=count)
    return count
