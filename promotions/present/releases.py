"""Releases as people see them: how far the whole is, and each promotion in its wave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils.translation import gettext as _

from promotions import governing, releases
from promotions.choices import PromotionStatus, Role
from promotions.models import ImageVersion, Promotion, Release, Stage
from promotions.policy import Act, Refusal, gather, refusals
from promotions.policy.access import holds, visible_applications
from promotions.present.actions import Action, tell_once
from promotions.present.diff import DiffFile, parse_diff
from promotions.present.marks import Mark, promotion_mark
from promotions.present.matrix import stages, state_of
from promotions.present.promotions import PromotionRow, promotion_row
from promotions.steps.guard import act_of

Status = PromotionStatus
_CHOICES = 15
# The worst of those that have ended is what people must hear of first.
_WORST = (Status.ERRORED, Status.FAILED, Status.REJECTED, Status.ABORTED, Status.SUPERSEDED)


@dataclass(frozen=True, slots=True)
class Member:
    """One promotion of a Release, the same for everybody who may see it."""

    promotion: Promotion
    row: PromotionRow
    gates: list[Refusal]
    approvals: str


@dataclass(frozen=True, slots=True)
class Wave:
    number: int
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    release: Release
    mark: Mark
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class ReleasePage:
    row: ReleaseRow
    waves: tuple[Wave, ...]
    files: list[DiffFile]
    change_hash: str
    actions: tuple[Action, ...]
    refresh_with: str


def member(key: str) -> Member | None:
    """Return one promotion as its Release shows it, None when it is gone or goes alone."""
    found = Promotion.objects.for_pages().select_related("stage__image").filter(pk=key).first()
    return _member(found) if found is not None and found.release is not None else None


def _member(promotion: Promotion) -> Member:
    gates: list[Refusal] = []
    if promotion.is_open:
        facts = gather(promotion.stage, promotion.version, None, promotion=promotion)
        gates = refusals(act_of(promotion), facts)
    asked = promotion.stage.environment.required_approvals
    told = f"{len(promotion.standing_approvals())} / {asked}" if asked else ""
    return Member(promotion, promotion_row(promotion), gates, told)


def visible_releases(user: User) -> list[Release]:
    """Return the Releases of which the person may see every part, newest first."""
    hidden = Promotion.objects.exclude(stage__application__in=visible_applications(user))
    return list(
        Release.objects.exclude(promotions__in=hidden).prefetch_related(
            "promotions__stage__application", "promotions__stage__environment"
        )
    )


def row(release: Release) -> ReleaseRow:
    members = list(release.promotions.all())
    done = sum(each.status == Status.SUCCEEDED for each in members)
    return ReleaseRow(release, _mark(members), done, len(members))


def _mark(members: Sequence[Promotion]) -> Mark:
    statuses = {Status(each.status) for each in members}
    ended_badly = [status for status in _WORST if status in statuses]
    is_open = any(each.is_open for each in members)
    if ended_badly and is_open:
        return Mark("bad", "stop", _("stopped"))
    if ended_badly:
        return promotion_mark(ended_badly[0])
    if not is_open:
        return promotion_mark(Status.SUCCEEDED)
    if statuses & {Status.RUNNING, Status.SUCCEEDED}:
        return promotion_mark(Status.RUNNING)
    return promotion_mark(Status.REQUESTED if Status.REQUESTED in statuses else Status.APPROVED)


def page(release: Release, user: User) -> ReleasePage:
    members = [_member(each) for each in release.promotions.for_pages().order_by("wave", "pk")]
    waves = tuple(
        Wave(number, tuple(group)) for number, group in groupby(members, lambda each: each.promotion.wave)
    )
    diff = "".join(each.promotion.diff for each in members)
    return ReleasePage(
        row(release),
        waves,
        parse_diff(diff),
        release.change_hash,
        tuple(actions(release, [each.promotion for each in members], user)),
        " ".join(f"member-{each.promotion.pk}" for each in members),
    )


def actions(release: Release, members: Sequence[Promotion], user: User) -> list[Action]:
    """Return the buttons under a Release."""
    found: list[Action] = []
    waiting = [each for each in members if each.status == Status.REQUESTED]
    if waiting:
        why = _why_not(waiting, user)
        found += [
            Action("approve", _("Approve …"), _url(release, "approve"), tone="main", refusals=why),
            Action("reject", _("Reject …"), _url(release, "reject"), tone="danger", refusals=why),
        ]
    frozen = [each for each in members if each.is_open and releases.is_frozen(each)]
    if frozen:
        why = tuple(dict.fromkeys(why for each in frozen for why in governing.may_except(user, each)))
        url = _url(release, "freeze-exception")
        found.append(Action("except", _("Let it go during the freeze …"), url, refusals=why))
    role = _role(members, user)
    if any(each.is_retryable for each in members):
        found.append(
            Action("retry", _("Try again"), _url(release, "retry"), posts=True, tone="main", refusals=role)
        )
    is_open = any(each.is_open for each in members)
    if not is_open and releases.way_back(release):
        found.append(
            Action("roll-back", _("Roll back …"), _url(release, "roll-back"), tone="danger", refusals=role)
        )
    if is_open:
        found.append(Action("abort", _("Abort …"), _url(release, "abort"), tone="danger", refusals=role))
    return tell_once(found)


def _url(release: Release, act: str) -> str:
    return reverse(f"release-{act}", args=[release.pk])


def _why_not(waiting: Sequence[Promotion], user: User) -> tuple[Refusal, ...]:
    """Whoever may decide about one part may decide; otherwise each part says why not."""
    found: list[Refusal] = []
    for each in waiting:
        why = refusals(Act.APPROVE, gather(each.stage, each.version, user, promotion=each))
        if not why:
            return ()
        found += [refusal for refusal in why if refusal not in found]
    return tuple(found)


def _role(members: Sequence[Promotion], user: User) -> tuple[Refusal, ...]:
    for each in members:
        if not holds(user, Role.DEVELOPER, each.stage):
            facts = gather(each.stage, each.version, user, promotion=each)
            return tuple(why for why in refusals(Act.REQUEST, facts) if why.gate == "role")
    return ()


@dataclass(frozen=True, slots=True)
class Choice:
    """One Stage that could be part of a new Release. `chosen` is a version's id; "" takes nothing."""

    stage: Stage
    running: ImageVersion | None
    versions: tuple[ImageVersion, ...]
    chosen: str
    wave: int
    upstream: str


