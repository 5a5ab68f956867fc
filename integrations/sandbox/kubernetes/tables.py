"""`Accept: application/json;as=Table`: the columns kubectl prints, rendered by the server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from integrations.sandbox.kubernetes.kinds import (
    CUSTOM_RUN,
    EVENT,
    EVENT_LISTENER,
    NAMESPACE,
    PIPELINE_RUN,
    POD,
    TASK_RUN,
    Kind,
)

Object = dict[str, Any]
Cell = Callable[[Object], Any]


def wanted(accept: str) -> bool:
    # kubectl offers Table first and plain JSON as a fall-back in one header.
    return "as=Table" in accept


def table(kind: Kind, items: list[Object], version: str, *, include: str = "Metadata") -> Object:
    """Return the objects as a Table; `include` is the request's includeObject."""
    columns = _columns(kind)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": [_definition(name) for name, _ in columns],
        "rows": [
            {"cells": [cell(item) for _, cell in columns], "object": _embedded(item, include)}
            for item in items
        ],
    }


def _definition(name: str) -> Object:
    return {
        "name": name,
        "type": "string",
        "format": "name" if name == "Name" else "",
        "description": "",
        "priority": 0,
    }


def _embedded(item: Object, include: str) -> Object | None:
    if include == "None":
        return None
    if include == "Object":
        return item
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": item["metadata"],
    }


def _columns(kind: Kind) -> list[tuple[str, Cell]]:
    return [("Name", lambda item: item["metadata"]["name"]), *_COLUMNS.get(kind, [("Age", _age)])]


def _status(item: Object) -> Object:
    return item.get("status") or {}


def _condition(field: str) -> Cell:
    def cell(item: Object) -> str:
        return next((c.get(field, "") for c in _status(item).get("conditions", [])), "")

    return cell


def _since(field: str) -> Cell:
    return lambda item: _duration(_status(item).get(field))


def _age(item: Object) -> str:
    return _duration(item["metadata"]["creationTimestamp"])


def _duration(moment: str | None) -> str:
    """Return a time as the server prints a column of type date: how long ago, in short units."""
    if not moment:
        return ""
    seconds = max(0, int((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()))
    if seconds < 120:
        return f"{seconds}s"
    if seconds < 600:
        return f"{seconds // 60}m{seconds % 60}s" if seconds % 60 else f"{seconds // 60}m"
    if seconds < 3 * 3600:
        return f"{seconds // 60}m"
    return f"{seconds // 3600}h" if seconds < 48 * 3600 else f"{seconds // 86400}d"


def _ready(item: Object) -> str:
    states = _status(item).get("containerStatuses", [])
    return f"{sum(bool(s.get('ready')) for s in states)}/{len(item['spec'].get('containers', []))}"


def _pod_status(item: Object) -> str:
    phase: str = _status(item).get("phase", "Pending")
    states = _status(item).get("containerStatuses", [])
    if phase == "Failed" and any(s["state"].get("terminated", {}).get("reason") == "Error" for s in states):
        return "Error"
    return "Completed" if phase == "Succeeded" else phase


_RUN: list[tuple[str, Cell]] = [
    ("Succeeded", _condition("status")),
    ("Reason", _condition("reason")),
    ("StartTime", _since("startTime")),
    ("CompletionTime", _since("completionTime")),
]
_COLUMNS: dict[Kind, list[tuple[str, Cell]]] = {
    PIPELINE_RUN: _RUN,
    TASK_RUN: _RUN,
    CUSTOM_RUN: _RUN,
    POD: [("Ready", _ready), ("Status", _pod_status), ("Restarts", lambda _: "0"), ("Age", _age)],
    NAMESPACE: [("Status", lambda _: "Active"), ("Age", _age)],
    EVENT: [
        ("Reason", lambda item: item.get("reason", "")),
        ("Message", lambda item: item.get("message", "")),
    ],
    EVENT_LISTENER: [
        ("Address", lambda item: _status(item).get("address", {}).get("url", "")),
        ("Available", lambda _: "True"),
        ("Ready", lambda _: "True"),
    ],
}
