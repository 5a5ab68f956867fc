"""Who sees what waits: a table over roles and rules, and that it says what the click would."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone

from promotions import operations
from promotions.choices import Role
from promotions.models import Comparison, Environment, Promotion, RoleGrant, Stage, VersionBlock
from promotions.policy import Refused
from promotions.policy.access import holds, stages_where
from promotions.policy.awaiting import awaiting, deciders, waits_for
from promotions.workflow import StaleState
from tests import cast


@dataclass
class Scene:
    catalogue: cast.Catalogue
    people: cast.People
    promotion: Promotion

    def approver(self, name: str, *groups: str, role: Role = Role.APPROVER) -> User:
        user = User.objects.create_user(name, email=f"{name}@example.com")
        RoleGrant.objects.create(user=user, role=role, application=self.catalogue.application)
        for group in groups:
            user.groups.add(Group.objects.get_or_create(name=group)[0])
        return user

    def rules(self, *, needed: int = 1, **policy: object) -> None:
        environment = self.catalogue.production.environment
        environment.policy, environment.required_approvals = policy, needed
        environment.save()

    def approved_by(self, user: User, **fields: object) -> None:
        values = {"person": user, "person_name": user.username, "decision": "approved"}
        self.promotion.approvals.create(**{**values, "change_hash": cast.HASH, **fields})


@pytest.fixture
def scene(catalogue: cast.Catalogue, people: cast.People, waiting: Promotion) -> Scene:
    return Scene(catalogue, people, waiting)


def everybody() -> set[str]:
    return {user.username for user in User.objects.all() if awaiting(user)}


def compared(scene: Scene, **commit: str) -> None:
    Comparison.objects.create(
        connection=scene.catalogue.gitlab,
        project=cast.SOURCE_PROJECT,
        base="1" * 40,
        head="2" * 40,
        commits=[{"sha": "2" * 40, "author": "?", "email": "", **commit}],
    )


def only_roles(scene: Scene) -> None:
    """Approver and admin; not the requester, though she be an approver, too."""
    RoleGrant.objects.create(user=scene.people.requester, role=Role.APPROVER)


def elsewhere(scene: Scene) -> None:
    """A role for another environment is none for this one."""
    user = User.objects.create_user("devs-approver")
    RoleGrant.objects.create(user=user, role=Role.APPROVER, environment=scene.catalogue.dev.environment)


def through_a_group(scene: Scene) -> None:
    scene.approver("member", "managers", role=Role.VIEWER)
    RoleGrant.objects.create(group=Group.objects.get(name="managers"), role=Role.APPROVER)


def barred_authors(scene: Scene) -> None:
    scene.rules(bar_authors=True)
    compared(scene, email="approver@example.com")


def authors_unread(scene: Scene) -> None:
    """Nobody may decide before it is known whose commits they are."""
    scene.rules(bar_authors=True)


def full_group(scene: Scene) -> None:
    """The group of "qa" has sent its one; what lacks is one of "ops"."""
    rules = [{"name": name, "count": 1, "group": name, "role": ""} for name in ("qa", "ops")]
    scene.rules(needed=2, approvals=rules)
    scene.approved_by(scene.approver("quinn", "qa"))
    scene.approver("quentin", "qa")
    scene.approver("otto", "ops")
    scene.approver("both", "qa", "ops")


def decided(scene: Scene) -> None:
    scene.rules(needed=2)
    scene.approved_by(scene.people.approver)


def expired(scene: Scene) -> None:
    """What was given too long ago can be given again."""
    scene.rules(needed=1, approvals_expire=60)
    scene.approved_by(scene.people.approver, at=timezone.now() - timedelta(hours=2))


def blocked(scene: Scene) -> None:
    VersionBlock.objects.create(version=scene.catalogue.newer, reason="bad", set_by_name="x")


def approved(scene: Scene) -> None:
    Promotion.objects.update(status="approved")


def inactive(scene: Scene) -> None:
    User.objects.filter(username="approver").update(is_active=False)


Setting = Callable[[Scene], None]
TABLE: list[tuple[Setting, set[str]]] = [
    (only_roles, {"approver", "admin"}),
    (elsewhere, {"approver", "admin"}),
    (through_a_group, {"approver", "admin", "member"}),
    (barred_authors, {"admin"}),
    (authors_unread, set()),
    (full_group, {"otto", "both"}),
    (decided, {"admin"}),
    (expired, {"approver", "admin"}),
    (blocked, set()),
    (approved, set()),
    (inactive, {"admin"}),
]


@pytest.mark.parametrize(("setting", "expected"), TABLE, ids=[each.__name__ for each, _ in TABLE])
def test_it_waits_for_exactly_those_whose_decision_counts(
    scene: Scene, setting: Setting, expected: set[str]
) -> None:
    setting(scene)
    assert everybody() == expected
    assert {user.username for user in deciders(Promotion.objects.get())} == expected


@pytest.mark.parametrize(("setting", "expected"), TABLE, ids=[each.__name__ for each, _ in TABLE])
def test_whoever_it_waits_for_may_approve_and_whose_role_is_missing_may_not(
    scene: Scene, setting: Setting, expected: set[str]
) -> None:
    """The list never shows what the click would then refuse."""
    setting(scene)
    for user in User.objects.exclude(username__in=expected).exclude(username__in=("quentin", "quinn")):
        with pytest.raises((Refused, StaleState)):
            operations.approve(Promotion.objects.get(), by=user, change_hash="d" * 64)
    for name in sorted(expected)[:1]:
        operations.approve(Promotion.objects.get(), by=User.objects.get(username=name), change_hash=cast.HASH)


def test_the_longest_wait_stands_first(scene: Scene) -> None:
    Environment.objects.update(required_approvals=1)
    older = cast.make_promotion(
        scene.catalogue,
        scene.people.requester,
        stage=scene.catalogue.dev,
        status_at=timezone.now() - timedelta(days=1),
    )
    assert awaiting(scene.people.approver) == [older, scene.promotion]


def test_a_set_of_stages_agrees_with_the_single_question(scene: Scene) -> None:
    """Random grants; the seed is printed."""
    seed = random.randrange(10**6)
    print("seed", seed)
    dice = random.Random(seed)
    application, places = scene.catalogue.application, [scene.catalogue.dev, scene.catalogue.production]
    for number in range(12):
        user = User.objects.create_user(f"p{number}", is_active=dice.random() > 0.1)
        RoleGrant.objects.create(
            user=user,
            role=dice.choice(Role.values),
            application=dice.choice([None, application]),
            environment=dice.choice([None, *(place.environment for place in places)]),
        )
        for role in Role:
            expected = {stage.pk for stage in Stage.objects.all() if holds(user, role, stage)}
            assert set(stages_where(user, role).values_list("pk", flat=True)) == expected


def test_it_waits_for_nobody_once_it_is_decided(scene: Scene) -> None:
    operations.approve(scene.promotion, by=scene.people.approver, change_hash=cast.HASH)
    assert not waits_for(Promotion.objects.get(), scene.people.admin)
