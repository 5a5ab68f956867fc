"""The difference between what a file declares and what the tables hold. Changes nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from promotions.catalogue.dependents import closed_fields, kept_because
from promotions.catalogue.problems import CatalogueError, Problem
from promotions.catalogue.rows import (
    ENVIRONMENT,
    IMAGE,
    KINDS,
    ROLE,
    WEBHOOK_SOURCE,
    Catalogue,
    Key,
    Kind,
    Row,
    Values,
)


@dataclass(frozen=True, slots=True)
class Existing:
    """A row of a table, in the words of the file."""

    pk: object
    key: Key
    values: Values


@dataclass(frozen=True, slots=True)
class Add:
    kind: Kind
    row: Row


@dataclass(frozen=True, slots=True)
class Update:
    """`fields` holds what differs: name -> (old, new)."""

    kind: Kind
    before: Existing
    key: Key
    fields: Mapping[str, tuple[object, object]]
    because: str = ""


@dataclass(frozen=True, slots=True)
class Remove:
    kind: Kind
    before: Existing


@dataclass(frozen=True, slots=True)
class Keep:
    """Not in the file, but something depends on it. `because` says what."""

    kind: Kind
    before: Existing
    because: str


@dataclass
class Plan:
    """What applying a file would do."""

    adds: list[Add] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)
    removes: list[Remove] = field(default_factory=list)
    keeps: list[Keep] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.adds or self.updates or self.removes)


def make_plan(catalogue: Catalogue, *, prune: bool = False, remove: bool = True) -> Plan:
    """Compare a file with the tables.

    What is not in the file is removed, except where promotions, or without `prune` anything observed,
    depend on it (docs/catalogue.md, "Removing"); with `remove` false it is left alone. Raises
    CatalogueError where the file contradicts what must be kept.
    """
    plan = Plan()
    leftovers: list[tuple[Kind, Existing]] = []
    for kind in KINDS:
        if kind not in catalogue.rows:
            continue
        existing = read_table(kind)
        for row, before in _matched(kind, catalogue.rows[kind], existing):
            _compare(plan, kind, row, before)
        leftovers += [(kind, before) for before in existing.values()]
    if remove:
        _sort_leftovers(plan, leftovers, prune)
    _check_orders(catalogue, plan)
    return plan


def read_table(kind: Kind) -> dict[Key, Existing]:
    """Return a table's rows by the names that the file would call them by."""
    rows = kind.model._default_manager.values_list("pk", *kind.key, *kind.fields)
    size = len(kind.key)
    found = {}
    for pk, *values in rows:
        key = tuple(None if value is None else str(value) for value in values[:size])
        found[key] = Existing(pk, key, dict(zip(kind.fields, values[size:], strict=True)))
    return found


def _matched(
    kind: Kind, rows: tuple[Row, ...], existing: dict[Key, Existing]
) -> Iterator[tuple[Row, Existing | None]]:
    """Pair each row of the file with the table's; what remains in `existing` is not in the file."""
    paired = [(row, existing.pop(row.key, None)) for row in rows]
    for row, before in paired:
        if kind is WEBHOOK_SOURCE and row.key[0] is None:
            yield _known_by_connection(row, existing)
        elif kind is IMAGE and before is None:
            yield row, _renamed_image(row, existing)
        else:
            yield row, before


def _known_by_connection(row: Row, existing: dict[Key, Existing]) -> tuple[Row, Existing | None]:
    """Find the source that a row without an id means: its connection's; else it gets a new id."""
    for key, before in existing.items():
        if before.values["connection__slug"] == row.values["connection__slug"]:
            del existing[key]
            return replace(row, key=key), before
    return replace(row, key=(str(uuid.uuid4()),)), None


def _renamed_image(row: Row, existing: dict[Key, Existing]) -> Existing | None:
    """Find the image under its former name: the repository says which builds are its own."""
    for key, before in existing.items():
        same = before.values["repository"] == row.values["repository"]
        if same and key[0] == row.key[0]:
            return existing.pop(key)
    return None


def _compare(plan: Plan, kind: Kind, row: Row, before: Existing | None) -> None:
    if before is None:
        plan.adds.append(Add(kind, row))
        return
    was = {**dict(zip(kind.key, before.key, strict=True)), **before.values}
    now = {**dict(zip(kind.key, row.key, strict=True)), **row.values}
    fields = {name: (was[name], now[name]) for name in now if was[name] != now[name]}
    if fields:
        plan.updates.append(Update(kind, before, row.key, fields))


def _sort_leftovers(plan: Plan, leftovers: list[tuple[Kind, Existing]], prune: bool) -> None:
    """Decide what goes: from the last kind to the first, since what is kept keeps what it points to."""
    kept: list[tuple[Kind, Existing]] = []
    for kind, before in reversed(leftovers):
        because = kept_because(kind, before.pk, kept=[(k, e.pk, e.key) for k, e in kept], prune=prune)
        if not because:
            plan.removes.append(Remove(kind, before))
            continue
        kept.append((kind, before))
        plan.keeps.append(Keep(kind, before, because))
        closed = closed_fields(kind)
        fields = {
            name: (before.values[name], value)
            for name, value in closed.items()
            if before.values[name] != value
        }
        if fields:
            plan.updates.append(Update(kind, before, before.key, fields, because="no longer in the file"))


def _check_orders(catalogue: Catalogue, plan: Plan) -> None:
    """An environment that must stay keeps its order: no other can have it."""
    orders = {
        keep.before.values["order"]: keep.before.key[0] for keep in plan.keeps if keep.kind is ENVIRONMENT
    }
    problems = [
        Problem(
            row.line,
            f"{row.path}.order",
            f'environment "{orders[row.values["order"]]}" has order {row.values["order"]} and is kept, '
            "because something depends on it: give this one another.",
        )
        for row in catalogue.rows.get(ENVIRONMENT, ())
        if row.values["order"] in orders
    ]
    if problems:
        raise CatalogueError(catalogue.file, problems)


def new_people(plan: Plan) -> tuple[set[str], set[str]]:
    """Return the names of users and of groups that the file's roles speak of (known ones among them)."""
    keys = [add.row.key for add in plan.adds if add.kind is ROLE]
    return {key[0] for key in keys if key[0]}, {key[1] for key in keys if key[1]}
