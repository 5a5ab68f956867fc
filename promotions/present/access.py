"""Who may do what at a Stage, and by which grant."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import prefetch_related_objects
from django.utils.translation import gettext as _

from promotions.choices import Role
from promotions.models import RoleGrant, Stage
from promotions.policy.access import ROLES, SYSTEM_ACCOUNT, grants_for, holders
from promotions.workflow import person_name


@dataclass(frozen=True, slots=True)
class PersonRow:
    """`role` is the highest one held here; `because` says by which grants."""

    username: str
    name: str
    role: str
    label: str
    may: tuple[str, ...]
    because: tuple[str, ...]


def stage_access(stage: Stage) -> list[PersonRow]:
    """Return everybody who holds a role here, the mightiest first."""
    people = list(holders(Role.VIEWER, stage))
    prefetch_related_objects(people, "groups")
    grants = list(grants_for(stage).select_related("user", "group", "application", "environment"))
    rows = [_row(person, grants, stage) for person in people]
    if stage.promotes_automatically:
        rows.append(_slipway())
    return sorted(rows, key=lambda row: (-ROLES.index(Role(row.role)), row.username))


def _row(person: User, grants: list[RoleGrant], stage: Stage) -> PersonRow:
    groups = {group.pk for group in person.groups.all()}
    own = [grant for grant in grants if grant.user_id == person.pk or grant.group_id in groups]
    held = [Role(grant.role) for grant in own] + [Role.ADMIN] * person.is_superuser
    role = max(held, key=ROLES.index)
    because = [_because(grant) for grant in own] + [_("superuser")] * person.is_superuser
    return PersonRow(
        person.username, person_name(person), role, str(role.label), tuple(_may(role, stage)), tuple(because)
    )


def _slipway() -> PersonRow:
    """Nobody's account: what it may is the catalogue's word for this Stage."""
    return PersonRow(
        SYSTEM_ACCOUNT,
        "Slipway",
        Role.DEVELOPER,
        _("automation"),
        (_("ask for the newest version"),),
        (_("the catalogue: promote: automatically"),),
    )


def _may(role: Role, stage: Stage) -> list[str]:
    """Return the acts that a role opens, each one those of the roles below it too."""
    acts = {Role.VIEWER: _("look"), Role.DEVELOPER: _("promote, abort, try again, roll back")}
    if stage.environment.required_approvals:
        acts[Role.APPROVER] = _("approve and reject")
    acts[Role.ADMIN] = _("administer")
    return [words for each, words in acts.items() if ROLES.index(each) <= ROLES.index(role)]


def _because(grant: RoleGrant) -> str:
    where = " ".join(str(place) for place in (grant.application, grant.environment) if place)
    words = {
        "role": Role(grant.role).label,
        "where": where or _("everywhere"),
        "group": str(grant.group or ""),
    }
    if grant.group_id:
        return _("%(role)s, %(where)s, through group %(group)s") % words
    return _("%(role)s, %(where)s") % words
