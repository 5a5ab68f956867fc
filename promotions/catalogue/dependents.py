"""What keeps a thing in the catalogue after it has left the file."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import ForeignKey, Model, Q

from promotions.catalogue.rows import (
    APPLICATION,
    CONNECTION,
    IMAGE,
    STAGE,
    WEBHOOK_SOURCE,
    Key,
    Kind,
)
from promotions.models import Delivery, ImageVersion, PipelineRun, Promotion

Kept = Sequence[tuple[Kind, object, Key]]

# Which look-ups of a promotion lead to the thing.
_PROMOTED = {STAGE: ("stage",), IMAGE: ("version__image", "from_version__image")}
# What was seen of the thing: noun, table, look-up.
_OBSERVED: dict[Kind, tuple[str, type[Model], str]] = {
    IMAGE: ("version", ImageVersion, "image"),
    APPLICATION: ("run", PipelineRun, "application"),
    WEBHOOK_SOURCE: ("delivery", Delivery, "source"),
    CONNECTION: ("run", PipelineRun, "connection"),
}


def kept_because(kind: Kind, pk: object, *, kept: Kept, prune: bool) -> str:
    """Return why a row must stay, in words, or "".

    Promotions are history: nothing they speak of is ever removed. What was merely observed (versions,
    runs, deliveries) goes with `prune`. `kept` are the later kinds' rows that stay already.
    """
    if count := Promotion.objects.filter(_any(_PROMOTED.get(kind, ()), pk)).count():
        return _counted(count, "promotion")
    for other, other_pk, key in kept:
        if _points_to(other, other_pk, kind, pk):
            return f"{other.noun} {'/'.join(part or '' for part in key)} is kept"
    if kind in _OBSERVED and not prune:
        noun, table, name = _OBSERVED[kind]
        if count := table._default_manager.filter(_any((name,), pk)).count():
            return f"{_counted(count, noun)}; --prune removes {'it' if count == 1 else 'them'} too"
    return ""


def closed_fields(kind: Kind) -> dict[str, object]:
    """Return what shuts a thing that stays for its history: it takes no promotions, no webhooks."""
    if kind is STAGE:
        return {"promotable": False}
    if kind is WEBHOOK_SOURCE:
        return {"tokens": [], "signing_tokens": []}
    return {}


def _counted(count: int, noun: str) -> str:
    plural = "deliveries" if noun == "delivery" else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"


def _points_to(kind: Kind, pk: object, target: Kind, target_pk: object) -> bool:
    fields = [field for field in kind.model._meta.get_fields() if isinstance(field, ForeignKey)]
    names = [field.name for field in fields if field.related_model is target.model]
    pointing = kind.model._default_manager.filter(Q(pk=pk) & _any(names, target_pk))
    return bool(names) and pointing.exists()


def _any(names: Sequence[str], value: object) -> Q:
    """Any of the look-ups equals the value; nothing at all where there are none."""
    condition = Q(pk__in=())
    for name in names:
        condition |= Q(**{name: value})
    return condition
