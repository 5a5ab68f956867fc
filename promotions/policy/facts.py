"""Gather the facts the gates look at, from our own tables only: asking is cheap and has no effect."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from django.contrib.auth.models import AnonymousUser, User
from django.utils.formats import date_format
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _

from promotions.choices import PromotionKind, PromotionStatus, Role
from promotions.models import ImageVersion, Promotion, Stage, StageState
from promotions.policy import gathering, releases
from promotions.policy.access import Visitor, holders, holds
from promotions.policy.looking import moment, once_a_look, one_look
from promotions.policy.rules import Rules
from promotions.policy.terms import Facts, OpenPromotion
from promotions.workflow import person_name


@one_look()
def gather(
    stage: Stage,
    version: ImageVersion,
    actor: Visitor | None,
    *,
    promotion: Promotion | None = None,
    change_problem: str = "",
    change_is_empty: bool = False,
    at: datetime | None = None,
    rolling_back: bool = False,
    breaking: frozenset[str] = frozenset(),
) -> Facts:
    """Return the facts about `actor` (None: Slipway) bringing `version` to `stage`, at a moment (now).

    `rolling_back` and `breaking` (the gates that glass would be broken for) speak of one that is not
    requested yet.
    """
    visitor: Visitor = actor or AnonymousUser()
    user = visitor if isinstance(visitor, User) else None
    rules, now = rules_for(stage, version, promotion, rolling_back=rolling_back), at or moment()
    authors = gathering.authors(stage, version, promotion) if rules.bar_authors else None
    standing = gathering.approvals(stage, promotion, rules, authors, now)
    freezes = gathering.freezes(stage, rules, now)
    return Facts(
        stage=str(stage),
        version=version.label,
        actor=person_name(user) if user else _("An anonymous visitor"),
        actor_is_developer=holds(visitor, Role.DEVELOPER, stage),
        actor_is_approver=holds(visitor, Role.APPROVER, stage),
        actor_is_requester=bool(user and promotion and promotion.requested_by_id == user.pk),
        actor_has_decided=_has_decided(user, promotion, standing),
        approvers=_approvers(stage),
        stage_is_promotable=stage.promotable,
        stage_image=stage.image.repository,
        version_image=version.image.repository,
        version_missing_since=_missing_since(version),
        already_there=_already_there(stage, version),
        others_open=_others_open(stage, promotion),
        change_problem=change_problem,
        change_is_empty=change_is_empty,
        required_approvals=approvals_needed(stage, rules),
        approved_by=tuple(approval.person_name for approval in standing.counting),
        approved_keys=tuple(standing.keys),
        now=now,
        locks=gathering.locks(stage),
        freezes=freezes,
        freeze_is_excepted=bool(freezes) and gathering.is_excepted(stage, promotion),
        block=gathering.block(version),
        ran_here_before=bool(rules.requires) and gathering.ran_here_before(stage, version, promotion),
        upstream=gathering.upstream(stage, version, rules),
        soak=rules.soak,
        verification_needed=rules.verified_upstream,
        seats=gathering.seats(stage, rules),
        expired=tuple(approval.person_name for approval in standing.expired),
        actor_is_author=bool(user and authors and authors.wrote(user)),
        authors_are_barred=rules.bar_authors,
        authors_known=authors is None or authors.is_known,
        evidence=gathering.evidence(stage, version, rules),
        checks=gathering.checks(promotion, rules),
        release=releases.turn_of(promotion, now) if promotion and promotion.release_id else None,
        # What Slipway takes back by itself has its own manners (retreat.py).
        held_back="" if rolling_back else gathering.held_back(stage, visitor),
        schedule=gathering.schedule(promotion),
        skipped=_skipped(stage, promotion, rules, breaking),
    )


def _approvers(stage: Stage) -> tuple[str, ...]:
    """Return who may approve. They are looked up when a refusal names them: most gates are open."""
    found = SimpleLazyObject(lambda: tuple(person_name(each) for each in holders(Role.APPROVER, stage)))
    return cast("tuple[str, ...]", found)


def _missing_since(version: ImageVersion) -> str:
    return date_format(version.missing_since, "DATETIME_FORMAT") if version.missing_since else ""


def _skipped(
    stage: Stage, promotion: Promotion | None, rules: Rules, breaking: frozenset[str]
) -> frozenset[str]:
    """Return the gates that this one passes unasked."""
    broken = gathering.broken_glass(stage, promotion, rules)
    return rules.skipped | broken | (breaking & rules.break_glass.gates)


def rules_for(
    stage: Stage, version: ImageVersion, promotion: Promotion | None = None, *, rolling_back: bool = False
) -> Rules:
    """Return the Environment's rules, eased where a roll-back brings back what has proved itself here."""
    rules = Rules.of(stage.environment.policy)
    if promotion is not None:
        rolling_back = promotion.kind == PromotionKind.ROLLBACK
    if rolling_back and gathering.proven_here(stage, version, promotion):
        return rules.for_rollback()
    return rules


def approvals_needed(stage: Stage, rules: Rules) -> int:
    """Return how many people must approve in all."""
    own = rules.required_approvals
    return stage.environment.required_approvals if own is None else own


def _has_decided(user: User | None, promotion: Promotion | None, standing: gathering.Standing) -> bool:
    """An approval that has grown too old falls when its person decides again."""
    if user is None or promotion is None:
        return False
    old = [approval.pk for approval in standing.expired]
    return promotion.approvals.filter(person=user, fallen_at=None).exclude(pk__in=old).exists()


@once_a_look
def _already_there(stage: Stage, version: ImageVersion) -> bool:
    state = StageState.objects.filter(stage=stage).first()
    return bool(state and state.desired_version_id == version.pk and state.running_version_id == version.pk)


@once_a_look
def _others_open(stage: Stage, promotion: Promotion | None) -> tuple[OpenPromotion, ...]:
    others = stage.promotions.open().select_related("version__image")
    if promotion is not None:
        others = others.exclude(pk=promotion.pk)
    return tuple(
        OpenPromotion(
            number=other.pk,
            label=other.version.label,
            status=other.status,
            requested_by=other.requested_by_name,
            is_running=other.status == PromotionStatus.RUNNING and not other.waits_in_line,
        )
        for other in others
    )
