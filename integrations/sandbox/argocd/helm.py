"""As much of Helm as small charts need: values, `.Chart`, `.Release`, `default`, `quote`."""

from __future__ import annotations

import posixpath
import re
from typing import Any

import yaml

from integrations.sandbox.argocd.kustomize import RenderError, documents, merge

Object = dict[str, Any]
_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")


def build(
    files: dict[str, bytes], folder: str, release: str, namespace: str, options: Object
) -> list[Object]:
    """Return what `helm template` prints for the chart in `folder`; `options` is the source's `helm` part."""
    chart = _yaml(files, posixpath.join(folder, "Chart.yaml"))
    known: Object = {
        # Templates spell Chart.yaml's keys with a capital: .Chart.AppVersion.
        "Chart": {key[0].upper() + key[1:]: value for key, value in chart.items()},
        "Release": {"Name": options.get("releaseName") or release, "Namespace": namespace, "Service": "Helm"},
        "Values": _values(files, folder, options),
    }
    items: list[Object] = []
    prefix = posixpath.normpath(posixpath.join(folder, "templates")) + "/"
    for path in sorted(files):
        # Partials (_helpers.tpl) and NOTES.txt make no manifests.
        if path.startswith(prefix) and path.endswith((".yaml", ".yml")):
            text = _ACTION.sub(lambda match: _evaluate(match[1], known), files[path].decode())
            items += documents(text.encode(), path)
    return items


def _values(files: dict[str, bytes], folder: str, options: Object) -> Object:
    values: Object = _yaml(files, posixpath.join(folder, "values.yaml"), optional=True)
    # Helm's order: the chart's own values, files, inline values, valuesObject, parameters.
    for name in options.get("valueFiles", []):
        values = merge(values, _yaml(files, posixpath.normpath(posixpath.join(folder, name))))
    if options.get("values"):
        values = merge(values, yaml.safe_load(options["values"]))
    values = merge(values, options.get("valuesObject") or {})
    for parameter in options.get("parameters", []):
        place = values
        *parents, last = parameter["name"].split(".")
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = parameter["value"]
    return values


def _yaml(files: dict[str, bytes], path: str, *, optional: bool = False) -> Object:
    path = posixpath.normpath(path)
    if path not in files:
        if optional:
            return {}
        raise RenderError(
            f"`helm template .` failed exit status 1: Error: open {path}: no such file or directory"
        )
    return next(iter(documents(files[path], path)), {})


def _evaluate(action: str, known: Object) -> str:
    if action.startswith("/*"):
        return ""
    first, *filters = [part.strip() for part in action.split("|")]
    value = _operand(first, known)
    for name in filters:
        word, _, rest = name.partition(" ")
        if word == "default":
            value = value if value not in (None, "") else _operand(rest, known)
        elif word == "quote":
            value = '"' + str("" if value is None else value) + '"'
        elif word not in ("toString", "trim"):
            raise RenderError(f'`helm template .` failed exit status 1: Error: function "{word}" not defined')
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _operand(text: str, known: Object) -> Any:
    if text.startswith('"'):
        return text.strip('"')
    if text.startswith("default "):
        _, fallback, main = text.split(None, 2)
        given = _operand(main, known)
        return given if given not in (None, "") else _operand(fallback, known)
    value: Any = known
    for key in text.lstrip(".").split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value
