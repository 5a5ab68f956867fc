"""What this visitor may do, and why not: the only part of a page that depends on who looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils.translation import gettext as _

from promotions import emergency, governing, operations
from promotions.choices import PromotionStatus
from promotions.models import Application, ImageVersion, Promotion, Stage
from promotions.policy import Act, Facts, Refusal, gather, refusals, stopping
from promotions.policy.rules import Rules
from promotions.present.commits import Contents, contents
from promotions.present.matrix import stages, state_of
from promotions.steps.guard import act_of

_CANDIDATES = 3


@dataclass(frozen=True, slots=True)
class Action:
    """A button. With refusals it is disabled and they stand beside it, or beside the button `told_with`,
    which is refused for the same reasons.

    `waits_for` does not disable it. `posts` at once, else it leads to a page that asks for confirmation.
    `tone` is main, danger or "".
    """

    name: str
    text: str
    url: str
    posts: bool = False
    tone: str = ""
    refusals: tuple[Refusal, ...] = ()
    waits_for: tuple[Refusal, ...] = ()
    told_with: str = ""


def tell_once(actions: Sequence[Action]) -> list[Action]:
    """Let the last of those that are refused for the same reasons tell them, below all of them."""
    teller = {action.refusals: action.name for action in actions if action.refusals}
    found = []
    for action in actions:
        name = teller.get(action.refusals, action.name)
        found.append(replace(action, told_with="" if name == action.name else name))
    return found


@dataclass(frozen=True, slots=True)
class Candidate:
    """`prefix` makes the ids of its parts unique on the page."""

    prefix: str
    version: ImageVersion
    action: Action
    contents: Contents


@dataclass(frozen=True, slots=True)
class Candidates:
    """What could be promoted to one Stage now, newest first."""

    stage_id: int
    refresh_url: str
    refresh_with: str
    rows: tuple[Candidate, ...]
    is_promotable: bool
    running: str


def of_promotion(promotion: Promotion, user: User) -> list[Action]:
    """Return the buttons under a promotion, in the order of their weight."""
    actions = _of_one(promotion, user)
    if promotion.release is None:
        return tell_once(actions)
    # It is decided, stopped and tried again as a whole.
    text = _("Go to %(release)s …") % {"release": promotion.release.name}
    whole = Action("release", text, promotion.release.get_absolute_url(), tone="main")
    return tell_once([whole, *(action for action in actions if action.name not in _OF_THE_WHOLE)])


_OF_THE_WHOLE = ("approve", "reject", "retry", "abort", "except")


def _of_one(promotion: Promotion, user: User) -> list[Action]:
    facts = gather(promotion.stage, promotion.version, user, promotion=promotion)
    actions: list[Action] = []
    if promotion.status == PromotionStatus.REQUESTED:
        actions += _decisions(promotion, facts)
    if promotion.is_open and facts.freezes and not facts.freeze_is_excepted:
        url = reverse("promotion-freeze-exception", args=[promotion.pk])
        why = tuple(governing.may_except(user, promotion))
        actions.append(Action("except", _("Let it go during the freeze …"), url, refusals=why))
    if _can_break_glass(promotion, facts, user):
        url = reverse("promotion-break-glass", args=[promotion.pk])
        actions.append(Action("break-glass", _("Break the glass …"), url, tone="danger"))
    if promotion.is_retryable:
        url = reverse("promotion-retry", args=[promotion.pk])
        why = tuple(_role(facts) + operations.hopeless(promotion, facts) + _another_is_open(promotion, facts))
        actions.append(Action("retry", _("Try again"), url, posts=True, tone="main", refusals=why))
    actions += _way_back(promotion, facts)
    if promotion.is_open:
        url = reverse("promotion-abort", args=[promotion.pk])
        actions.append(Action("abort", _("Abort …"), url, tone="danger", refusals=tuple(_role(facts))))
    return actions


def _way_back(promotion: Promotion, facts: Facts) -> list[Action]:
    if not _can_be_rolled_back(promotion):
        return []
    url = reverse("promotion-roll-back", args=[promotion.pk])
    why = tuple(_role(facts) + _running_now(facts))
    return [Action("roll-back", _roll_back_text(promotion), url, tone="danger", refusals=why)]


def _decisions(promotion: Promotion, facts: Facts) -> list[Action]:
    why = tuple(refusals(Act.APPROVE, facts))
    approve = reverse("promotion-approve", args=[promotion.pk])
    reject = reverse("promotion-reject", args=[promotion.pk])
    return [
        Action("approve", _("Approve …"), approve, tone="main", refusals=why),
        Action("reject", _("Reject …"), reject, tone="danger", refusals=why),
    ]


def _role(facts: Facts) -> list[Refusal]:
    return [refusal for refusal in refusals(Act.REQUEST, facts) if refusal.gate == "role"]


def _running_now(facts: Facts) -> list[Refusal]:
    return [refusal for refusal in refusals(Act.REQUEST, facts) if refusal.gate == "in-progress"]


def _another_is_open(promotion: Promotion, facts: Facts) -> list[Refusal]:
    return [
        Refusal(
            "in-progress",
            _("Promotion #%(number)d to this stage is open.") % {"number": other.number},
            other.requested_by,
        )
        for other in facts.others_open
        if other.number != promotion.pk
    ]


def _can_break_glass(promotion: Promotion, facts: Facts, user: User) -> bool:
    """An emergency's way is shown only to whom it is open, and only where it would help."""
    if not (promotion.is_open or promotion.is_retryable):
        return False
    covered = Rules.of(promotion.stage.environment.policy).break_glass.gates
    in_the_way = {refusal.gate for refusal in refusals(act_of(promotion), facts)}
    return bool(in_the_way & covered) and not emergency.may(user, promotion.stage)


