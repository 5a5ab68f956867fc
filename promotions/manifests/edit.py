"""The byte-exact edit: splice scalars, parse again, and prove that nothing else differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import yaml
from yaml.events import AliasEvent, MappingStartEvent, ScalarEvent, SequenceStartEvent

from promotions.manifests.errors import VerificationFailed
from promotions.manifests.keypath import locate, locate_entry
from promotions.manifests.keys import (
    Added,
    KeyChange,
    Removed,
    changed_events,
    check_own,
    key_splices,
    neighbour,
)
from promotions.manifests.nodes import Parsed, Scalar, YamlEvent
from promotions.manifests.parse import parse, reader
from promotions.manifests.scalars import Splice, splice

_Intended = dict[int, str | dict[int, str]]
"""The new values by the ordinals of their scalars; for YAML inside a scalar, by the inner ordinals."""


@dataclass(frozen=True, slots=True)
class NewValue:
    """A scalar and what shall stand there; `key` is for the sentences."""

    scalar: Scalar
    value: str
    key: str


class Edited(NamedTuple):
    """The new file, and the splices that made it: their offsets and lines are those of the old text."""

    data: bytes
    splices: list[Splice]


def apply_edit(data: bytes, key_path: str, value: str, *, document: int = 0, file: str = "") -> bytes:
    """The file with one scalar replaced, every other byte as it was.

    `document` counts from 0. Raises a ManifestError, with nothing changed, when the key is missing, the
    scalar cannot be spliced, or the result would differ elsewhere. Aliases are the caller's business
    (`compute_change` refuses shared values); here the anchor's own scalar is edited.
    """
    parsed = parse(data, file)
    scalar = locate(parsed, document, key_path)
    return edited(parsed, [NewValue(scalar, value, key_path)]).data


def insert_key(data: bytes, key_path: str, value: str, *, document: int = 0, file: str = "") -> bytes:
    """The file with one more key in an existing mapping; see `apply_edit`."""
    # Beside the last plain entry: the order of the others stays as people wrote it.
    parsed = parse(data, file)
    mapping, name = locate_entry(parsed, document, key_path)
    beside = neighbour(parsed, mapping, key_path)
    change = Added(mapping, beside, name, value, key_path)
    check_own(parsed, parsed.documents[document], change)
    return edited(parsed, [change]).data


def remove_key(data: bytes, key_path: str, *, document: int = 0, file: str = "") -> bytes:
    """The file without one key that has a scalar value; see `apply_edit`."""
    parsed = parse(data, file)
    change = Removed(
        locate_entry(parsed, document, key_path)[0], locate(parsed, document, key_path), key_path
    )
    check_own(parsed, parsed.documents[document], change)
    return edited(parsed, [change]).data


def edited(parsed: Parsed, changes: Sequence[NewValue | KeyChange]) -> Edited:
    """The file's bytes with all `changes` made and verified; see `apply_edit`."""
    # Every splice is prepared before the first is made: a refusal leaves nothing half done.
    splices = sorted(splice for each in changes for splice in _splices(parsed, each))
    text = parsed.text
    # From the end, so that earlier offsets stay right.
    for start, end, new, *_ in reversed(splices):
        text = text[:start] + new + text[end:]
    _verify(parsed, text, changes)
    return Edited(parsed.bom + text.encode("utf-8"), splices)


def _splices(parsed: Parsed, change: NewValue | KeyChange) -> list[Splice]:
    if isinstance(change, NewValue):
        return [splice(parsed, change.scalar, change.value, change.key)]
    return key_splices(parsed, change)


def _verify(parsed: Parsed, text: str, changes: Sequence[NewValue | KeyChange]) -> None:
    """Raises VerificationFailed unless exactly the intended scalars have exactly the intended values."""
    line = changes[0].scalar.line if changes else None
    keys = [each for each in changes if not isinstance(each, NewValue)]
    values = _intended([each for each in changes if isinstance(each, NewValue)])
    # Almost every change is of values alone; then the parsed events serve as they are.
    events = parsed.events
    if keys:
        # Positions shift where keys come or go; what is compared stays event by event.
        expected, texts = changed_events(events, keys)
        events = [event for _, event in expected]
        shifted: _Intended = {at: values[old] for at, (old, _) in enumerate(expected) if old in values}
        values = {**shifted, **texts}
    try:
        same = _same(events, reader(text), values)
    except yaml.YAMLError as error:
        raise VerificationFailed(parsed.file, line, f"would not be YAML any more: {error}") from error
    if not same:
        raise VerificationFailed(parsed.file, line, "would change in more than the intended keys")


def _intended(changes: Sequence[NewValue]) -> _Intended:
    intended: _Intended = {}
    for each in changes:
        source = each.scalar.source
        if source is None:
            intended[each.scalar.ordinal] = each.value
        else:
            inner = intended.setdefault(source.holder.ordinal, {})
            assert isinstance(inner, dict)
            inner[each.scalar.ordinal] = each.value
    return intended


def _same(old: Sequence[YamlEvent], read: Callable[[], YamlEvent], intended: _Intended) -> bool:
    """Whether the events are the old ones but for the intended scalars; stops at the first other one."""
    for ordinal, before in enumerate(old):
        # Read one by one: a file that went wrong early is not parsed to its end.
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
    # The outer scalar differs as a whole, so what is inside is compared in the same strict way.
    inner = parse(before.value.encode("utf-8")).events
    return _same(inner, reader(after.value), dict(wanted))