def choices(user: User, environment: str, said: dict[str, str]) -> list[Choice]:
    """Return the Stages a person may promote to, each with its versions; what was said before stays.

    Where nothing was said, the version that runs in the Environment before is chosen, if it is another.
    """
    found = stages().filter(application__in=visible_applications(user), promotable=True)
    if environment:
        found = found.filter(environment__slug=environment)
    rows = []
    for stage in found.order_by("environment__order", "application__name"):
        if not holds(user, Role.DEVELOPER, stage):
            continue
        state = state_of(stage)
        running = state.running_version if state else None
        versions = tuple(
            stage.image.versions.exclude(blocks__lifted_at=None, blocks__isnull=False)[:_CHOICES]
        )
        before = _before(stage)
        proposed = before[1] if before and before[1] != running and before[1] in versions else None
        default = str(proposed.pk) if proposed and not said else ""
        rows.append(
            Choice(
                stage,
                running,
                versions,
                said.get(f"stage-{stage.pk}", default),
                _wave(said.get(f"wave-{stage.pk}", "")),
                f"{before[0]}: {before[1].label}" if before else "",
            )
        )
    return rows


def _wave(text: str) -> int:
    return int(text) if text.isdecimal() and 1 <= int(text) <= 9 else 1


def _before(stage: Stage) -> tuple[str, ImageVersion] | None:
    """Return what runs in the same application one Environment before."""
    others = stages().filter(
        application=stage.application_id,
        image=stage.image_id,
        environment__order__lt=stage.environment.order,
    )
    for other in others.order_by("-environment__order"):
        state = state_of(other)
        if state and state.running_version:
            return other.environment.name, state.running_version
    return None


@dataclass(frozen=True, slots=True)
class WishedPart:
    """One commit of a Release that is still to be asked for or approved, with its difference."""

    part: releases.Part
    files: list[DiffFile]


def wished_parts(parts: Sequence[releases.Part]) -> list[WishedPart]:
    return [WishedPart(part, parse_diff(part.diff)) for part in parts]


def running_label(stage: Stage) -> str:
    state = state_of(stage)
    return state.running_version.label if state and state.running_version else ""
