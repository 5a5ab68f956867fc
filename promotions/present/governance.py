"""Locks and blocks as pages show them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from promotions.governing import may_lock
from promotions.models import FreezePeriod, FreezeWindow, Lock, Stage, VersionBlock
from promotions.policy import Refusal
from promotions.policy.access import visible_applications
from promotions.policy.gathering import place, window_of
from promotions.policy.windows import BadRule, Recurring, Window


@dataclass(frozen=True, slots=True)
class LockRow:
    """`refusals` say why this visitor may not lift it."""

    lock: Lock
    place: str
    is_everything: bool
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class LockNote:
    """A standing lock as a cell or card shows it, whoever looks."""

    place: str
    reason: str
    by: str
    since: datetime

    def __str__(self) -> str:
        words = {"place": self.place, "person": self.by, "reason": self.reason}
        return _("Locked (%(place)s) by %(person)s: %(reason)s") % words


def visible_locks(user: User, *, standing: bool = True) -> list[LockRow]:
    """Return the locks of what the person may see, and those of whole environments and of everything."""
    every = Lock.objects.select_related("application", "environment")
    found = every.standing() if standing else every.exclude(lifted_at=None).order_by("-lifted_at")[:20]
    seen = set(visible_applications(user).values_list("pk", flat=True))
    return [
        LockRow(
            lock,
            place(lock),
            lock.application_id is None and lock.environment_id is None,
            tuple(may_lock(user, lock.application, lock.environment)) if standing else (),
        )
        for lock in found
        if lock.application_id is None or lock.application_id in seen
    ]


@dataclass(frozen=True, slots=True)
class FreezeRow:
    """A calendar rule. `until` is the end of the window that holds now; `problem` why it can't be read."""

    name: str
    rule: str
    places: str
    is_frozen: bool
    until: datetime | None
    problem: str


def freeze_rows() -> list[FreezeRow]:
    """Return the calendar's rules, the catalogue's and GitLab's."""
    now = timezone.now()
    rows = []
    for rule in FreezeWindow.objects.all():
        places = ", ".join([*rule.applications, *rule.environments]) or _("everywhere")
        until_or_length = rule.ends or _("%(minutes)d minutes") % {"minutes": rule.lasts}
        told = f"{rule.begins_at or rule.starts} – {rule.ends_at or until_or_length} ({rule.time_zone})"
        rows.append(_freeze_row(rule.reason or rule.slug, told, places, window_of(rule), now))
    for period in FreezePeriod.objects.all():
        told = f"{period.starts} – {period.ends} ({period.time_zone})"
        window = Recurring(period.starts, period.time_zone, ends=period.ends)
        rows.append(_freeze_row("GitLab", told, period.project, window, now))
    return rows


def _freeze_row(name: str, rule: str, places: str, window: Window, now: datetime) -> FreezeRow:
    try:
        until = window.frozen_until(now)
    except BadRule as error:
        return FreezeRow(name, rule, places, True, None, str(error))
    return FreezeRow(name, rule, places, until is not None, until, "")


def emergency_stop() -> Lock | None:
    """Return the lock on everything, which every page announces."""
    return Lock.objects.standing().filter(application=None, environment=None).first()


def locks_by_stage(stages: Iterable[Stage]) -> dict[int, tuple[LockNote, ...]]:
    """Return the standing locks of each Stage with one query."""
    kept = list(stages)
    applications = {stage.application_id for stage in kept}
    covering = Q(application=None) | Q(application__in=applications)
    found = list(Lock.objects.standing().filter(covering).select_related("application", "environment"))
    return {
        stage.pk: tuple(
            LockNote(place(lock), lock.reason, lock.set_by_name, lock.set_at)
            for lock in found
            if lock.application_id in (None, stage.application_id)
            and lock.environment_id in (None, stage.environment_id)
        )
        for stage in kept
    }


def blocks_by_version(versions: Iterable[int | None]) -> dict[int, VersionBlock]:
    """Return the standing blocks of these versions with one query."""
    wanted = {pk for pk in versions if pk is not None}
    found = VersionBlock.objects.filter(version__in=wanted, lifted_at=None)
    return {block.version_id: block for block in found}


def block_sentence(label: str, block: VersionBlock) -> str:
    return _("%(version)s is marked as bad by %(person)s: %(reason)s") % {
        "version": label,
        "person": block.set_by_name,
        "reason": block.reason,
    }


@dataclass(frozen=True, slots=True)
class Governance:
    """What people's will says about some Stages, read for all of them at once."""

    locks: dict[int, tuple[LockNote, ...]]
    blocks: dict[int, VersionBlock]

    @classmethod
    def of(cls, stages: Iterable[Stage]) -> Governance:
        kept = list(stages)
        running = (stage.state.running_version_id for stage in kept if hasattr(stage, "state"))
        return cls(locks_by_stage(kept), blocks_by_version(running))

    def notes(self, stage: Stage) -> tuple[str, ...]:
        """Return it as sentences."""
        found = [str(lock) for lock in self.locks.get(stage.pk, ())]
        version = stage.state.running_version if hasattr(stage, "state") else None
        if version is not None and version.pk in self.blocks:
            found.append(block_sentence(version.label, self.blocks[version.pk]))
        return tuple(found)
