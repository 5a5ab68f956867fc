"""The last question before an outside effect: may it still, and is it still wanted?"""

from __future__ import annotations

from dataclasses import replace

from django.utils.translation import gettext as _

from promotions.choices import PromotionStatus
from promotions.models import Promotion, companions
from promotions.policy import Act, Refusal, gather, refusals
from promotions.policy.releases import RELEASE
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
    """Ask every gate anew, for all that goes into the same commit.

    Raises Held, and StaleState when the promotion was stopped meanwhile.
    """
    running = Promotion.objects.filter(
        pk=promotion.pk, status=PromotionStatus.RUNNING, attempt=promotion.attempt
    )
    if not running.exists():
        raise StaleState(_("Promotion #%(number)d is no longer running.") % {"number": promotion.pk})
    act = act_of(promotion)
    # What is on its branch goes its own way; until then it goes together, or not at all.
    for each in companions(promotion) if act == Act.RUN else [promotion]:
        each.stage.environment.refresh_from_db()
        facts = gather(each.stage, each.version, None, promotion=each)
        if found := refusals(act, facts):
            raise Held(found if each.pk == promotion.pk else [_of_companion(each, why) for why in found])


def _of_companion(other: Promotion, why: Refusal) -> Refusal:
    """Another promotion's refusal, as what it is to this one: its own look does what has to be done."""
    message = _("Promotion #%(number)d goes into the same commit: %(why)s")
    return replace(why, gate=RELEASE, message=message % {"number": other.pk, "why": why.message})
