"""The webhook inbox: what came, what became of it, and the body as it came."""

from __future__ import annotations

import json
from dataclasses import dataclass

from promotions import log
from promotions.choices import DeliveryOutcome
from promotions.models import Delivery, WebhookSource
from promotions.present.marks import Mark, delivery_mark

_NEWEST = 50
_LONGEST_BODY = 300_000


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    delivery: Delivery
    mark: Mark


@dataclass(frozen=True, slots=True)
class Inbox:
    """`key` is "all" or an outcome."""

    key: str
    rows: tuple[DeliveryRow, ...]


@dataclass(frozen=True, slots=True)
class DeliveryDetail:
    delivery: Delivery
    mark: Mark
    headers: tuple[tuple[str, str], ...]
    body: str
    is_json: bool
    is_cut: bool
    size: int


def inbox(key: str = "all") -> Inbox | None:
    """Return the newest deliveries, all of them or those with one outcome; None for an unknown one."""
    found = Delivery.objects.select_related("source__connection").defer("body", "headers")
    if key != "all":
        if key not in DeliveryOutcome.values:
            return None
        found = found.filter(outcome=key)
    return Inbox(key, tuple(DeliveryRow(row, delivery_mark(row.outcome)) for row in found[:_NEWEST]))


def refused_sources() -> list[WebhookSource]:
    """Return the sources at whose address something was refused: a wrong secret, or a stranger."""
    return list(WebhookSource.objects.filter(refused_count__gt=0).select_related("connection"))


def detail(delivery: Delivery) -> DeliveryDetail:
    raw = bytes(delivery.body)
    text, is_json = _readable(raw)
    return DeliveryDetail(
        delivery,
        delivery_mark(delivery.outcome),
        _headers(delivery),
        text[:_LONGEST_BODY],
        is_json,
        len(text) > _LONGEST_BODY,
        len(raw),
    )


def _headers(delivery: Delivery) -> tuple[tuple[str, str], ...]:
    """A secret that the receiver should not have kept is not shown either."""
    return tuple(
        (str(name), log.HIDDEN if log.SECRET_KEYS.search(str(name)) else str(value))
        for name, value in sorted(delivery.headers.items())
    )


def _readable(raw: bytes) -> tuple[str, bool]:
    text = raw.decode("utf-8", errors="replace")
    if len(raw) > _LONGEST_BODY:
        return text, False
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False), True
    except (ValueError, RecursionError):
        return text, False
