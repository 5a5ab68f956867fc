"""Break the glass: named gates are passed for one change, the chat hears of it, somebody else reviews it."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from promotions import engine
from promotions.choices import PromotionStatus, Role
from promotions.models import BreakGlass, Promotion, ReviewTask, Stage
from promotions.notifications import tell_everywhere
from promotions.policy import Refusal, Refused, gather, lacking
from promotions.policy.access import holders, holds
from promotions.policy.gathering import may_break
from promotions.policy.rules import Rules
from promotions.workflow import StaleState, announce_promotion, person_name, record, transition


@dataclass(frozen=True, slots=True)
class Glass:
    """What a person says who breaks it. `confirmed` is the stage's name, typed by hand."""

    gates: frozenset[str]
    reason: str
    confirmed: str


def may(user: User, stage: Stage) -> list[Refusal]:
    """Return why the person may not break the glass for this Stage; empty when they may."""
    rules = Rules.of(stage.environment.policy)
    if not rules.break_glass.gates:
        words = _("The glass can't be broken for %(stage)s.") % {"stage": stage}
        return [Refusal("break-glass", words, _("whoever keeps the catalogue"))]
    if may_break(user, stage, rules):
        return []
    roles = ", ".join(str(Role(role).label) for role in rules.break_glass.roles)
    people = [holders(Role(role), stage) for role in rules.break_glass.roles]
    names = dict.fromkeys(person_name(person) for each in people for person in each)
    return [
        Refusal(
            "role",
            _("%(actor)s may not break the glass for %(stage)s: that takes the role %(roles)s.")
            % {"actor": person_name(user), "stage": stage, "roles": roles},
            ", ".join(names) or _("an administrator, by granting the role"),
        )
    ]


def allowed(stage: Stage, glass: Glass, by: User) -> frozenset[str]:
    """Return the gates the glass would be broken for. Raises Refused."""
    rules = Rules.of(stage.environment.policy)
    found = may(by, stage)
    if beyond := sorted(glass.gates - rules.break_glass.gates):
        words = {"stage": stage, "gates": ", ".join(beyond)}
        sentence = _("For %(stage)s the glass does not cover: %(gates)s.") % words
        found.append(Refusal("break-glass", sentence, _("whoever keeps the catalogue")))
    if not glass.gates:
        found.append(_yours("gates", _("Name the gates to be passed.")))
    if not glass.reason.strip():
        found.append(_yours("reason", _("Say why it can't wait.")))
    if not confirms(stage, glass.confirmed):
        found.append(_yours("confirmation", _("Type the stage's name, %(stage)s.") % {"stage": stage}))
    if found:
        raise Refused(found)
    return glass.gates


def confirms(stage: Stage, typed: str) -> bool:
    """Tell whether the stage's name was typed, whatever the blanks and the case."""
    return "".join(typed.split()).casefold() == "".join(str(stage).split()).casefold()


def _yours(gate: str, sentence: str) -> Refusal:
    return Refusal(gate, sentence, _("you"))


def break_glass(promotion: Promotion, glass: Glass, *, by: User, change_hash: str) -> None:
    """Let one promotion pass the named gates, for exactly this change.

    The second of two equal clicks breaks nothing more. Raises Refused, and StaleState when the promotion or
    its change is no longer what the person saw.
    """
    allowed(promotion.stage, glass, by)
    with transaction.atomic():
        held = (
            Promotion.objects.select_for_update(of=("self",))
            .select_related("stage__application", "stage__environment", "version__image")
            .get(pk=promotion.pk)
        )
        if held.change_hash != change_hash:
            raise StaleState(_("The change is no longer the one you saw. Look at the new difference first."))
        if not (held.is_open or held.is_retryable):
            raise StaleState(_("Promotion #%(number)d has already ended.") % {"number": held.pk})
        gates = sorted(glass.gates)
        if not held.broken_glass.filter(person=by, gates=gates, change_hash=change_hash).exists():
            keep(held, glass, by)
        # Also for glass that is broken already: its person may have lost the role, and have it again.
        _let_go(held, by)
    promotion.refresh_from_db()
    engine.wake(promotion)


def keep(promotion: Promotion, glass: Glass, by: User) -> None:
    """Write it down, with its review, in the current transaction; the chat is told when that commits."""
    broken = BreakGlass.objects.create(
        promotion=promotion,
        person=by,
        person_name=person_name(by),
        gates=sorted(glass.gates),
        reason=glass.reason.strip(),
        change_hash=promotion.change_hash,
    )
    ReviewTask.objects.create(promotion=promotion, glass=broken, person=by)
    record(
        "glass.broken",
        subject=promotion,
        by=by,
        promotion=promotion,
        reason=broken.reason,
        gates=broken.gates,
    )
    message = _("%(person)s broke the glass to pass: %(gates)s. %(reason)s") % {
        "person": person_name(by),
        "gates": ", ".join(broken.gates),
        "reason": broken.reason,
    }
    title = _("%(stage)s: the glass was broken for %(version)s") % {
        "stage": promotion.stage,
        "version": promotion.version.label,
    }
    tell_everywhere(promotion, title, by=person_name(by), message=message)
    announce_promotion(promotion)


def _let_go(held: Promotion, by: User) -> None:
    if held.status != PromotionStatus.REQUESTED:
        return
    facts = gather(held.stage, held.version, None, promotion=held)
    if not lacking(facts):
        message = _("The glass is broken: no approval is waited for.")
        transition(held, PromotionStatus.APPROVED, by=by, message=message)


def may_review(user: User, task: ReviewTask) -> list[Refusal]:
    """Return why the person may not close the review: an approver who had no part in it may."""
    stage, promotion = task.promotion.stage, task.promotion
    involved = {task.person_id, promotion.requested_by_id}
    others = [person_name(each) for each in holders(Role.APPROVER, stage) if each.pk not in involved]
    fix = ", ".join(others) or _("an administrator, by granting the role")
    words = {"actor": person_name(user), "stage": stage}
    if not holds(user, Role.APPROVER, stage):
        return [Refusal("role", _("%(actor)s is not an approver of %(stage)s.") % words, fix)]
    if user.pk in involved:
        sentence = _("Who broke the glass or asked for the promotion can't review it.")
        return [Refusal("four-eyes", sentence, fix)]
    return []


def close_review(task: ReviewTask, *, by: User, comment: str) -> None:
    """Close the review with what was found. Raises Refused and StaleState."""
    if refused := may_review(by, task):
        raise Refused(refused)
    said = comment.strip()
    if not said:
        raise Refused([_yours("comment", _("Say what the review found."))])
    with transaction.atomic():
        open_one = ReviewTask.objects.open().filter(pk=task.pk)
        values = {"closed_at": timezone.now(), "closed_by": by, "closed_by_name": person_name(by)}
        if not open_one.update(**values, comment=said):
            raise StaleState(_("The review was closed already."))
        record(
            "review.closed",
            subject=task.promotion,
            by=by,
            promotion=task.promotion,
            comment=said,
            review=task.pk,
        )
        announce_promotion(task.promotion)
