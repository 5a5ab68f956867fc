"""What goes into one commit: a promotion's change alone, or those of a Release that share its branch."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from promotions import changes
from promotions.choices import StepName
from promotions.manifests import Change
from promotions.models import Promotion, companions
from promotions.steps.base import Done, Failed, Outcome, Waiting

__all__ = ["Combined", "combine", "companions", "follow"]


@dataclass(frozen=True, slots=True)
class Combined:
    """The change of one commit. `differing` are the promotions whose part is not the approved one any more,
    each with what it is now."""

    change: Change
    differing: tuple[tuple[Promotion, Change], ...]


def combine(promotion: Promotion, commit: str) -> Combined:
    """Compute what the commit of this promotion holds, at a commit of its repository.

    A part that Git asks for already has nothing to write. Raises NoChange and IntegrationError.
    """
    parts = companions(promotion)
    alone = [(each, changes.compute(each.stage, each.version, commit=commit)) for each in parts]
    differing = tuple(
        (each, change) for each, change in alone if change.edits and change.hash != each.change_hash
    )
    if len(alone) == 1:
        return Combined(alone[0][1], differing)
    wanted = [(each.stage, each.version) for each, change in alone if change.edits]
    return Combined(changes.compute_together(wanted, commit=commit), differing)


def follow(promotion: Promotion, step: StepName) -> Outcome | None:
    """Return what became of the commit that another promotion of the Release writes; None for the writer."""
    writer = companions(promotion)[0]
    if writer.pk == promotion.pk:
        return None
    words = {"number": writer.pk, "why": writer.message}
    written = writer.target_commit or (writer.written_commit if step == StepName.WRITE else "")
    if written:
        return Done(
            _("Written together with promotion #%(number)d: commit %(sha)s.") % {**words, "sha": written[:8]},
            fields={
                "written_commit": writer.written_commit,
                "written_at": writer.written_at,
                "target_commit": writer.target_commit,
                "merge_request_iid": writer.merge_request_iid,
                "merge_request_url": writer.merge_request_url,
            },
        )
    if not writer.is_open:
        return Failed(_("Promotion #%(number)d, which writes for both, ended: %(why)s") % words)
    return Waiting(_("Promotion #%(number)d writes for all of the release: %(why)s") % words, look_in=5)
