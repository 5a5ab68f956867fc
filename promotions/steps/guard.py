"""The last question before an outside effect: may it still, and is it still wanted?"""

from __future__ import annotations

from django.utils.translation import gettext as _

from promotions.choices import PromotionStatus
from promotions.models import Promotion
from promotions.policy import Act, Refusal, gather, refusals
from promotions.workflow import StaleState


class Held(Exception):
    """A gate closed while a step was under way; its outside effect did not happen."""

    def __init__(self, found: list[Refusal]) -> None:
        self.refusals = found
        super().__init__(" ".join(refusal.message for refusal in found))


def act_of(promotion: Promotion) -> Act:
    """Tell what is asked of a running promotion: what is on its branch can only be followed."""
    return Act.FOLLOW if promotion.target_commit else Act.RUN


def before_acting(promotion: Promotion) -> None:
    """Ask every gate anew. Raises Held, and StaleState when the promotion was stopped meanwhile."""
    running = Promotion.objects.filter(
        pk=promotion.pk, status=PromotionStatus.RUNNING, attempt=promotion.attempt
    )
    if not running.exists():
        raise StaleState(_("Promotion #%(number)d is no longer running.") % {"number": promotion.pk})
    promotion.stage.environment.refresh_from_db()
    facts = gather(promotion.stage, promotion.version, None, promotion=promotion)
    if found := refusals(act_of(promotion), facts):
        raise Held(found)
