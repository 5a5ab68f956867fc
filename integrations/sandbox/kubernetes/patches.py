"""The two patch formats custom resources take: merge patch (RFC 7396) and JSON patch (RFC 6902)."""

from __future__ import annotations

import copy
from typing import Any

from integrations.sandbox.kubernetes.answers import ApiError

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"


def merge(target: Any, patch: Any) -> Any:
    """Return `target` changed by a merge patch: null removes, objects merge, the rest replaces."""
    # A list replaces the whole list: merge patch knows no elements.
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def apply_operations(target: Any, operations: list[dict[str, Any]]) -> Any:
    """Return `target` changed by JSON patch operations; raise a 422 when one cannot be done."""
    result = copy.deepcopy(target)
    for operation in operations:
        try:
            _apply(result, operation)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            text = f"the server rejected our request due to an error in our request: {operation!r}"
            # The Dashboard's `replace` of a spec.status that is absent ends here (tekton-api.md section 4).
            raise ApiError(422, "Invalid", text) from error
    return result


def _apply(target: Any, operation: dict[str, Any]) -> None:
    parent, key = _locate(target, operation["path"])
    match operation["op"]:
        case "add":
            _add(parent, key, operation["value"])
        case "replace":
            _item(parent, key)  # replacing what is not there is an error
            parent[_index(parent, key)] = operation["value"]
        case "remove":
            del parent[_index(parent, key)]
        case "test":
            if _item(parent, key) != operation["value"]:
                raise ValueError("test failed")
        case other:
            raise ValueError(f"unknown operation {other}")


def _locate(target: Any, pointer: str) -> tuple[Any, str]:
    # In this order: "~01" means "~1", not a slash.
    keys = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for key in keys[:-1]:
        target = _item(target, key)
    return target, keys[-1]


def _item(parent: Any, key: str) -> Any:
    return parent[_index(parent, key)]


def _index(parent: Any, key: str) -> Any:
    return int(key) if isinstance(parent, list) else key


def _add(parent: Any, key: str, value: Any) -> None:
    if isinstance(parent, list):
        # "-" is the place behind the last element.
        parent.insert(len(parent) if key == "-" else int(key), value)
    else:
        parent[key] = value
