"""The `fields` parameter of list and stream: a fixed set of paths, and nothing else, can be selected."""

from __future__ import annotations

import copy
from typing import Any

Object = dict[str, Any]
SELECTABLE = (
    *(
        f"metadata.{n}"
        for n in ("name", "namespace", "annotations", "labels", "creationTimestamp", "deletionTimestamp")
    ),
    "spec",
    *(f"spec.{n}" for n in ("destination", "project", "source", "sources", "sourceHydrator", "syncPolicy")),
    "operation.sync",
    *(
        f"status.{n}"
        for n in ("health", "resources", "summary", "sourceHydrator", "sync.status", "sync.revision")
    ),
    *(f"status.operationState.{n}" for n in ("phase", "startedAt", "finishedAt", "operation.sync")),
)


def select(application: Object, fields: str, prefix: str) -> Object:
    """Return the parts of an Application that `fields` asks for; "-" in front leaves them out instead."""
    exclude = fields.startswith("-")
    asked = {name.removeprefix(prefix) for name in fields.removeprefix("-").split(",")}
    # What is not in the set is left out without a word: a typo gives an emptier answer (argocd-api.md section
    # 3).
    chosen = [path for path in SELECTABLE if path in asked]
    if exclude:
        kept = copy.deepcopy(application)
        for path in chosen:
            _remove(kept, path.split("."))
        return kept
    picked: Object = {"metadata": {}, "spec": {}, "status": {}}
    for path in chosen:
        _copy(application, picked, path)
    return picked


def _copy(source: Object, target: Object, path: str) -> None:
    keys = path.split(".")
    # A quirk: this path really carries the result of the sync.
    found = _find(
        source,
        ["status", "operationState", "syncResult"]
        if path.endswith("operation.sync") and len(keys) > 2
        else keys,
    )
    if found is None and path == "status.operationState.finishedAt" and "operationState" in source["status"]:
        target["status"].setdefault("operationState", {})["finishedAt"] = None
    if found is None:
        return
    for key in keys[:-1]:
        target = target.setdefault(key, {})
    target[keys[-1]] = found


def _find(source: Any, keys: list[str]) -> Any:
    for key in keys:
        source = source.get(key) if isinstance(source, dict) else None
    return copy.deepcopy(source)


def _remove(target: Any, keys: list[str]) -> None:
    for key in keys[:-1]:
        target = target.get(key, {})
    target.pop(keys[-1], None)
