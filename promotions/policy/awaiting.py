"""Whose decision a promotion waits for: the gates that stand before the click, asked ahead of it."""

from __future__ import annotations

from django.contrib.auth.models import User

from promotions.choices import PromotionStatus, Role
from promotions.models import Promotion
from promotions.policy.access import holders, stages_where
from promotions.policy.facts import gather
from promotions.policy.gates import refusals
from promotions.policy.looking import one_look
from promotions.policy.quorum import brings_nearer
from promotions.policy.terms import Act


def waits_for(promotion: Promotion, user: User) -> bool:
    """Tell whether this person's approval is allowed now, and of use: their groups lack it still."""
    if promotion.status != PromotionStatus.REQUESTED:
        return False
    facts = gather(promotion.stage, promotion.version, user, promotion=promotion)
    if refusals(Act.APPROVE, facts):
        return False
    approved = len(facts.approved_by)
    return brings_nearer(user.username, facts.required_approvals, facts.seats, approved, facts.approved_keys)


@one_look()
def awaiting(user: User) -> list[Promotion]:
    """Return what waits for this person's decision, the longest wait first."""
    asked = Promotion.objects.filter(
        status=PromotionStatus.REQUESTED, stage__in=stages_where(user, Role.APPROVER)
    )
    # Leaves out at once what the gates would refuse anyway: facts cost some twenty queries each.
    found = asked.exclude(requested_by=user).for_pages().select_related("stage__image")
    return [promotion for promotion in found.order_by("status_at", "id") if waits_for(promotion, user)]


@one_look()
def deciders(promotion: Promotion) -> list[User]:
    """Return the people whose decision a promotion waits for now."""
    return [person for person in holders(Role.APPROVER, promotion.stage) if waits_for(promotion, person)]
