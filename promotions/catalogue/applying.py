"""Bring the tables to what a plan says, in one transaction with its audit row."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib.auth.models import Group, User
from django.db import connection, transaction

from promotions.catalogue.planning import Add, Plan, Update, make_plan, new_people, read_table
from promotions.catalogue.report import lines
from promotions.catalogue.rows import (
    APPLICATION,
    CONNECTION,
    ENVIRONMENT,
    IMAGE,
    KINDS,
    Catalogue,
    Key,
    Kind,
)
from promotions.workflow import record

_LOCK = 7_305_002
_POINTS_TO = {
    "connection": CONNECTION,
    "source_connection": CONNECTION,
    "manifest_connection": CONNECTION,
    "argocd_connection": CONNECTION,
    "verification_connection": CONNECTION,
    "application": APPLICATION,
    "environment": ENVIRONMENT,
    "image": IMAGE,
}


def apply(catalogue: Catalogue, *, by: User | None = None, prune: bool = False, remove: bool = True) -> Plan:
    """Make the tables say what the file says; return what was done. Two at once wait for each other.

    See `make_plan` for `prune` and `remove`. Raises CatalogueError; then nothing has changed.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        plan = make_plan(catalogue, prune=prune, remove=remove)
        if not plan.is_empty:
            _Writer(plan).write()
            record(
                "catalogue.applied",
                subject=catalogue.file,
                by=by,
                changes=[line for line in lines(plan) if not line.startswith("!")],
            )
    return plan


class _Writer:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.pks: dict[Kind, Mapping[Key, object]] = {}

    def write(self) -> None:
        self._add_people()
        for kind in KINDS:
            self._park(kind)
            for update in self.plan.updates:
                if update.kind is kind:
                    self._update(update)
            for add in self.plan.adds:
                if add.kind is kind:
                    self._add(add)
            self.pks[kind] = {key: row.pk for key, row in read_table(kind).items()}
        # The plan lists removals from the last kind to the first: what points goes before what it points to.
        for removal in self.plan.removes:
            removal.kind.model._default_manager.filter(pk=removal.before.pk).delete()

    def _add_people(self) -> None:
        users, groups = new_people(self.plan)
        for name in users - set(User.objects.filter(username__in=users).values_list("username", flat=True)):
            # Without a password nobody can sign in as this person until one is set.
            User.objects.create_user(name)
        for name in groups:
            Group.objects.get_or_create(name=name)

    def _park(self, kind: Kind) -> None:
        """Free the unique values of rows that change or go, so that rows may swap them."""
        for name, parked in kind.parked.items():
            updates = [u.before.pk for u in self.plan.updates if u.kind is kind and name in u.fields]
            removes = [removal.before.pk for removal in self.plan.removes if removal.kind is kind]
            for pk in updates + removes:
                if isinstance(pk, int):
                    kind.model._default_manager.filter(pk=pk).update(**{name: parked(pk)})

    def _update(self, update: Update) -> None:
        names = dict(zip(update.kind.key, update.key, strict=True))
        new = {name: value for name, (_, value) in update.fields.items()}
        columns = self._columns(names, new)
        update.kind.model._default_manager.filter(pk=update.before.pk).update(**columns)

    def _add(self, add: Add) -> None:
        names = dict(zip(add.kind.key, add.row.key, strict=True))
        add.kind.model._default_manager.create(**self._columns(names, {**names, **add.row.values}))

    def _columns(self, names: Mapping[str, object], values: Mapping[str, object]) -> dict[str, object]:
        """Turn "image__slug": "production" into "image_id": 4. `names` is the row's own key."""
        columns: dict[str, object] = {}
        for name, value in values.items():
            target, _, word = name.partition("__")
            if not word:
                columns[name] = value
            else:
                columns[f"{target}_id"] = None if value is None else self._pk(target, str(value), names)
        return columns

    def _pk(self, target: str, value: str, names: Mapping[str, object]) -> object:
        if target == "user":
            return User.objects.get(username=value).pk
        if target == "group":
            return Group.objects.get(name=value).pk
        kind = _POINTS_TO[target]
        key: Key = (str(names["application__slug"]), value) if kind is IMAGE else (value,)
        return self.pks[kind][key]
