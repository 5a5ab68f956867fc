"""Gather the facts the gates look at, from our own tables only: asking is cheap and has no effect."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import AnonymousUser, User
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from promotions.choices import PromotionStatus, Role
from promotions.models import ImageVersion, Promotion, Stage, StageState
from promotions.policy import gathering
from promotions.policy.access import Visitor, holders, holds
from promotions.policy.rules import Rules
from promotions.policy.terms import Facts, OpenPromotion
from promotions.workflow import person_name


def gather(
    stage: Stage,
    version: ImageVersion,
    actor: Visitor | None,
    *,
    promotion: Promotion | None = None,
    change_problem: str = "",
    change_is_empty: bool = False,
    at: datetime | None = None,
) -> Facts:
    """Return the facts about `actor` (None: Slipway) bringing `version` to `stage`, at a moment (now)."""
    visitor: Visitor = actor or AnonymousUser()
    user = visitor if isinstance(visitor, User) else None
    people = list(holders(Role.APPROVER, stage))
    rules, now = Rules.of(stage.environment.policy), at or timezone.now()
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
        actor_has_decided=_has_decided(user, promotion),
        approvers=tuple(person_name(person) for person in people),
        stage_is_promotable=stage.promotable,
        stage_image=stage.image.repository,
        version_image=version.image.repository,
        version_missing_since=date_format(version.missing_since, "DATETIME_FORMAT")
        if version.missing_since
        else "",
        already_there=_already_there(stage, version),
        others_open=_others_open(stage, promotion),
        change_problem=change_problem,
        change_is_empty=change_is_empty,
        required_approvals=stage.environment.required_approvals,
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
        seats=gathering.seats(stage, rules, people),
        expired=tuple(approval.person_name for approval in standing.expired),
        actor_is_author=bool(user and authors and authors.wrote(user)),
        authors_are_barred=rules.bar_authors,
        authors_known=authors is None or authors.is_known,
        evidence=gathering.evidence(stage, version, rules),
        checks=gathering.checks(promotion, rules),
        held_back=gathering.held_back(stage, visitor),
        schedule=gathering.schedule(promotion),
    )


def _has_decided(user: User | None, promotion: Promotion | None) -> bool:
    if user is None or promotion is None:
        return False
    return promotion.approvals.filter(person=user, fallen_at=None).exists()


def _already_there(stage: Stage, version: ImageVersion) -> bool:
    state = StageState.objects.filter(stage=stage).first()
    return bool(state and state.desired_version_id == version.pk and state.running_version_id == version.pk)


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
