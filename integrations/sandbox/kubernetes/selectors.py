"""Label and field selectors (reference kubernetes-watch.md section 1)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from integrations.sandbox.kubernetes.answers import bad_request
from integrations.sandbox.kubernetes.kinds import EVENT, POD, Kind

Object = dict[str, Any]
Test = Callable[[Object], bool]
_SET = re.compile(r"^\s*(\S+)\s+(in|notin)\s+\(([^)]*)\)\s*$")
# A comma inside "in (a,b)" does not end the term.
_TERMS = re.compile(r",(?![^(]*\))")

# Custom resources can be selected by name and namespace only; core ones by a few fields more.
_FIELDS = {
    POD: {"status.phase", "spec.nodeName"},
    EVENT: {
        "involvedObject.kind",
        "involvedObject.name",
        "involvedObject.namespace",
        "involvedObject.uid",
        "reason",
        "type",
    },
}


def parse(kind: Kind, labels: str, fields: str) -> Test:
    """Return the test an object must pass; raise a 400 for a field that cannot be selected by."""
    tests = [_label_test(term) for term in _TERMS.split(labels) if term.strip()]
    tests += [_field_test(kind, term) for term in fields.split(",") if term.strip()]
    return lambda item: all(test(item) for test in tests)


def _label_test(term: str) -> Test:
    if found := _SET.match(term):
        key, operator, raw = found.groups()
        values = {value.strip() for value in raw.split(",")}
        # `notin` and `!=` also take what lacks the label altogether.
        return lambda item: (_labels(item).get(key) in values) == (operator == "in")
    if "!=" in term:
        key, value = (part.strip() for part in term.split("!=", 1))
        return lambda item: _labels(item).get(key) != value
    if "=" in term:
        key, value = (part.strip() for part in re.split("==?", term, maxsplit=1))
        return lambda item: _labels(item).get(key) == value
    name = term.strip()
    if name.startswith("!"):
        return lambda item: name[1:] not in _labels(item)
    return lambda item: name in _labels(item)


def _labels(item: Object) -> dict[str, str]:
    return item["metadata"].get("labels") or {}


def _field_test(kind: Kind, term: str) -> Test:
    negated = "!=" in term
    path, value = (part.strip() for part in re.split("!=|==?", term, maxsplit=1))
    if path not in {"metadata.name", "metadata.namespace"} | _FIELDS.get(kind, set()):
        # 400 and not an empty list: a wrong field would otherwise look like "nothing there".
        raise bad_request(f"field label not supported: {path}")
    return lambda item: (_field(item, path) == value) != negated


def _field(item: Object, path: str) -> str:
    found: Any = item
    for key in path.split("."):
        found = found.get(key, {}) if isinstance(found, dict) else {}
    return str(found) if found != {} else ""
