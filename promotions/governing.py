"""What people do about gates: lock and open, block versions, grant exceptions, report checks."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from promotions import engine
from promotions.choices import CheckState, PromotionStatus, Role
from promotions.live import announce
from promotions.models import (
    Application,
    CheckResult,
    Environment,
    FreezeException,
    ImageVersion,
    Lock,
    Promotion,
    Stage,
    StageState,
    VersionBlock,
)
from promotions.policy import Refusal, Refused
from promotions.policy.access import holders, holds, holds_place, keepers
from promotions.policy.gathering import place
from promotions.policy.rules import CheckRule, Rules
from promotions.workflow import StaleState, announce_promotion, announce_stage, person_name, record


def stages_of(lock: Lock) -> list[Stage]:
    """Return the Stages a lock closes."""
    found = Stage.objects.select_related("application", "environment")
    if lock.application_id:
        found = found.filter(application=lock.application_id)
    if lock.environment_id:
        found = found.filter(environment=lock.environment_id)
    return list(found)


def may_lock(user: User, application: Application | None, environment: Environment | None) -> list[Refusal]:
    """Return why the person may not close or open this place; empty when they may."""
    if holds_place(user, Role.APPROVER, application, environment):
        return []
    people = ", ".join(person_name(person) for person in keepers(application, environment))
    closed = place(Lock(application=application, environment=environment))
    return [
        Refusal(
            "role",
            _("%(actor)s is not an approver of all that this closes: %(place)s.")
            % {"actor": person_name(user), "place": closed},
            people or _("an administrator"),
        )
    ]


def lock(*, application: Application | None, environment: Environment | None, by: User, reason: str) -> Lock:
    """Close a place: nothing begins there, and what runs halts before its next outside effect.

    Raises Refused, and StaleState when it is locked already.
    """
    if refused := may_lock(by, application, environment):
        raise Refused(refused)
    made = Lock(
        application=application,
        environment=environment,
        reason=reason.strip(),
        set_by=by,
        set_by_name=person_name(by),
    )
    try:
        with transaction.atomic():
            made.save()
            record("lock.set", subject=place(made), by=by, reason=made.reason, lock=made.pk)
            _tell(made)
    except IntegrityError as error:
        raise StaleState(_("%(place)s is locked already.") % {"place": place(made)}) from error
    return made


def lift(standing: Lock, *, by: User, reason: str) -> None:
    """Open a place again; what was halted there goes on. Raises Refused and StaleState."""
    if refused := may_lock(by, standing.application, standing.environment):
        raise Refused(refused)
    with transaction.atomic():
        lifted = Lock.objects.standing().filter(pk=standing.pk)
        if not lifted.update(lifted_at=timezone.now(), lifted_by_name=person_name(by)):
            raise StaleState(_("The lock was lifted already."))
        record("lock.lifted", subject=place(standing), by=by, reason=reason.strip(), lock=standing.pk)
        _tell(standing)


def _tell(changed: Lock) -> None:
    """Every page shows it, and every promotion there is looked at now."""
    for stage in stages_of(changed):
        announce_stage(stage)
        for promotion in stage.promotions.open():
            announce_promotion(promotion)
            engine.wake(promotion)


def block(version: ImageVersion, *, by: User, reason: str) -> VersionBlock:
    """Mark a version as bad: it is promoted nowhere. Raises Refused and StaleState."""
    _must_decide_about(version, by)
    made = VersionBlock(version=version, reason=reason.strip(), set_by=by, set_by_name=person_name(by))
    try:
        with transaction.atomic():
            made.save()
            record("version.blocked", subject=version, by=by, reason=made.reason, version=version.pk)
            _tell_of_version(version)
    except IntegrityError as error:
        raise StaleState(_("%(version)s is marked as bad already.") % {"version": version}) from error
    return made


def unblock(version: ImageVersion, *, by: User, reason: str) -> None:
    """Take the mark away. Raises Refused and StaleState."""
    _must_decide_about(version, by)
    with transaction.atomic():
        standing = VersionBlock.objects.filter(version=version, lifted_at=None)
        if not standing.update(lifted_at=timezone.now(), lifted_by_name=person_name(by)):
            raise StaleState(_("%(version)s is not marked as bad.") % {"version": version})
        record("version.unblocked", subject=version, by=by, reason=reason.strip(), version=version.pk)
        _tell_of_version(version)


def may_block(user: User, version: ImageVersion) -> list[Refusal]:
    """Approvers of any Stage of the application may: a bad version is nobody's alone."""
    stages = version.image.application.stages.select_related("application", "environment")
    if any(holds(user, Role.APPROVER, stage) for stage in stages):
        return []
    return [
        Refusal(
            "role",
            _("%(actor)s is not an approver of %(application)s.")
            % {"actor": person_name(user), "application": version.image.application},
            _("an administrator, by granting the role"),
        )
    ]


