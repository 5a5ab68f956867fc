"""The parts of the facts that locks, calendars, upstream Stages, people and outside checks tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Q
from django.utils.translation import gettext as _

from promotions.choices import AutomaticState, CheckState, EditStyle, PromotionKind, PromotionStatus, Role
from promotions.models import (
    Approval,
    AutomaticRollback,
    BreakGlass,
    Comparison,
    FreezeException,
    FreezePeriod,
    FreezeWindow,
    ImageVersion,
    Lock,
    Pin,
    Promotion,
    Residence,
    Schedule,
    Stage,
    StageState,
)
from promotions.policy.access import Visitor, holders, holds, is_system, keepers
from promotions.policy.looking import once_a_look
from promotions.policy.rules import PREVIOUS, Rules
from promotions.policy.terms import (
    BlockFact,
    CheckFact,
    Evidence,
    FreezeFact,
    LockFact,
    ScheduleFact,
    Seat,
    UpstreamFact,
)
from promotions.policy.windows import BadRule, Once, Recurring, Window, length, next_open
from promotions.workflow import person_name


@once_a_look
def locks(stage: Stage) -> tuple[LockFact, ...]:
    # Nearly always there is none: what a join would cost is paid for nothing.
    found = Lock.objects.covering(stage)
    return tuple(
        LockFact(
            place(lock),
            lock.reason,
            lock.set_by_name,
            lock.set_at,
            tuple(person_name(person) for person in keepers(lock.application, lock.environment)),
            is_everything=lock.application is None and lock.environment is None,
        )
        for lock in found
    )


def place(lock: Lock) -> str:
    """Return what a lock closes, as people say it."""
    if lock.application and lock.environment:
        return f"{lock.application} / {lock.environment}"
    if lock.application:
        return _("%(application)s everywhere") % {"application": lock.application}
    if lock.environment:
        return _("%(environment)s for all applications") % {"environment": lock.environment}
    return _("everything")


@once_a_look
def windows(stage: Stage, rules: Rules) -> list[tuple[str, Window]]:
    """Return the calendar rules that speak of a Stage, each with its name."""
    found: list[tuple[str, Window]] = [
        (rule.reason or rule.slug, window_of(rule)) for rule in _freeze_windows() if rule.covers(stage)
    ]
    if rules.gitlab_freezes:
        found += [
            (
                _("GitLab's freeze of %(project)s") % {"project": period.project},
                Recurring(period.starts, period.time_zone, ends=period.ends),
            )
            for period in _periods(stage)
        ]
    return found


@once_a_look
def _freeze_windows() -> list[FreezeWindow]:
    return list(FreezeWindow.objects.all())


def window_of(rule: FreezeWindow) -> Window:
    if rule.begins_at:
        return Once(rule.begins_at, rule.ends_at, rule.time_zone)
    return Recurring(rule.starts, rule.time_zone, ends=rule.ends, lasts=length(f"{rule.lasts}m"))


@once_a_look
def _periods(stage: Stage) -> list[FreezePeriod]:
    application = stage.application
    return list(
        FreezePeriod.objects.filter(
            Q(connection=application.source_connection_id, project=application.source_project)
            | Q(connection=stage.manifest_connection_id, project=stage.manifest_project)
        )
    )


@once_a_look
def freezes(stage: Stage, rules: Rules, at: datetime) -> tuple[FreezeFact, ...]:
    """Return what holds at the moment. A rule that can't be read freezes: better too much than too little."""
    every = windows(stage, rules)
    holding, readable = [], []
    for name, window in every:
        try:
            if window.frozen_until(at) is not None:
                holding.append(name)
            readable.append(window)
        except BadRule as error:
            holding.append(_("%(name)s (can't be read: %(problem)s)") % {"name": name, "problem": error})
    opens = next_open(readable, at) if holding and len(readable) == len(every) else None
    return tuple(FreezeFact(name, opens) for name in holding)


@once_a_look
def is_excepted(stage: Stage, promotion: Promotion | None) -> bool:
    """An exception counts for the change it was given for, while its giver holds the role."""
    if promotion is None:
        return False
    given = FreezeException.objects.filter(promotion=promotion, change_hash=promotion.change_hash).first()
    return bool(given and given.person and holds(given.person, Role.APPROVER, stage))


@once_a_look
def block(version: ImageVersion) -> BlockFact | None:
    found = version.blocks.filter(lifted_at=None).first()
    return BlockFact(found.reason, found.set_by_name, found.set_at) if found else None


@once_a_look
def ran_here_before(stage: Stage, version: ImageVersion, promotion: Promotion | None) -> bool:
    """What went through the order once may come back: a roll-back must not wait for a soak.

    It counts that a promotion brought it here, or took its place; not that it was seen here, for a hand
    edit of the manifests would then lead past the order.
    """
    known = Q(version=version, status=PromotionStatus.SUCCEEDED) | Q(from_version=version)
    before = Promotion.objects.filter(known, stage=stage)
    if promotion is not None:
        before = before.exclude(pk=promotion.pk)
    return before.exists()


