"""Gather the facts the gates look at, from our own tables only: asking is cheap and has no effect."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser, User
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from promotions.choices import PromotionStatus, Role
from promotions.models import ImageVersion, Promotion, Stage, StageState
from promotions.policy.access import Visitor, holders, holds
from promotions.policy.gates import Facts, OpenPromotion
from promotions.workflow import person_name


def gather(
    stage: Stage,
    version: ImageVersion,
    actor: Visitor | None,
    *,
    promotion: Promotion | None = None,
    change_problem: str = "",
    change_is_empty: bool = False,
) -> Facts:
    """Return the facts about `actor` (None: Slipway) bringing `version` to `stage`."""
    visitor: Visitor = actor or AnonymousUser()
    user = visitor if isinstance(visitor, User) else None
    approvers = tuple(person_name(person) for person in holders(Role.APPROVER, stage))
    return Facts(
        stage=str(stage),
        version=version.label,
        actor=person_name(user) if user else _("An anonymous visitor"),
        actor_is_developer=holds(visitor, Role.DEVELOPER, stage),
        actor_is_approver=holds(visitor, Role.APPROVER, stage),
        actor_is_requester=bool(user and promotion and promotion.requested_by_id == user.pk),
        actor_has_decided=_has_decided(user, promotion),
        approvers=approvers,
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
        approved_by=_approved_by(stage, promotion),
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


def _approved_by(stage: Stage, promotion: Promotion | None) -> tuple[str, ...]:
    """Count an approval only while its person still holds the role (design.md section 7)."""
    if promotion is None:
        return ()
    return tuple(
        approval.person_name
        for approval in promotion.standing_approvals()
        if approval.person is not None and holds(approval.person, Role.APPROVER, stage)
    )
