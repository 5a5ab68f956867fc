"""What a Stage ran before, with the way back to it."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse

from promotions import rollbacks
from promotions.models import Stage


@dataclass(frozen=True, slots=True)
class PastRow:
    """`url` leads to the page that asks; "" for what runs here now, and where nothing is promoted to."""

    past: rollbacks.PastVersion
    url: str


def past_rows(stage: Stage, *, limit: int | None = None) -> tuple[PastRow, ...]:
    """Return the versions the Stage ran, the present one first."""
    return tuple(PastRow(past, _url(stage, past)) for past in rollbacks.history(stage, limit=limit))


def history_url(stage: Stage) -> str:
    return reverse("stage-history", args=[stage.application.slug, stage.environment.slug])


def _url(stage: Stage, past: rollbacks.PastVersion) -> str:
    """Whether this visitor may is told by the page it leads to."""
    if past.is_here or not stage.promotable:
        return ""
    return reverse("stage-roll-back", args=[stage.application.slug, stage.environment.slug, past.version.pk])
