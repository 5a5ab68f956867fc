"""How automatic promotion stands, as a stage's card says it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _

from promotions.automation import order_name
from promotions.choices import AutomationState, PromotionStatus
from promotions.models import Automation, ImageVersion, Pin, Promotion, Stage
from promotions.pins import build_of, ordering_of
from promotions.policy.gathering import pin_sentence


@dataclass(frozen=True, slots=True)
class AutomationNote:
    """One sentence, the same whoever looks."""

    text: str
    is_held: bool
    is_pinned: bool
    pin_url: str

    @property
    def icon(self) -> str:
        return "stop" if self.is_held else "promote"


def automation_notes(stages: Iterable[Stage]) -> dict[int, AutomationNote]:
    """Return the note of each Stage that promotes automatically, read for all of them at once."""
    kept = [stage for stage in stages if stage.promotes_automatically]
    if not kept:
        return {}
    found = Automation.objects.filter(stage__in=kept).select_related("version")
    rows = {row.stage_id: row for row in found}
    pins = {
        pin.stage_id: pin
        for pin in Pin.objects.filter(stage__in=kept, lifted_at=None).select_related("version")
    }
    return {stage.pk: _note(stage, rows.get(stage.pk), pins.get(stage.pk)) for stage in kept}


def _note(stage: Stage, row: Automation | None, pin: Pin | None) -> AutomationNote:
    url = reverse("stage-pin", args=[stage.application.slug, stage.environment.slug])
    if pin is not None:
        # Also before the next look: whoever set the pin sees at once that it holds.
        text = _("Automatic promotion is held: %(why)s") % {"why": pin_sentence(pin)}
        return AutomationNote(text, True, True, url)
    held = row is not None and row.state == AutomationState.HELD
    return AutomationNote(_sentence(stage, row), held, False, url)


def _sentence(stage: Stage, row: Automation | None) -> str:
    words = {
        "order": order_name(stage),
        "version": row.version.label if row and row.version else "",
        "message": row.message if row else "",
    }
    if row is None:
        return _("Promotes automatically (newest by %(order)s).") % words
    if row.state == AutomationState.HELD:
        return _("Automatic promotion is held: %(message)s") % words
    if row.state == AutomationState.WAITING and row.version:
        return (
            _("Promotes automatically (newest by %(order)s), next: %(version)s, waits for: %(message)s")
            % words
        )
    return _("Promotes automatically (newest by %(order)s). %(message)s") % words


def direction(stage: Stage, running: ImageVersion | None, version: ImageVersion) -> str:
    """Return whether a choice goes up or down by the order; "" where that can't be told.

    It is information and forbids nothing (reference tag-ordering.md rule 12).
    """
    if running is None or running.pk == version.pk:
        return ""
    found = ordering_of(stage).compare(build_of(stage, version), build_of(stage, running))
    words = {1: _("an upgrade by %(order)s"), -1: _("a downgrade by %(order)s"), 0: _("equal by %(order)s")}
    return words[found] % {"order": order_name(stage)} if found is not None else ""


def replaceable(stage: Stage) -> Promotion | None:
    """Return the open promotion that a new request would replace: the one that has not begun to write."""
    found = stage.promotions.open().select_related("version", "schedule").first()
    if found is None or (found.status == PromotionStatus.RUNNING and not found.waits_in_line):
        return None
    return found
