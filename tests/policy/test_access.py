"""Who holds which role where: by person and by group, for one place or all, while they are active."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User

from promotions.choices import Role
from promotions.models import Application, Environment, RoleGrant, Stage
from promotions.policy.access import holders, holds, may_replay, may_see_machinery, visible_applications
from tests import cast

ROLES = list(Role)


@pytest.fixture
def other(catalogue: cast.Catalogue) -> Stage:
    """A Stage of another application in production."""
    application = Application.objects.create(
        slug="other", name="other", source_connection=catalogue.gitlab, source_project="team/other"
    )
    image = application.images.create(
        connection=catalogue.production.image.connection,
        repository="harbor.centre.com/team/other",
        slug="other",
    )
    return Stage.objects.create(
        application=application,
        environment=catalogue.production.environment,
        image=image,
        manifest_connection=catalogue.gitlab,
        manifest_project="team/manifests",
        manifest_branch="main",
    )


@pytest.fixture
def person(catalogue: cast.Catalogue) -> User:
    return User.objects.create_user("person")


def grant(role: Role, *, user: User | None = None, group: Group | None = None, **where: object) -> RoleGrant:
    return RoleGrant.objects.create(user=user, group=group, role=role, **where)


@pytest.mark.parametrize("given", ROLES)
def test_a_role_includes_those_below_it_and_none_above(
    catalogue: cast.Catalogue, person: User, given: Role
) -> None:
    grant(given, user=person)
    held = [role for role in ROLES if holds(person, role, catalogue.production)]
    assert held == ROLES[: ROLES.index(given) + 1]


def test_a_grant_reaches_its_application_and_environment_and_no_further(
    catalogue: cast.Catalogue, other: Stage, person: User
) -> None:
    stages = {"dev": catalogue.dev, "production": catalogue.production, "other": other}
    production = Environment.objects.get(slug="production")
    table: list[tuple[dict[str, object], set[str]]] = [
        ({}, {"dev", "production", "other"}),
        ({"application": catalogue.application}, {"dev", "production"}),
        ({"environment": production}, {"production", "other"}),
        ({"application": catalogue.application, "environment": production}, {"production"}),
    ]
    for where, expected in table:
        given = grant(Role.APPROVER, user=person, **where)
        assert {name for name, stage in stages.items() if holds(person, Role.APPROVER, stage)} == expected
        assert {
            name for name, stage in stages.items() if person in holders(Role.APPROVER, stage)
        } == expected, "the two directions agree"
        given.delete()


def test_a_group_s_grant_is_held_by_its_members_and_lost_with_the_membership(
    catalogue: cast.Catalogue, person: User
) -> None:
    group = Group.objects.create(name="release managers")
    grant(Role.APPROVER, group=group)
    assert not holds(person, Role.APPROVER, catalogue.production)
    person.groups.add(group)
    assert holds(person, Role.APPROVER, catalogue.production)
    assert person in holders(Role.DEVELOPER, catalogue.production)
    person.groups.remove(group)
    assert not holds(person, Role.APPROVER, catalogue.production)
    assert person not in holders(Role.DEVELOPER, catalogue.production)


def test_a_person_who_is_no_longer_active_holds_nothing_not_even_as_superuser(
    catalogue: cast.Catalogue, person: User
) -> None:
    grant(Role.ADMIN, user=person)
    person.is_superuser, person.is_active = True, False
    person.save()
    assert not holds(person, Role.VIEWER, catalogue.production)
    assert person not in holders(Role.VIEWER, catalogue.production)
    assert not visible_applications(person).exists()
    assert not may_see_machinery(person)
    assert not may_replay(person)


def test_a_superuser_holds_everything_everywhere(catalogue: cast.Catalogue, people: cast.People) -> None:
    assert holds(people.admin, Role.ADMIN, catalogue.production)
    assert people.admin in holders(Role.ADMIN, catalogue.production)
    assert visible_applications(people.admin).count() == Application.objects.count()
    assert may_see_machinery(people.admin)
    assert may_replay(people.admin)


def test_nobody_holds_anything(catalogue: cast.Catalogue) -> None:
    nobody = AnonymousUser()
    assert not any(holds(nobody, role, catalogue.production) for role in ROLES)
    assert not visible_applications(nobody).exists()
    assert not may_see_machinery(nobody)
    assert not may_replay(nobody)


def test_people_are_named_once_and_in_order_however_many_grants_they_hold(
    catalogue: cast.Catalogue, people: cast.People, person: User
) -> None:
    group = Group.objects.create(name="all")
    group.user_set.add(person)
    for given in ({"user": person}, {"group": group}):
        for role in (Role.APPROVER, Role.ADMIN):
            grant(role, **given)  # type: ignore[arg-type]
    names = [user.username for user in holders(Role.APPROVER, catalogue.production)]
    assert names == ["admin", "approver", "person"]


def test_a_role_in_one_environment_shows_the_application_and_no_other(
    catalogue: cast.Catalogue, other: Stage, person: User
) -> None:
    grant(Role.VIEWER, user=person, application=other.application, environment=other.environment)
    assert list(visible_applications(person)) == [other.application]
    grant(Role.VIEWER, user=person, environment=other.environment)
    assert visible_applications(person).count() == 2


def test_the_machinery_is_for_developers_of_all_applications_and_replay_for_their_admins(
    catalogue: cast.Catalogue, person: User
) -> None:
    production = Environment.objects.get(slug="production")
    table: list[tuple[Role, dict[str, object], bool, bool]] = [
        (Role.ADMIN, {"application": catalogue.application}, False, False),
        (Role.VIEWER, {}, False, False),
        (Role.DEVELOPER, {}, True, False),
        (Role.ADMIN, {"environment": production}, True, False),
        (Role.ADMIN, {}, True, True),
    ]
    for role, where, sees, replays in table:
        given = grant(role, user=person, **where)
        assert (may_see_machinery(person), may_replay(person)) == (sees, replays), (role, where)
        given.delete()
