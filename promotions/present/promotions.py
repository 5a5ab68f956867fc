"""Rows of promotions: the list, and the newest of an application."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from promotions.choices import PromotionKind, StepName
from promotions.models import Application, Promotion
from promotions.present.marks import Mark, promotion_mark

_NEWEST = 10


@dataclass(frozen=True, slots=True)
class PromotionRow:
    number: int
    url: str
    title: str
    application: str
    environment: str
    version: str
    from_version: str
    mark: Mark
    step: str
    message: str
    requested_by: str
    requested_at: datetime
    finished_at: datetime | None
    waits_since: datetime | None


@dataclass(frozen=True, slots=True)
class RecentPromotions:
    application_id: int
    rows: tuple[PromotionRow, ...]


def title(promotion: Promotion) -> str:
    """Return the promotion as a sentence."""
    words = {
        "application": promotion.stage.application.name,
        "environment": promotion.stage.environment.name,
        "version": promotion.version.label,
    }
    if promotion.kind == PromotionKind.ROLLBACK:
        return _("Roll %(application)s back to %(version)s in %(environment)s") % words
    return _("Promote %(application)s to %(version)s in %(environment)s") % words


def promotion_row(promotion: Promotion) -> PromotionRow:
    running = promotion.is_open and promotion.step
    return PromotionRow(
        number=promotion.pk,
        url=promotion.get_absolute_url(),
        title=title(promotion),
        application=promotion.stage.application.name,
        environment=promotion.stage.environment.name,
        version=promotion.version.label,
        from_version=promotion.from_version.label if promotion.from_version else "",
        mark=promotion_mark(promotion.status),
        step=str(StepName(promotion.step).label) if running else "",
        message=promotion.message,
        requested_by=promotion.requested_by_name,
        requested_at=promotion.requested_at,
        finished_at=promotion.finished_at,
        waits_since=promotion.waits_since,
    )


def promotion_rows(promotions: Iterable[Promotion]) -> tuple[PromotionRow, ...]:
    return tuple(promotion_row(promotion) for promotion in promotions)


def recent(key: str) -> RecentPromotions | None:
    """Return the newest promotions of the application with this id, None when it is gone."""
    application = Application.objects.filter(pk=key).first()
    if application is None:
        return None
    newest = Promotion.objects.for_pages().filter(stage__application=application)
    newest = newest.prefetch_related("steps")[:_NEWEST]
    return RecentPromotions(application.pk, promotion_rows(newest))
