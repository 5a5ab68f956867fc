"""Kustomize's `replacements:` and `vars:` as far as they write image fields.

They act after `images:` of the same kustomization. What they write is overwritten at every build, so the
place found is their source; where that can't be edited, the refusal says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from promotions.manifests.errors import ManifestError
from promotions.manifests.images import DIGEST, join_image, split_image
from promotions.manifests.keypath import pointer
from promotions.manifests.model import Part
from promotions.manifests.nodes import Node, Parsed, child, items_of, scalar_of, text_of
from promotions.manifests.patches import selected
from promotions.manifests.places import Place
from promotions.manifests.resources import CONTAINER_LISTS, Resource, Slot, decided_again
from promotions.manifests.sources import Source, reached, segments, source_of

_VARIABLE = re.compile(r"\$\(([A-Za-z_][\w.-]*)\)")


@dataclass(frozen=True, slots=True)
class Variable:
    """An entry of `vars:`; `node` is its mapping in `parsed`."""

    name: str
    parsed: Parsed
    node: Node


@dataclass(frozen=True, slots=True)
class _Write:
    """One field path of one target, and what is written there."""

    source: Source
    steps: list[str]
    delimiter: str
    index: str
    file: str
    line: int

    def refused(self, cause: str) -> ManifestError:
        field = ".".join(self.steps)
        said = f"sets {field} by a replacement whose source {cause}; name the key that decides"
        return ManifestError(self.file, self.line, said)


def apply_replacement(parsed: Parsed, item: Node, resources: list[Resource]) -> None:
    """Changes the image slots that one replacement writes, in place."""
    origin = child(item, "source")
    literal = scalar_of(child(item, "sourceValue"))
    if literal is not None:
        source = Source(literal.value, cause=f"is the fixed value {literal.value!r}")
    else:
        source = source_of(origin, text_of(child(origin, "fieldPath")), resources)
    # A piece of a value has no bytes of its own that a whole version could be written to.
    if text_of(child(origin, "options", "delimiter")):
        source = replace(source, cause=source.cause or "is a piece of a value")
    for target in items_of(child(item, "targets")):
        # Kustomize rejects after it selects, whatever their order in the file.
        rejected = [each for node in items_of(child(target, "reject")) for each in selected(node, resources)]
        met = [each for each in selected(child(target, "select"), resources) if each not in rejected]
        for field in items_of(child(target, "fieldPaths")):
            delimiter, index = (text_of(child(target, "options", key)) for key in ("delimiter", "index"))
            write = _Write(source, segments(text_of(field)), delimiter, index, parsed.file, field.line)
            _apply(write, met, resources)


def _apply(write: _Write, met: list[Resource], resources: list[Resource]) -> None:
    found = False
    for resource in met:
        for number, slot in enumerate(resource.slots):
            if reached(write.steps, slot):
                found = True
                resource.slots[number] = _written(slot, write)
    if write.steps[-1:] == ["image"] and not found:
        # A remote base, or a field that Kustomize creates: what is written there still decides.
        where = pointer(tuple(write.steps))
        slot = _written(Slot(where, where, "", None, None, (), in_containers=_contained(write.steps)), write)
        resources.append(Resource("", "", set(), set(), {}, {}, [slot]))


def _contained(steps: list[str]) -> bool:
    return len(steps) >= 3 and steps[-3] in CONTAINER_LISTS


def _written(slot: Slot, write: _Write) -> Slot:
    """The slot as its source decides it, or with the refusal that says why that can't be told."""
    source = write.source
    # The repository stays as it was: it tells whose version can't be told.
    if source.cause:
        return replace(slot, places=(), refusal=write.refused(source.cause))
    if not write.delimiter:
        return _whole(slot, source)
    if source.place is None or not slot.repository:
        cause = "is a piece of an image" if slot.repository else "goes into an image that is not here"
        return replace(slot, places=(), refusal=write.refused(cause))
    parts = join_image(slot.repository, slot.tag, slot.digest).split(write.delimiter)
    index = write.index or "0"
    # Kustomize adds a part behind for an index beyond the parts there are.
    if index.isdigit() and int(index) < len(parts):
        parts[int(index)] = source.text
    else:
        parts.append(source.text)
    new = pieced(slot, write.delimiter.join(parts), {source.text: source.place})
    return new or replace(slot, places=(), refusal=write.refused("is written into the middle of the image"))


def _whole(slot: Slot, source: Source) -> Slot:
    if source.slot is not None:
        return decided_again(slot, source.slot)
    image = split_image(source.text)
    places = (source.place,) if source.place else ()
    return replace(
        slot, repository=image.repository, tag=image.tag, digest=image.digest, places=places, refusal=None
    )


def pieced(slot: Slot, text: str, pieces: dict[str, Place]) -> Slot | None:
    """The slot whose text is `text` by now: what is exactly one of the pieces is decided by its place.

    None where a piece is neither the repository nor the whole tag or digest.
    """
    image = split_image(text)
    new = replace(slot, repository=image.repository, tag=image.tag, digest=image.digest, refusal=None)
    version = text[len(image.repository) + 1 :]
    if version in pieces:
        return replace(new, places=(replace(pieces[version], part=_part(version)),))
    places: list[Place] = []
    for value, part, old in ((image.tag, Part.TAG, slot.tag), (image.digest, Part.DIGEST, slot.digest)):
        if value is not None and value in pieces:
            places.append(replace(pieces[value], part=part))
        elif value != old:
            return None
        elif value is not None:
            # This part stays decided where it was; one scalar may hold it with the other part.
            places += [place for place in slot.places if place not in places]
    group = places[0].group if places else ""
    return replace(new, places=tuple(replace(place, together=group) for place in places) or slot.places)


def _part(version: str) -> Part:
    return Part.DIGEST if DIGEST.match(version) else Part.TAG


def resolve_variables(variables: list[Variable], resources: list[Resource]) -> None:
    """Puts the values of `vars:` into the image fields that name them; Kustomize does so last of all."""
    # Names are unique across the whole build, or Kustomize refuses it.
    known = {each.name: each for each in variables}
    for resource in resources:
        for number, slot in enumerate(resource.slots):
            names = _VARIABLE.findall(join_image(slot.repository, slot.tag, slot.digest))
            # An unknown name stays in the text, and is refused as no valid version.
            if names and all(name in known for name in names):
                resource.slots[number] = _resolved(slot, [known[name] for name in names], resources)


def _resolved(slot: Slot, variables: list[Variable], resources: list[Resource]) -> Slot:
    text = join_image(slot.repository, slot.tag, slot.digest)
    pieces: dict[str, Place] = {}
    for each in variables:
        path = text_of(child(each.node, "fieldref", "fieldpath"))
        source = source_of(child(each.node, "objref"), path, resources)
        written = f"$({each.name})"
        if source.place is None or source.cause:
            return replace(slot, places=(), refusal=_unresolved(each, source.cause or "is an image field"))
        # The variable is the image as a whole, its repository included.
        if text == written:
            return _whole(slot, source)
        text = text.replace(written, source.text)
        pieces[source.text] = source.place
    new = pieced(slot, text, pieces)
    if new is None or not new.places:
        cause = "is only a piece of the tag or digest"
        return replace(slot, places=(), refusal=_unresolved(variables[0], cause))
    return new


def _unresolved(variable: Variable, cause: str) -> ManifestError:
    said = f"puts $({variable.name}) into an image, whose source {cause}; name the key that decides"
    return ManifestError(variable.parsed.file, variable.node.line, said)