@once_a_look
def proven_here(stage: Stage, version: ImageVersion, promotion: Promotion | None) -> bool:
    """Only what has proved itself here comes back by the easier rules for roll-backs.

    It was promoted here with success that lasted; or it was here before Slipway, and one that was
    promoted replaced it. One that failed here, or was only seen here, has proved nothing.
    """
    others = stage.promotions.exclude(pk=promotion.pk) if promotion else stage.promotions.all()
    own = others.filter(version=version)
    if (last := own.filter(status=PromotionStatus.SUCCEEDED).first()) is not None:
        return not AutomaticRollback.objects.filter(promotion=last, state=AutomaticState.REQUESTED).exists()
    replaced = others.filter(from_version=version).exclude(target_commit="")
    return replaced.exists() and not own.exclude(written_commit="", target_commit="").exists()


@once_a_look
def broken_glass(stage: Stage, promotion: Promotion | None, rules: Rules) -> frozenset[str]:
    """Return the gates that broken glass lets the promotion pass.

    It counts for the change it was broken for, while its person holds the role, and never for more than
    the Environment lets it.
    """
    if promotion is None or not rules.break_glass.gates:
        return frozenset()
    found: set[str] = set()
    for glass in BreakGlass.objects.filter(promotion=promotion, change_hash=promotion.change_hash):
        if glass.person is not None and may_break(glass.person, stage, rules):
            found |= set(glass.gates)
    return rules.break_glass.gates & found


def may_break(person: User, stage: Stage, rules: Rules) -> bool:
    return any(holds(person, Role(role), stage) for role in rules.break_glass.roles)


def upstream_stages(stage: Stage, rules: Rules) -> list[Stage]:
    """Return the application's Stages that a version must have been in; environments it lacks ask nothing."""
    if not rules.requires:
        return []
    others = Stage.objects.filter(application=stage.application_id).select_related(
        "environment", "application"
    )
    found = [other for other in others if other.environment.slug in rules.requires]
    if PREVIOUS in rules.requires:
        before = others.filter(environment__order__lt=stage.environment.order)
        nearest = before.order_by("-environment__order").first()
        found += [nearest] if nearest is not None and nearest not in found else []
    return found


@once_a_look
def upstream(stage: Stage, version: ImageVersion, rules: Rules) -> tuple[UpstreamFact, ...]:
    return tuple(_upstream(other, version) for other in upstream_stages(stage, rules))


def _upstream(other: Stage, version: ImageVersion) -> UpstreamFact:
    same = _same_build(other, version)
    stays = Residence.objects.filter(stage=other, version__in=same).order_by("-soaked")
    promoted = Promotion.objects.filter(
        stage=other, version__in=same, status=PromotionStatus.SUCCEEDED
    ).exists()
    runs = StageState.objects.filter(stage=other, running_version__in=same).exists()
    present = [stay.healthy_since for stay in stays if stay.left_at is None and stay.healthy_since]
    checked = bool(other.verification_connection_id and other.verification_pipeline)
    longest = stays.first()
    return UpstreamFact(
        stage=str(other),
        was_there=promoted or runs or longest is not None,
        soaked=length(f"{longest.soaked // 60}m") if longest else length("0m"),
        healthy_since=min(present) if present else None,
        verified=promoted if checked else None,
    )


def _same_build(other: Stage, version: ImageVersion) -> list[int]:
    """A Stage may run another image of the application, built from the same commit."""
    if other.image_id == version.image_id or not version.commit:
        return [version.pk]
    twins = ImageVersion.objects.filter(image=other.image_id, commit=version.commit)
    return list(twins.values_list("pk", flat=True))


@once_a_look
def _members(group: str) -> set[int]:
    return set(User.objects.filter(groups__name=group, is_active=True).values_list("pk", flat=True))


