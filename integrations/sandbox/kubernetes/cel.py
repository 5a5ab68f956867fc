"""The part of CEL that trigger filters and overlays use, read through Python's own parser."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

_PARTS = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, group: item in group,
}
_CONSTANTS = {"true": True, "false": False, "null": None}
# CEL's own functions and those Tekton adds (tekton-api.md section 7).
_METHODS: dict[str, Callable[..., Any]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": lambda text, part: part in text,
    "matches": lambda text, pattern: re.search(pattern, text) is not None,
    "replace": str.replace,
    "split": str.split,
    "lowerAscii": str.lower,
    "truncate": lambda text, length: text[:length],
    "size": len,
}


class CelError(Exception):
    """The expression can't be read, or names something the event does not have."""


class Header(dict[str, str]):
    """The request's headers, with the lookups Tekton adds; names are compared without case."""

    def match(self, name: str, value: str) -> bool:
        return self.canonical(name) == value

    def canonical(self, name: str) -> str:
        return self.get(name.lower(), "")


def evaluate(expression: str, known: Mapping[str, Any]) -> Any:
    """Return the value of an expression over `body`, `header`, `extensions`; raise CelError."""
    try:
        tree = ast.parse(_as_python(expression), mode="eval")
        return _value(tree.body, known)
    except (SyntaxError, KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise CelError(f"failed to evaluate {expression!r}: {error}") from error


def _as_python(expression: str) -> str:
    parts = _PARTS.split(expression)
    for index in range(0, len(parts), 2):  # the odd ones are string literals
        part = parts[index].replace("&&", " and ").replace("||", " or ")
        # A lone `!` is CEL's "not"; `!=` is the same in both languages.
        parts[index] = re.sub(r"!(?!=)", " not ", part)
    return "".join(parts).strip()


def _value(node: ast.expr, known: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return _CONSTANTS[name] if name in _CONSTANTS else known[name]
        # A field that is not there is an error, which refuses the event; has() asks first.
        case ast.Attribute(value=inner, attr=name):
            return _value(inner, known)[name]
        case ast.Subscript(value=inner, slice=index):
            return _value(inner, known)[_value(index, known)]
        case ast.List(elts=items):
            return [_value(item, known) for item in items]
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return not _value(inner, known)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _value(left, known) + _value(right, known)
        case ast.BoolOp(op=kind, values=values):
            combine = all if isinstance(kind, ast.And) else any
            return combine(_value(item, known) for item in values)
        case ast.Compare(left=left, ops=[kind], comparators=[right]):
            return _COMPARE[type(kind)](_value(left, known), _value(right, known))
        case ast.Call():
            return _call(node, known)
    raise CelError(f"not supported: {ast.dump(node)}")


def _call(node: ast.Call, known: Mapping[str, Any]) -> Any:
    if isinstance(node.func, ast.Name) and node.func.id == "has":
        return _has(node.args[0], known)
    if not isinstance(node.func, ast.Attribute):
        raise CelError("only methods and has() can be called")
    target, arguments = _value(node.func.value, known), [_value(item, known) for item in node.args]
    if isinstance(target, Header) and node.func.attr in ("match", "canonical"):
        return getattr(target, node.func.attr)(*arguments)
    return _METHODS[node.func.attr](target, *arguments)


def _has(node: ast.expr, known: Mapping[str, Any]) -> bool:
    try:
        _value(node, known)
    except KeyError:
        return False
    return True
