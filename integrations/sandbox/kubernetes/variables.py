"""Tekton's `$(...)` variables, Go durations and `when` expressions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]
# Names may hold dots, brackets and a star: `$(params.list[*])`, `$(params.object.key)`.
_VARIABLE = re.compile(r"\$\(([A-Za-z0-9_.\-\[\]*]+)\)")
_RESULT = re.compile(r"\$\(tasks\.([^.)]+)\.results\.([^)]+)\)")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def substitute(value: Any, known: Mapping[str, Any]) -> Any:
    """Return `value` with every known variable replaced, in strings at any depth; unknown ones stay."""
    if isinstance(value, dict):
        return {key: substitute(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [found for item in value for found in _spread(item, known)]
    if isinstance(value, str):
        # What is unknown stays as it stands: a shell's own `$(date)` looks the same.
        return _VARIABLE.sub(lambda match: str(known.get(match[1], match[0])), value)
    return value


def _spread(item: Any, known: Mapping[str, Any]) -> list[Any]:
    """An array element `$(params.x[*])` stands for all elements of the array."""
    if isinstance(item, str) and item.endswith("[*])") and item[2:-4] in known:
        return list(known[item[2:-4]])
    return [substitute(item, known)]


def result_references(value: Any) -> set[tuple[str, str]]:
    """Return the (task, result) pairs a task refers to."""
    return set(_RESULT.findall(str(value)))


def params(values: list[Object], declared: list[Object]) -> dict[str, Any]:
    """Return the parameters by name, with the declared defaults."""
    # An empty default is a default; only its absence makes a parameter required.
    found = {item["name"]: item["default"] for item in declared if "default" in item}
    return found | {item["name"]: item["value"] for item in values}


def missing(values: list[Object], declared: list[Object]) -> list[str]:
    """Return the names of the declared parameters that have neither value nor default."""
    known = params(values, declared)
    return [item["name"] for item in declared if item["name"] not in known]


def prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{name}": value for name, value in values.items()}


def holds(expression: Object) -> bool:
    """Evaluate one `when` expression whose variables are already replaced."""
    # `in` and `notin` are the only operators.
    return bool((expression["input"] in expression["values"]) == (expression["operator"] == "in"))


def seconds(duration: str) -> float:
    """Return a Go duration ("1h30m0s") in seconds; "0" stands for no limit."""
    # Go writes "1h0m0s"; people write "90s": both are sums of parts.
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(duration))