def _must_decide_about(version: ImageVersion, by: User) -> None:
    if refused := may_block(by, version):
        raise Refused(refused)


def _tell_of_version(version: ImageVersion) -> None:
    application_id = version.image.application_id
    announce("versions", application_id, application_id=application_id)
    for state in StageState.objects.filter(running_version=version).select_related("stage"):
        announce_stage(state.stage)
    for promotion in version.promotions.open().select_related("stage"):
        announce_promotion(promotion)
        engine.wake(promotion)


def except_from_freeze(promotion: Promotion, *, by: User, change_hash: str, reason: str) -> None:
    """Let one promotion go although its Stage is frozen. Raises Refused and StaleState."""
    if refused := may_except(by, promotion):
        raise Refused(refused)
    with transaction.atomic():
        held = Promotion.objects.select_for_update(of=("self",)).get(pk=promotion.pk)
        if held.change_hash != change_hash:
            raise StaleState(_("The change is no longer the one you saw. Look at the new difference first."))
        if not held.is_open:
            raise StaleState(_("Promotion #%(number)d has already ended.") % {"number": held.pk})
        values = {"person": by, "person_name": person_name(by), "reason": reason.strip()}
        FreezeException.objects.update_or_create(
            promotion=held, defaults={**values, "change_hash": change_hash, "at": timezone.now()}
        )
        record("freeze.excepted", subject=held, by=by, promotion=held, reason=reason.strip())
        announce_promotion(promotion)
    engine.wake(promotion)


def may_except(user: User, promotion: Promotion) -> list[Refusal]:
    """An approver may, and never for a promotion of one's own."""
    stage = promotion.stage
    others = [person for person in holders(Role.APPROVER, stage) if person.pk != promotion.requested_by_id]
    fix = ", ".join(person_name(person) for person in others) or _("an administrator, by granting the role")
    if not holds(user, Role.APPROVER, stage):
        words = {"actor": person_name(user), "stage": stage}
        return [Refusal("role", _("%(actor)s is not an approver of %(stage)s.") % words, fix)]
    if promotion.requested_by_id == user.pk:
        return [Refusal("four-eyes", _("Who requests a promotion can't except it from a freeze."), fix)]
    return []


def report_check(
    promotion: Promotion, name: str, *, by: User, state: CheckState, message: str = "", link: str = ""
) -> CheckResult:
    """Keep what an outside check says of the promotion's change as it is now. Raises Refused, StaleState."""
    rule = next(
        (rule for rule in Rules.of(promotion.stage.environment.policy).checks if rule.name == name), None
    )
    if refused := _may_report(by, promotion, rule, name):
        raise Refused(refused)
    if not promotion.is_open:
        raise StaleState(_("Promotion #%(number)d has already ended.") % {"number": promotion.pk})
    return keep_check(promotion, name, state, message=message, link=link, by=by)


def _may_report(by: User, promotion: Promotion, rule: CheckRule | None, name: str) -> list[Refusal]:
    keeper = _("whoever keeps the catalogue")
    if rule is None:
        words = {"stage": promotion.stage, "check": name}
        return [Refusal("checks", _("%(stage)s asks for no check %(check)s.") % words, keeper)]
    if rule.url:
        message = _("The check %(check)s is asked by Slipway itself.") % {"check": name}
        return [Refusal("checks", message, keeper)]
    if promotion.requested_by_id == by.pk:
        return [Refusal("four-eyes", _("Who requests a promotion can't report its checks."), rule.group)]
    inside = not rule.group or by.groups.filter(name=rule.group).exists()
    if not inside or not holds(by, Role.DEVELOPER, promotion.stage):
        words = {"actor": person_name(by), "check": name}
        return [Refusal("role", _("%(actor)s may not report %(check)s.") % words, rule.group or keeper)]
    return []


def keep_check(
    promotion: Promotion, name: str, state: CheckState, *, message: str, link: str, by: User | None
) -> CheckResult:
    """Write a check's answer, with its audit row when it is another one than before."""
    with transaction.atomic():
        before = promotion.checks.filter(name=name, change_hash=promotion.change_hash).first()
        result, _new = CheckResult.objects.update_or_create(
            promotion=promotion,
            name=name,
            defaults={
                "change_hash": promotion.change_hash,
                "state": state,
                "message": message[:2000],
                "link": link,
                "by_name": person_name(by),
                "at": timezone.now(),
            },
        )
        if before is None or (before.state, before.message) != (result.state, result.message):
            said = {"check": name, "state": str(state), "message": message[:2000]}
            record(f"check.{state}", subject=promotion, by=by, promotion=promotion, **said)
            announce_promotion(promotion)
    if promotion.status in (PromotionStatus.APPROVED, PromotionStatus.RUNNING):
        engine.wake(promotion)
    return result
