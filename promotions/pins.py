"""Pins: a person keeps a Stage at a version, and automatic promotion leaves it alone until it is lifted."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from promotions.choices import EditStyle, PromotionKind, PromotionStatus, Role
from promotions.models import ImageVersion, Pin, Promotion, Stage
from promotions.policy import Refusal, Refused
from promotions.policy.access import holders, holds, is_system
from promotions.policy.ordering import Build, Ordering
from promotions.workflow import StaleState, announce_stage, person_name, record


def ordering_of(stage: Stage) -> Ordering:
    """Return how versions are ordered for a Stage: by its own rule, else by its image's."""
    is_chart = stage.edit_style == EditStyle.APP_VERSION
    return Ordering.of(stage.newest or stage.image.newest, chart=is_chart)


def build_of(stage: Stage, version: ImageVersion) -> Build:
    """Return a version as the ordering sees it: by the tag that would be written, where one is.

    A tag that has moved on to another build names this one no more (reference tag-ordering.md rule 10).
    """
    tags = tuple(version.tags)
    if stage.edit_style != EditStyle.DIGEST:
        tags = (version.tag,) if version.tag in version.tags else ()
    if stage.edit_style in (EditStyle.TAG, EditStyle.APP_VERSION) and version.is_mutable:
        tags = ()
    return Build(version.pk, tags, version.created_at)


def standing(stage: Stage) -> Pin | None:
    """Return the pin that holds now."""
    return Pin.objects.filter(stage=stage, lifted_at=None).select_related("version").first()


def may_pin(user: User, stage: Stage) -> list[Refusal]:
    """Return why the person may not pin or unpin; empty when they may."""
    if not stage.promotes_automatically:
        message = _("Nothing is promoted to %(stage)s automatically, so there is nothing to hold.")
        return [Refusal("automation", message % {"stage": stage}, _("whoever keeps the catalogue"))]
    if holds(user, Role.DEVELOPER, stage):
        return []
    people = ", ".join(person_name(person) for person in holders(Role.DEVELOPER, stage))
    message = _("%(actor)s is not a developer of %(stage)s.")
    words = {"actor": person_name(user), "stage": stage}
    return [Refusal("role", message % words, people or _("an administrator"))]


def pin(stage: Stage, version: ImageVersion, *, by: User, reason: str) -> Pin:
    """Keep the Stage at a version: nothing is promoted there automatically. What has begun goes on, and
    so does what somebody approved; what Slipway asked for alone is withdrawn.

    Raises Refused, and StaleState when it is pinned already.
    """
    if refused := may_pin(by, stage):
        raise Refused(refused)
    if version.image_id != stage.image_id:
        message = _("%(version)s is no version of the image that %(stage)s runs.")
        words = {"version": version.label, "stage": stage}
        raise Refused([Refusal("image", message % words, _("a developer, with another version"))])
    try:
        return _set(stage, version, by=by, by_name=person_name(by), reason=reason.strip())
    except IntegrityError as error:
        raise StaleState(_("%(stage)s is pinned already.") % {"stage": stage}) from error


def unpin(stage: Stage, *, by: User, reason: str) -> None:
    """Let automatic promotion go on. Raises Refused, and StaleState when nothing is pinned."""
    if refused := may_pin(by, stage):
        raise Refused(refused)
    held = standing(stage)
    if held is None:
        raise StaleState(_("%(stage)s is not pinned.") % {"stage": stage})
    with transaction.atomic():
        lifted = Pin.objects.filter(pk=held.pk, lifted_at=None)
        if not lifted.update(lifted_at=timezone.now(), lifted_by_name=person_name(by)):
            raise StaleState(_("The pin was lifted already."))
        record("pin.lifted", subject=stage, by=by, reason=reason.strip(), version=held.version.label)
        announce_stage(stage)


def _set(
    stage: Stage,
    version: ImageVersion,
    *,
    by: User | None,
    by_name: str,
    reason: str,
    promotion: Promotion | None = None,
) -> Pin:
    with transaction.atomic():
        # A request of Slipway's at the same moment sees the pin, or is seen by whoever sets it.
        Stage.objects.select_for_update(no_key=True).get(pk=stage.pk)
        made = Pin.objects.create(
            stage=stage,
            version=version,
            reason=reason or "–",
            set_by=by,
            set_by_name=by_name,
            promotion=promotion,
        )
        record("pin.set", subject=stage, by=by, promotion=promotion, reason=reason, version=version.label)
        announce_stage(stage)
    return made


def last_in_git(stage: Stage) -> Promotion | None:
    """Return the promotion whose change reached the manifest branch last, however it ended."""
    reached = Q(status=PromotionStatus.SUCCEEDED) | ~Q(target_commit="")
    found = stage.promotions.filter(reached).select_related("version", "from_version", "requested_by")
    return found.order_by("-status_at", "-pk").first()


def keep_roll_back(stage: Stage) -> Pin | None:
    """Pin what a person went back to, once: automatic promotion must not undo it.

    It is read from what reached Git last, so that no way of rolling back can forget to say it. A pin that
    was lifted is not set again for the same promotion.
    """
    last = last_in_git(stage)
    if last is None or not _goes_back(stage, last):
        return None
    # What Slipway took back by itself stays back, too, until somebody lifts the pin.
    if not is_by_person(last) and last.kind != PromotionKind.ROLLBACK:
        return None
    if Pin.objects.filter(Q(promotion=last) | Q(stage=stage, lifted_at=None)).exists():
        return None
    try:
        return _set(
            stage,
            last.version,
            by=last.requested_by,
            by_name=last.requested_by_name,
            reason=_("Rolled back with promotion #%(number)d: %(reason)s")
            % {"number": last.pk, "reason": last.reason or "–"},
            promotion=last,
        )
    except IntegrityError:  # another worker was first
        return None


def is_by_person(promotion: Promotion) -> bool:
    if promotion.requested_by is None:
        # The account may be gone; the name stays.
        return promotion.requested_by_name != person_name(None)
    return not is_system(promotion.requested_by)


def _goes_back(stage: Stage, promotion: Promotion) -> bool:
    if promotion.kind == PromotionKind.ROLLBACK:
        return True
    before = promotion.from_version
    if before is None:
        return False
    return ordering_of(stage).compare(build_of(stage, promotion.version), build_of(stage, before)) == -1
