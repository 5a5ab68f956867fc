"""How fresh our picture of each upstream is, for the pages to say."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import connection
from django.db.models import Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from integrations.errors import IntegrationError, Unauthorized
from promotions.choices import UpstreamState
from promotions.live import announce
from promotions.models import Upstream

_WRITE_EVERY = 5.0


@contextmanager
def database_work() -> Iterator[None]:
    """Give the thread's connection back afterwards: watching threads live for days, pools are small."""
    try:
        yield
    finally:
        connection.close()


@dataclass
class Freshness:
    """One observer's reports. `seen` is cheap: it writes at most every few seconds."""

    upstream: Upstream
    _written: float = field(default=-1e9)
    _state: str = ""

    def seen(self) -> None:
        """The upstream answered: what we hold is current."""
        if self._state == UpstreamState.FRESH and time.monotonic() - self._written < _WRITE_EVERY:
            return
        self._write(UpstreamState.FRESH, "")

    def troubled(self, error: IntegrationError) -> None:
        """The upstream did not answer, or refused; it is tried again by itself."""
        refused = isinstance(error, Unauthorized)
        self._write(UpstreamState.REFUSED if refused else UpstreamState.TROUBLED, str(error))

    def _write(self, state: UpstreamState, message: str) -> None:
        with database_work():
            row = Upstream.objects.filter(pk=self.upstream.pk)
            now = timezone.now()
            changed = row.exclude(state=state).exists()
            values: dict[str, object] = {"state": state, "message": message}
            if state == UpstreamState.FRESH:
                values |= {"seen_at": now, "troubled_since": None}
            else:
                # Whoever watched before us may have seen it begin.
                values["troubled_since"] = Coalesce("troubled_since", Value(now))
            row.update(**values)
            if changed:
                announce("upstreams", "all")
        self._state, self._written = state, time.monotonic()
