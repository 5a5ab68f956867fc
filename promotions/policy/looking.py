"""One look at the tables: whatever several gates, buttons and people of one page ask of them is read once.

A page asks the same gates for each button and each person. Within one look they get the same answers, of
one moment, which is what a page should show anyway. Outside of a look everything is read anew each time:
what acts must not trust what was read before.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.db.models import Model
from django.utils import timezone

P = ParamSpec("P")
T = TypeVar("T")
_seen: ContextVar[dict[Hashable, Any] | None] = ContextVar("seen", default=None)


@contextmanager
def one_look() -> Iterator[None]:
    """Have all that is asked inside, by this thread or task, come from one look; it may be nested.

    Only for what reads: nothing that is written inside is seen by those who asked before.
    """
    if _seen.get() is not None:
        yield
        return
    token = _seen.set({})
    try:
        yield
    finally:
        _seen.reset(token)


def once_a_look(read: Callable[P, T]) -> Callable[P, T]:
    """Keep an answer for the rest of the look. Arguments are told apart by value, rows by their keys.

    Whoever gets an answer must not change it.
    """

    @wraps(read)
    def remembered(*args: P.args, **kwargs: P.kwargs) -> T:
        seen = _seen.get()
        if seen is None or any(isinstance(each, Model) and each.pk is None for each in args):
            return read(*args, **kwargs)
        key = (read, *map(_identity, args), *kwargs.items())
        if key not in seen:
            seen[key] = read(*args, **kwargs)
        found: T = seen[key]
        return found

    return remembered


def _identity(argument: Any) -> Hashable:
    found: Hashable = (type(argument), argument.pk) if isinstance(argument, Model) else argument
    return found


@once_a_look
def moment() -> datetime:
    """Return the time of this look, or now."""
    return timezone.now()
