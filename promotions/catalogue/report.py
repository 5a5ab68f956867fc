"""A plan in words, for the terminal and the audit."""

from __future__ import annotations

import json
from collections.abc import Iterator

from promotions.catalogue.planning import Plan
from promotions.catalogue.rows import ROLE, WEBHOOK_SOURCE, Key, Kind, Values


def lines(plan: Plan) -> Iterator[str]:
    """Yield one line per change: + added, ~ changed (old -> new), - removed, ! kept and why."""
    for add in plan.adds:
        yield f"+ {name(add.kind, add.row.key, add.row.values)}"
    for update in plan.updates:
        changes = ", ".join(
            f"{field.partition('__')[0]} {_value(old)} -> {_value(new)}"
            for field, (old, new) in update.fields.items()
        )
        because = f" ({update.because})" if update.because else ""
        yield f"~ {name(update.kind, update.before.key, update.before.values)}: {changes}{because}"
    for removal in plan.removes:
        yield f"- {name(removal.kind, removal.before.key, removal.before.values)}"
    for keep in plan.keeps:
        called = name(keep.kind, keep.before.key, keep.before.values)
        yield f"! {called} is not in the file but kept: {keep.because}"


def summary(plan: Plan, *, dry_run: bool) -> str:
    """Return the last line of the report."""
    if plan.is_empty:
        return "Nothing to change."
    counts = f"{len(plan.adds)} added, {len(plan.updates)} changed, {len(plan.removes)} removed"
    return f"Dry run, nothing was changed. It would be: {counts}." if dry_run else f"Done: {counts}."


def name(kind: Kind, key: Key, values: Values) -> str:
    """Return how people call a row."""
    if kind is ROLE:
        user, group, role, application, environment = key
        who = f"user {user}" if user else f"group {group}"
        where = f"{application or 'every application'} in {environment or 'every environment'}"
        return f"role {role} of {who} for {where}"
    if kind is WEBHOOK_SOURCE:
        return f"webhook source {values['connection__slug']} at {key[0]}"
    return f"{kind.noun} {'/'.join(part or '' for part in key)}"


def _value(value: object) -> str:
    return "none" if value is None or value == "" else json.dumps(value, ensure_ascii=False)
