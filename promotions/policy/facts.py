"""Gather the facts the gates look at, from our own tables only: asking is cheap and has no effect."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from django.contrib.auth.models import AnonymousUser, User
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from promotions.choices import PromotionKind, PromotionStatus, Role
from promotions.models import ImageVersion, Promotion, Stage, StageState
from promotions.policy import gathering, releases
from promotions.policy.access import Visitor, holders, holds
from promotions.policy.looking import moment, once_a_look
from promotions.policy.rules import Rules
from promotions.policy.terms import (
    BlockFact,
    CheckFact,
    Evidence,
    Facts,
    FreezeFact,
    LockFact,
    OpenPromotion,
    ReleaseFact,
    ScheduleFact,
    Seat,
    UpstreamFact,
)
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
    rolling_back: bool = False,
    breaking: frozenset[str] = frozenset(),
) -> Facts:
    """Return the facts about `actor` (None: Slipway) bringing `version` to `stage`, at a moment (now).

    Each is read when it is first asked for, and then stays: ask before something is written.
    `rolling_back` and `breaking` (the gates that glass would be broken for) speak of one that is not
    requested yet.
    """
    visitor, now = actor or AnonymousUser(), at or moment()
    return Gathered(
        Case(
            stage,
            version,
            visitor,
            promotion,
            now,
            rolling_back,
            breaking,
            change_problem,
            change_is_empty,
        )
    )


@dataclass(frozen=True)
class Case:
    """What the facts are about."""

    stage: Stage
    version: ImageVersion
    actor: Visitor
    promotion: Promotion | None
    now: datetime
    rolling_back: bool
    breaking: frozenset[str]
    change_problem: str
    change_is_empty: bool

    @property
    def user(self) -> User | None:
        return self.actor if isinstance(self.actor, User) else None

    @cached_property
    def rules(self) -> Rules:
        return rules_for(self.stage, self.version, self.promotion, rolling_back=self.rolling_back)

    @cached_property
    def authors(self) -> gathering.Authors | None:
        if not self.rules.bar_authors:
            return None
        return gathering.authors(self.stage, self.version, self.promotion)

    @cached_property
    def standing(self) -> gathering.Standing:
        return gathering.approvals(self.stage, self.promotion, self.rules, self.authors, self.now)


class Gathered(Facts):
    """Facts that are read one by one: most acts are guarded by a few gates, most gates look at one fact."""

    _case: Case

    def __init__(self, case: Case) -> None:
        # Facts are frozen.
        object.__setattr__(self, "_case", case)

    @cached_property
    def now(self) -> datetime:
        return self._case.now

    @cached_property
    def change_problem(self) -> str:
        return self._case.change_problem

    @cached_property
    def change_is_empty(self) -> bool:
        return self._case.change_is_empty

    @cached_property
    def stage(self) -> str:
        return str(self._case.stage)

    @cached_property
    def version(self) -> str:
        return self._case.version.label

    @cached_property
    def actor(self) -> str:
        return person_name(self._case.user) if self._case.user else _("An anonymous visitor")

    @cached_property
    def actor_is_developer(self) -> bool:
        return holds(self._case.actor, Role.DEVELOPER, self._case.stage)

    @cached_property
    def actor_is_approver(self) -> bool:
        return holds(self._case.actor, Role.APPROVER, self._case.stage)

    @cached_property
    def actor_is_requester(self) -> bool:
        promotion, user = self._case.promotion, self._case.user
        return bool(user and promotion and promotion.requested_by_id == user.pk)

    @cached_property
    def actor_has_decided(self) -> bool:
        return _has_decided(self._case.user, self._case.promotion, self._case.standing)

    @cached_property
    def actor_is_author(self) -> bool:
        return bool(self._case.user and self._case.authors and self._case.authors.wrote(self._case.user))

    @cached_property
    def authors_are_barred(self) -> bool:
        return self._case.rules.bar_authors

    @cached_property
    def authors_known(self) -> bool:
        return self._case.authors is None or self._case.authors.is_known

    @cached_property
    def approvers(self) -> tuple[str, ...]:
        return tuple(person_name(each) for each in holders(Role.APPROVER, self._case.stage))

    @cached_property
    def stage_is_promotable(self) -> bool:
        return self._case.stage.promotable

    @cached_property
    def stage_image(self) -> str:
        return self._case.stage.image.repository

    @cached_property
    def version_image(self) -> str:
        return self._case.version.image.repository

    @cached_property
    def version_missing_since(self) -> str:
        return _missing_since(self._case.version)

    @cached_property
    def already_there(self) -> bool:
        return _already_there(self._case.stage, self._case.version)

    @cached_property
    def others_open(self) -> tuple[OpenPromotion, ...]:
        return _others_open(self._case.stage, self._case.promotion)

    @cached_property
    def required_approvals(self) -> int:
        return approvals_needed(self._case.stage, self._case.rules)

    @cached_property
    def approved_by(self) -> tuple[str, ...]:
        return tuple(approval.person_name for approval in self._case.standing.counting)

    @cached_property
    def approved_keys(self) -> tuple[str, ...]:
        return tuple(self._case.standing.keys)

    @cached_property
    def expired(self) -> tuple[str, ...]:
        return tuple(approval.person_name for approval in self._case.standing.expired)

    @cached_property
    def seats(self) -> tuple[Seat, ...]:
        return gathering.seats(self._case.stage, self._case.rules)

    @cached_property
    def locks(self) -> tuple[LockFact, ...]:
        return gathering.locks(self._case.stage)

    @cached_property
    def freezes(self) -> tuple[FreezeFact, ...]:
        return gathering.freezes(self._case.stage, self._case.rules, self._case.now)

    @cached_property
    def freeze_is_excepted(self) -> bool:
        return gathering.is_excepted(self._case.stage, self._case.promotion)

    @cached_property
    def block(self) -> BlockFact | None:
        return gathering.block(self._case.version)

    @cached_property
    def ran_here_before(self) -> bool:
        return gathering.ran_here_before(self._case.stage, self._case.version, self._case.promotion)

    @cached_property
    def upstream(self) -> tuple[UpstreamFact, ...]:
        return gathering.upstream(self._case.stage, self._case.version, self._case.rules)

    @cached_property
    def soak(self) -> timedelta:
        return self._case.rules.soak

    @cached_property
    def verification_needed(self) -> bool:
        return self._case.rules.verified_upstream

    @cached_property
    def evidence(self) -> Evidence:
        return gathering.evidence(self._case.stage, self._case.version, self._case.rules)

    @cached_property
    def checks(self) -> tuple[CheckFact, ...]:
        return gathering.checks(self._case.promotion, self._case.rules)

    @cached_property
    def release(self) -> ReleaseFact | None:
        return _release(self._case.promotion, self._case.now)

    @cached_property
    def schedule(self) -> ScheduleFact | None:
        return gathering.schedule(self._case.promotion)

    @cached_property
    def held_back(self) -> str:
        # What Slipway takes back by itself has its own manners (retreat.py).
        return "" if self._case.rolling_back else gathering.held_back(self._case.stage, self._case.actor)

    @cached_property
    def skipped(self) -> frozenset[str]:
        return _skipped(self._case.stage, self._case.promotion, self._case.rules, self._case.breaking)


def _release(promotion: Promotion | None, now: datetime) -> ReleaseFact | None:
    return releases.turn_of(promotion, now) if promotion and promotion.release_id else None


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
    others = stage.promotions.open()
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
