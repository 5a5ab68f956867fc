"""An environment's `policy` and the file's `freezes`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from promotions.catalogue.problems import Problems, shown, suggestion
from promotions.catalogue.reading import Keys, line_of
from promotions.catalogue.rows import Row
from promotions.choices import Role, Severity
from promotions.policy.rules import BREAKABLE, CAUSES, LET_OFF, PREVIOUS
from promotions.policy.windows import BadRule, check_cron, length, local_time, zone

_NEEDS = "needs starts with ends or lasts, or from with to."


def policy_of(keys: Keys, *, guarded: bool) -> dict[str, Any]:
    """Return the column's content: only what is set, so that a later default reaches older rows.

    `guarded` environments honour GitLab's freeze periods unless they say otherwise.
    """
    if "policy" not in keys:
        return {} if guarded else {"gitlab_freezes": False}
    below = keys.keys("policy")
    values: dict[str, Any] = {
        "requires": [name for name, _line in below.texts("requires")],
        "soak": _minutes(below, "soak"),
        "verified_upstream": below.flag("verified_upstream", False),
        "approvals": _approvals(below),
        "bar_authors": below.flag("bar_authors", False),
        "approvals_expire": _minutes(below, "approvals_expire"),
        "worst_finding": below.choice("worst_finding", Severity.values),
        "pipeline_green": below.flag("pipeline_green", False),
        "checks": _checks(below),
        "time_zone": _zone(below, ""),
        "rollback": _rollback(below),
        "break_glass": _break_glass(below),
    }
    if (values["soak"] or values["verified_upstream"]) and not values["requires"]:
        below.missing("requires", "It is where the version must soak or be verified.")
    honours = below.flag("gitlab_freezes", guarded)
    stuck = _stuck_after(below)
    below.finish()
    found = {name: value for name, value in values.items() if value} | stuck
    return found if honours else {**found, "gitlab_freezes": False}


def check_requires(top: Keys, environments: Mapping[str, Row], problems: Problems) -> None:
    """Report names that are no environment; asked once all of them are known."""
    for name, row in environments.items():
        policy = row.values["policy"]
        assert isinstance(policy, dict)
        for wanted in policy.get("requires", ()):
            if wanted == name or (wanted != PREVIOUS and wanted not in environments):
                message = f"there is no other environment {shown(wanted)}.{suggestion(wanted, environments)}"
                problems.add(row.line, f"{row.path}.policy.requires", message)


def _minutes(keys: Keys, key: str) -> int:
    text = keys.text(key)
    if not text:
        return 0
    try:
        return int(length(text).total_seconds() // 60)
    except BadRule as error:
        keys.wrong(key, f"{error}.")
        return 0


def _stuck_after(keys: Keys) -> dict[str, Any]:
    """Zero is a value here, written "never"; without the key there is a default."""
    if "stuck_after" not in keys:
        return {}
    return {"stuck_after": 0 if keys.text("stuck_after") == "never" else _minutes(keys, "stuck_after")}


def _approvals(keys: Keys) -> list[dict[str, Any]]:
    found = []
    for node, path in keys.items("approvals"):
        rule = Keys(node, path, keys.problems, line=line_of(node))
        group, role = rule.text("group", longest=150), rule.choice("role", Role.values)
        if bool(group) == bool(role):
            rule.problems.add(rule.line, path, "must name either group or role.")
        count = rule.number("count", 1, most=100)
        name = rule.text("name", group or role, longest=100)
        found.append({"name": name, "count": count, "group": group, "role": role})
        rule.finish()
    return found


def _checks(keys: Keys) -> list[dict[str, str]]:
    found = []
    for name, line, node, path in keys.named("checks"):
        rule = Keys(node, path, keys.problems, line=line)
        url, secret, group = rule.address("url"), rule.secret("secret"), rule.text("group", longest=150)
        if url and not secret:
            rule.missing("secret", "What Slipway asks is signed with it.")
        if url and group:
            rule.wrong("group", "means something only without url: then its members report the state.")
        found.append({"name": name, "url": url, "secret": secret, "group": group})
        rule.finish()
    return found


def _rollback(keys: Keys) -> dict[str, Any]:
    """Only what is set: what is absent is as for every promotion."""
    if "rollback" not in keys:
        return {}
    below = keys.keys("rollback")
    values: dict[str, Any] = {
        "skip": _names(below, "skip", LET_OFF),
        "automatic": _names(below, "automatic", CAUSES),
        "degraded_for": _minutes(below, "degraded_for"),
        "watch": _minutes(below, "watch"),
    }
    for key in ("degraded_for", "watch"):
        if key in below and not values["automatic"]:
            below.wrong(key, "means something only with automatic.")
    found = {name: value for name, value in values.items() if value}
    if "required_approvals" in below:
        # 0 is a rule, too: roll-backs then go by themselves.
        found["required_approvals"] = below.number("required_approvals", 0, most=100)
    below.finish()
    return found


def _break_glass(keys: Keys) -> dict[str, Any]:
    """An empty list of gates is a rule, too: nobody breaks the glass there."""
    if "break_glass" not in keys:
        return {}
    below = keys.keys("break_glass")
    found: dict[str, Any] = {}
    if "roles" in below:
        found["roles"] = _names(below, "roles", tuple(Role.values))
        if not found["roles"]:
            below.wrong("roles", "must name at least one role; gates: [] closes it to everybody.")
    if "gates" in below:
        found["gates"] = _names(below, "gates", BREAKABLE)
    below.finish()
    return found


def _names(keys: Keys, key: str, known: Sequence[str]) -> list[str]:
    found = []
    for name, line in keys.texts(key):
        if name not in known:
            hint = suggestion(name, known)
            keys.problems.add(line, keys.at(key), f"{shown(name)} is not one of {', '.join(known)}.{hint}")
        found.append(name)
    return found


def freeze_values(keys: Keys) -> dict[str, object]:
    """Read one freeze; what is wrong with it is added to the problems."""
    values: dict[str, object] = {
        "reason": keys.text("reason"),
        "starts": _cron(keys, "starts"),
        "ends": _cron(keys, "ends"),
        "lasts": _minutes(keys, "lasts"),
        "begins_at": _local(keys, "from"),
        "ends_at": _local(keys, "to"),
        "time_zone": _zone(keys, "UTC"),
    }
    if "time_zone" not in keys:
        keys.missing("time_zone", "An IANA name, for example Europe/Berlin.")
    given = {key for key in ("starts", "ends", "lasts", "from", "to") if key in keys}
    if given not in ({"starts", "ends"}, {"starts", "lasts"}, {"from", "to"}):
        keys.problems.add(keys.line, keys.path, _NEEDS)
    elif values["begins_at"] and str(values["begins_at"]) >= str(values["ends_at"]):
        keys.wrong("to", "must be later than from.")
    return values


def _cron(keys: Keys, key: str) -> str:
    text = keys.text(key, longest=100)
    if text and (problem := check_cron(text)):
        keys.wrong(key, f"{problem}.")
        return ""
    return text


def _local(keys: Keys, key: str) -> str:
    text = keys.text(key, longest=32)
    if not text:
        return ""
    try:
        return local_time(text).isoformat(timespec="minutes")
    except BadRule as error:
        keys.wrong(key, f"{error}; put it in quotes.")
        return ""


def _zone(keys: Keys, default: str) -> str:
    name = keys.text("time_zone", default, longest=64)
    try:
        zone(name or "UTC")
    except BadRule as error:
        keys.wrong("time_zone", f"{error}.")
    return name
