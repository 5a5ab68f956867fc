"""The byte-exact edit: splice scalars, parse again, and prove that nothing else differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import yaml
from yaml.events import AliasEvent, MappingStartEvent, ScalarEvent, SequenceStartEvent

from promotions.manifests.errors import VerificationFailed
from promotions.manifests.keypath import locate
from promotions.manifests.nodes import Parsed, Scalar, YamlEvent
from promotions.manifests.parse import parse, reader
from promotions.manifests.scalars import splice

_Intended = dict[int, str | dict[int, str]]
"""The new values by the ordinals of their scalars; for YAML inside a scalar, by the inner ordinals."""


@dataclass(frozen=True, slots=True)
class NewValue:
    """A scalar and what shall stand there; `key` is for the sentences."""

    scalar: Scalar
    value: str
    key: str


def apply_edit(data: bytes, key_path: str, value: str, *, document: int = 0, file: str = "") -> bytes:
    """The file with one scalar replaced, every other byte as it was.

    `document` counts from 0. Raises a ManifestError, with nothing changed, when the key is missing, the
    scalar cannot be spliced, or the result would differ elsewhere. Aliases are the caller's business
    (`compute_change` refuses shared values); here the anchor's own scalar is edited.
    """
    parsed = parse(data, file)
    scalar = locate(parsed, document, key_path)
    return edited(parsed, [NewValue(scalar, value, key_path)])


def edited(parsed: Parsed, changes: Sequence[NewValue]) -> bytes:
    """The file's bytes with all `changes` made and verified; see `apply_edit`."""
    # Every splice is prepared before the first is made: a refusal leaves nothing half done.
    spans = [splice(parsed, each.scalar, each.value, each.key) for each in changes]
    text = parsed.text
    # From the end, so that earlier offsets stay right.
    for start, end, new in sorted(spans, reverse=True):
        text = text[:start] + new + text[end:]
    _verify(parsed, text, changes)
    return parsed.bom + text.encode("utf-8")


def _verify(parsed: Parsed, text: str, changes: Sequence[NewValue]) -> None:
    """Raises VerificationFailed unless exactly the intended scalars have exactly the intended values."""
    intended: _Intended = {}
    for each in changes:
        source = each.scalar.source
        if source is None:
            intended[each.scalar.ordinal] = each.value
        else:
            inner = intended.setdefault(source.holder.ordinal, {})
            assert isinstance(inner, dict)
            inner[each.scalar.ordinal] = each.value
    line = changes[0].scalar.line if changes else None
    try:
        same = _same(parsed.events, reader(text), intended)
    except yaml.YAMLError as error:
        raise VerificationFailed(parsed.file, line, f"would not be YAML any more: {error}") from error
    if not same:
        raise VerificationFailed(parsed.file, line, "would change in more than the intended keys")


def _same(old: Sequence[YamlEvent], read: Callable[[], YamlEvent], intended: _Intended) -> bool:
    """Whether the events are the old ones but for the intended scalars; stops at the first other one."""
    for ordinal, before in enumerate(old):
        after = read()
        kind: type[object] = type(before)
        if kind is not type(after):
            return False
        if kind is ScalarEvent:
            if ordinal in intended:
                if not _as_intended(before, after, intended[ordinal]):
                    return False
            # `implicit` tells plain from quoted and tagged.
            elif before.value != after.value or before.implicit != after.implicit:
                return False
            if before.anchor != after.anchor:
                return False
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            if before.anchor != after.anchor or before.tag != after.tag:
                return False
        elif kind is AliasEvent and before.anchor != after.anchor:
            return False
    return True


def _as_intended(before: YamlEvent, after: YamlEvent, wanted: str | dict[int, str]) -> bool:
    """The scalar has the new value; or the YAML inside it differs in the intended scalars alone."""
    if isinstance(wanted, str):
        return after.value == wanted
    inner = parse(before.value.encode("utf-8")).events
    return _same(inner, reader(after.value), dict(wanted))