def _can_be_rolled_back(promotion: Promotion) -> bool:
    """Only what reached Git can be taken back."""
    return bool(
        not promotion.is_open
        and (promotion.written_commit or promotion.target_commit)
        and operations.rollback_target(promotion)
    )


def _roll_back_text(promotion: Promotion) -> str:
    target = operations.rollback_target(promotion)
    return _("Roll back to %(version)s …") % {"version": target.label if target else ""}


def candidates(application: Application, user: User) -> dict[int, Candidates]:
    """Return for each Stage what could be promoted to it, as far as this person is concerned."""
    found = stages().filter(application=application).prefetch_related("image__versions")
    return {stage.pk: of_stage(stage, user) for stage in found}


def of_stage(stage: Stage, user: User) -> Candidates:
    state = state_of(stage)
    running = state.running_version if state else None
    versions = _newer(stage, running) if stage.promotable else []
    rows = [
        Candidate(
            f"-{stage.pk}-{version.pk}-",
            version,
            _promote(stage, version, user),
            contents(stage.application, running, version),
        )
        for version in versions
    ]
    return Candidates(
        stage.pk,
        reverse("candidates", args=[stage.application.slug, stage.environment.slug]),
        f"stage-{stage.pk} versions-{stage.application_id}",
        tuple(rows),
        stage.promotable,
        running.label if running else "",
    )


def _newer(stage: Stage, running: ImageVersion | None) -> list[ImageVersion]:
    found = ImageVersion.objects.filter(image=stage.image_id).select_related("image")
    if running is not None and running.image_id == stage.image_id:
        found = found.filter(created_at__gte=running.created_at).exclude(pk=running.pk)
    return list(found[:_CANDIDATES])


def _promote(stage: Stage, version: ImageVersion, user: User) -> Action:
    url = reverse("promote", args=[stage.application.slug, stage.environment.slug, version.pk])
    found = refusals(Act.REQUEST, gather(stage, version, user))
    why = tuple(stopping(found))
    later = tuple(refusal for refusal in found if refusal not in why)
    text = _("Promote %(version)s …") % {"version": version.label}
    return Action("promote", text, url, False, "main", why, later)