def seats(stage: Stage, rules: Rules) -> tuple[Seat, ...]:
    found = []
    for rule in rules.approvals:
        members = holders(Role.APPROVER, stage)
        if rule.group:
            members = [person for person in members if person.pk in _members(rule.group)]
        if rule.role:
            members = [person for person in members if holds(person, Role(rule.role), stage)]
        shown = tuple(person_name(person) for person in members)
        found.append(Seat(rule.name, rule.count, shown, tuple(person.username for person in members)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Authors:
    """Who wrote the commits that the change brings."""

    is_known: bool
    emails: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    def wrote(self, user: User) -> bool:
        return bool(user.email and user.email.lower() in self.emails) or user.get_full_name() in self.names


@once_a_look
def authors(stage: Stage, version: ImageVersion, promotion: Promotion | None) -> Authors:
    """Read them from the kept comparison. A Stage that ran nothing yet has nothing to compare with."""
    base = _base_commit(stage, promotion)
    if not base or base == version.commit:
        return Authors(is_known=bool(version.commit))
    found = Comparison.objects.filter(
        connection=stage.application.source_connection_id,
        project=stage.application.source_project,
        base=base,
        head=version.commit,
    ).first()
    if found is None or any("email" not in commit for commit in found.commits):
        return Authors(is_known=False)
    return Authors(
        True,
        frozenset(str(commit["email"]).lower() for commit in found.commits if commit["email"]),
        frozenset(str(commit["author"]) for commit in found.commits if commit["author"]),
    )


def _base_commit(stage: Stage, promotion: Promotion | None) -> str:
    if promotion is not None:
        return promotion.from_version.commit if promotion.from_version else ""
    state = StageState.objects.filter(stage=stage).select_related("desired_version").first()
    return state.desired_version.commit if state and state.desired_version else ""


@dataclass(slots=True)
class Standing:
    """The approvals of the change as it is now: those that count, and those that have grown too old."""

    counting: list[Approval] = field(default_factory=list)
    expired: list[Approval] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        return [approval.person.username for approval in self.counting if approval.person]


@once_a_look
def approvals(
    stage: Stage, promotion: Promotion | None, rules: Rules, wrote: Authors | None, now: datetime
) -> Standing:
    """Count an approval only while its person still holds the role (design.md section 7)."""
    found = Standing()
    for approval in promotion.standing_approvals() if promotion is not None else ():
        person = approval.person
        if person is None or not holds(person, Role.APPROVER, stage):
            continue
        if wrote is not None and wrote.wrote(person):
            continue
        is_old = rules.approvals_expire is not None and now - approval.at >= rules.approvals_expire
        (found.expired if is_old else found.counting).append(approval)
    return found


def evidence(stage: Stage, version: ImageVersion, rules: Rules) -> Evidence:
    return Evidence(
        worst_allowed=rules.worst_finding,
        scan_status=version.scan_status,
        scan_severity=version.scan_severity,
        pipeline_needed=rules.pipeline_green,
        pipeline_status=version.pipeline_status,
        tag=version.tag,
        tag_is_pinned=stage.edit_style in (EditStyle.TAG, EditStyle.APP_VERSION),
        tag_moved=version.tag not in ("", "latest") and version.tag not in version.tags,
    )


@once_a_look
def checks(promotion: Promotion | None, rules: Rules) -> tuple[CheckFact, ...]:
    if promotion is None or not rules.checks:
        return ()
    known = {result.name: result for result in promotion.checks.filter(change_hash=promotion.change_hash)}
    found = []
    for rule in rules.checks:
        result = known.get(rule.name)
        owner = rule.group or _("whoever runs %(check)s") % {"check": rule.name}
        state = result.state if result else CheckState.PENDING
        found.append(CheckFact(rule.name, state, result.message if result else "", owner))
    return tuple(found)


@once_a_look
def schedule(promotion: Promotion | None) -> ScheduleFact | None:
    """Return the times of a promotion that has not begun; what runs is past them."""
    if promotion is None or promotion.status not in (PromotionStatus.REQUESTED, PromotionStatus.APPROVED):
        return None
    found = Schedule.objects.filter(promotion=promotion, released_at=None).first()
    if found is None:
        return None
    last = found.until or found.not_before + settings.SCHEDULE_GRACE
    return ScheduleFact(found.not_before, last, found.until is not None, found.time_zone, found.refused)


def pin_sentence(pin: Pin) -> str:
    """Return who keeps a Stage at a version, and why."""
    words = {"version": pin.version.label, "person": pin.set_by_name, "reason": pin.reason}
    return _("pinned to %(version)s by %(person)s because: %(reason)s") % words


def gives_way(promotion: Promotion) -> bool:
    """What Slipway asked for gives way to something newer until somebody has begun to decide on it."""
    return (
        promotion.status == PromotionStatus.REQUESTED
        # A way back is not to be overtaken by what it takes back.
        and promotion.kind != PromotionKind.ROLLBACK
        and promotion.requested_by is not None
        and is_system(promotion.requested_by)
        and not promotion.approvals.filter(fallen_at=None).exists()
    )


def held_back(stage: Stage, actor: Visitor) -> str:
    """Return what people want at a Stage that automatic promotion must not work against, "" for nothing.

    It is asked again under the Stage's lock, so that a pin or a request of the same moment counts.
    """
    if not is_system(actor):
        return ""
    pin = Pin.objects.filter(stage=stage, lifted_at=None).select_related("version").first()
    if pin is not None:
        return _("%(stage)s is %(pinned)s") % {"stage": stage, "pinned": pin_sentence(pin)}
    other = stage.promotions.open().select_related("version", "requested_by").first()
    if other is None or gives_way(other):
        return ""
    words = {"number": other.pk, "version": other.version.label, "person": other.requested_by_name}
    return _("Promotion #%(number)d of %(version)s by %(person)s is open.") % words
