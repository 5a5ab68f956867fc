"""Who holds which role where. Roles are ordered: each includes the ones before it."""

from __future__ import annotations

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Exists, OuterRef, Q, QuerySet

from promotions.choices import Role
from promotions.models import Application, Environment, RoleGrant, Stage
from promotions.policy.looking import once_a_look
from promotions.policy.rules import Rules

# Who asks for automatic promotions. No form and no provider makes an account with a colon in its name.
SYSTEM_ACCOUNT = "system:slipway"
# Each includes the ones before it.
ROLES = (Role.VIEWER, Role.DEVELOPER, Role.APPROVER, Role.ADMIN)
Visitor = User | AnonymousUser


def _grants(user: Visitor) -> QuerySet[RoleGrant]:
    if not isinstance(user, User) or not user.is_active:
        return RoleGrant.objects.none()
    return RoleGrant.objects.filter(Q(user=user) | Q(group__in=user.groups.all()))


@once_a_look
def _held(user: Visitor) -> list[tuple[str, int | None, int | None]]:
    """Return each role that the person holds, with the application and the environment it is bound to."""
    if not isinstance(user, User):
        return []
    return list(_grants(user).values_list("role", "application_id", "environment_id"))


def _at_least(role: Role) -> tuple[Role, ...]:
    return ROLES[ROLES.index(role) :]


def holds(user: Visitor, role: Role, stage: Stage) -> bool:
    """Tell whether the person holds the role, or a higher one, for this Stage now.

    Slipway itself may ask where the catalogue says that it acts by itself, and never approves.
    """
    if is_system(user):
        acts = stage.promotes_automatically or rolls_back_automatically(stage)
        return role in (Role.VIEWER, Role.DEVELOPER) and acts
    if isinstance(user, User) and user.is_active and user.is_superuser:
        return True
    return any(
        held in _at_least(role)
        and application in (None, stage.application_id)
        and environment in (None, stage.environment_id)
        for held, application, environment in _held(user)
    )


def stages_where(user: Visitor, role: Role) -> QuerySet[Stage]:
    """Return the Stages for which the person holds the role, or a higher one: `holds`, as a set."""
    if isinstance(user, User) and user.is_active and user.is_superuser:
        return Stage.objects.all()
    reaching = _grants(user).filter(
        Q(application=None) | Q(application=OuterRef("application")),
        Q(environment=None) | Q(environment=OuterRef("environment")),
        role__in=_at_least(role),
    )
    return Stage.objects.filter(Exists(reaching))


def is_system(user: Visitor) -> bool:
    """Tell whether this is the account in whose name Slipway acts by itself; nobody can sign in to it."""
    return isinstance(user, User) and user.username == SYSTEM_ACCOUNT and not user.is_active


def system_account() -> User:
    """Return that account, made if need be."""
    values = {"first_name": "Slipway", "is_active": False, "password": make_password(None)}
    return User.objects.get_or_create(username=SYSTEM_ACCOUNT, defaults=values)[0]


def rolls_back_automatically(stage: Stage) -> bool:
    return bool(Rules.of(stage.environment.policy).rollback.automatic)


def grants_for(stage: Stage) -> QuerySet[RoleGrant]:
    """Return every grant, to whomever, that reaches this Stage."""
    return RoleGrant.objects.filter(
        Q(application=None) | Q(application=stage.application_id),
        Q(environment=None) | Q(environment=stage.environment_id),
    )


@once_a_look
def holders(role: Role, stage: Stage) -> list[User]:
    """Return the active people who hold the role, or a higher one, for this Stage."""
    return _people_of(grants_for(stage).filter(role__in=_at_least(role)))


def _people_of(grants: QuerySet[RoleGrant]) -> list[User]:
    return list(
        User.objects.filter(is_active=True)
        .filter(Q(is_superuser=True) | Q(role_grants__in=grants) | Q(groups__role_grants__in=grants))
        .distinct()
        .order_by("username")
    )


def sees_every_application(user: Visitor) -> bool:
    """Tell whether the person may look at all applications, those to come included."""
    if isinstance(user, User) and user.is_active and user.is_superuser:
        return True
    return any(application is None for _role, application, _environment in _held(user))


def visible_applications(user: Visitor) -> QuerySet[Application]:
    """Return the applications a person may look at: those where they hold any role in any environment."""
    if sees_every_application(user):
        return Application.objects.all()
    return Application.objects.filter(rolegrant__in=_grants(user)).distinct()


def may_see_machinery(user: Visitor) -> bool:
    """Tell whether the person may see what belongs to no application: deliveries and upstreams' errors.

    Webhook bodies may speak of any project, so this needs a role that is not bound to one application.
    """
    if isinstance(user, User) and user.is_active and user.is_superuser:
        return True
    allowed = _at_least(Role.DEVELOPER)
    return any(role in allowed and application is None for role, application, _environment in _held(user))


def may_replay(user: Visitor) -> bool:
    """Tell whether the person may have a delivery processed again: admins of the whole site."""
    if isinstance(user, User) and user.is_active and user.is_superuser:
        return True
    return (Role.ADMIN, None, None) in _held(user)


def holds_place(
    user: Visitor, role: Role, application: Application | None, environment: Environment | None
) -> bool:
    """Tell whether the person holds the role, or a higher one, for a whole place (None: all of them)."""
    if isinstance(user, User) and user.is_active and user.is_superuser:
        return True
    grants = _grants(user).filter(role__in=_at_least(role))
    return grants.filter(_reaching(application, environment)).exists()


@once_a_look
def keepers(application: Application | None, environment: Environment | None) -> list[User]:
    """Return the active people who may lock and open a place: its approvers and admins."""
    grants = RoleGrant.objects.filter(role__in=_at_least(Role.APPROVER))
    return _people_of(grants.filter(_reaching(application, environment)))


def _reaching(application: Application | None, environment: Environment | None) -> Q:
    """Grants that reach all of a place: one bound to an application does not reach all of them."""
    reach = Q(application=None) & Q(environment=None)
    if application is not None and environment is not None:
        return Q(Q(application=None) | Q(application=application)) & Q(
            Q(environment=None) | Q(environment=environment)
        )
    if application is not None:
        return Q(Q(application=None) | Q(application=application), environment=None)
    if environment is not None:
        return Q(Q(environment=None) | Q(environment=environment), application=None)
    return reach
