"""Where Kustomize's `replacements:` and `vars:` take a value from: a field of a resource in the build.

What they write is overwritten at each build, so the place to edit is the source, or nothing is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from promotions.manifests.images import join_image
from promotions.manifests.keypath import Item, Path, item_steps, parse_path, pointer
from promotions.manifests.model import Kind, Part
from promotions.manifests.nodes import (
    Node,
    Parsed,
    Scalar,
    child,
    items_of,
    mapping_of,
    resolve,
    scalar_of,
    text_of,
)
from promotions.manifests.places import Place, literal_value
from promotions.manifests.resources import Resource, Slot

_QUERY = re.compile(r"\[(?P<key>[^=\]]+)=(?P<value>.*)\]\Z")
# A query may hold dots of its own: `[name=registry.example.com/app]`.
_SEGMENT = re.compile(r"(?:\[[^\]]*\]|\\.|[^.\\\[])+")


@dataclass(frozen=True, slots=True)
class Source:
    """A value in force, and what decides it: a scalar, or (an image field itself) a slot.

    `cause` says, as the end of a sentence, why neither can be edited.
    """

    text: str = ""
    place: Place | None = None
    slot: Slot | None = None
    cause: str = ""


def segments(field_path: str) -> list[str]:
    """The steps of a `fieldPath`: separated by dots, `[name=web]` one step, `\\.` a dot in a key."""
    return [part.replace("\\.", ".") for part in _SEGMENT.findall(field_path)]


def source_of(selector: Node | None, field_path: str, resources: list[Resource]) -> Source:
    """The value at `field_path` of the one resource that `selector` names."""
    found = [each for each in resources if _is_named(selector, each)]
    name = f"{text_of(child(selector, 'kind')) or 'resource'} {text_of(child(selector, 'name'))}".strip()
    # Kustomize fails for none, and for several; a guess between them would be ours alone.
    if len(found) != 1:
        count = "of which there are several" if found else "which is not in this repository"
        return Source(cause=f"is the {name}, {count}")
    resource, steps = found[0], segments(field_path or "metadata.name")
    # An image field may have been overridden on the way: its slot knows by whom.
    slot = next((each for each in resource.slots if reached(steps, each)), None)
    if slot is not None:
        return Source(join_image(slot.repository, slot.tag, slot.digest), slot=slot)
    place = _place(resource, steps)
    if place is None or not text_of(place.scalar):
        return Source(cause=f"is {field_path} of the {name}, which is no single value in this repository")
    text = text_of(place.scalar)
    return Source(literal_value(text) if place.kind is Kind.KUSTOMIZE_LITERAL else text, place)


def _is_named(selector: Node | None, resource: Resource) -> bool:
    """Unlike a target's, the names of a source are plain text; an empty one matches anything."""
    group, _, version = resource.api_version.rpartition("/")
    written = text_of(child(selector, "apiVersion"))
    # A resource without a namespace counts as one of `default`.
    facts = [
        ("kind", {resource.kind}),
        ("name", resource.names),
        ("namespace", resource.namespaces or {"default"}),
        ("group", {group}),
        ("version", {version}),
    ]
    same = all(text_of(child(selector, key)) in {"", *values} for key, values in facts)
    return same and written in {"", resource.api_version}


def _place(resource: Resource, steps: list[str]) -> Place | None:
    """The scalar in force: the newest patch that set the field, else the resource's own."""
    path, scalar = _own(resource, steps)
    where = pointer(path) if path is not None else pointer(tuple(steps))
    # Overlays like to patch the ConfigMap, so the base's own value may long be overridden.
    for written, place in reversed(resource.patched):
        if written == where:
            return place
        # A patch of the whole list or mapping around it, or one that goes on below it.
        if where.startswith(written + "/") or written.startswith(where + "/"):
            return None
    if len(steps) == 2 and steps[0] == "data" and steps[1] in resource.generated:
        return resource.generated[steps[1]]
    if scalar is None or path is None or resource.at is None:
        return None
    full = (*resource.at.path, *path)
    return Place(resource.at.parsed, resource.at.number, full, scalar, Kind.KUSTOMIZE_SOURCE, Part.IMAGE)


def _own(resource: Resource, steps: list[str]) -> tuple[Path | None, Scalar | None]:
    node: Node | None = resource.at.node if resource.at else None
    path: Path = ()
    for step in steps:
        items = items_of(node)
        if items:
            item = _item(items, step)
            if item is None:
                return None, None
            path, node = (*path, item), resolve(items[item.number])
        else:
            path, node = (*path, step), child(node, step)
    return path, scalar_of(node)


def _item(items: list[Node], step: str) -> Item | None:
    named = item_steps(items)
    if step.isdigit():
        return named[int(step)] if int(step) < len(items) else None
    query = _QUERY.match(step)
    met = [
        each
        for each, item in zip(named, items, strict=True)
        if query and text_of(child(item, query["key"])) == query["value"]
    ]
    return met[0] if len(met) == 1 else None


def reached(steps: list[str], slot: Slot) -> bool:
    """Whether a field path leads to this image field, `*` and list queries included."""
    where = [part.replace("~1", "/").replace("~0", "~") for part in slot.pointer.split("/")[1:]]
    # A slot that a JSON patch made is known by its pointer alone.
    named = parse_path(slot.key) if slot.key and not slot.key.startswith("/") else ()
    if len(steps) != len(where):
        return False
    for number, step in enumerate(steps):
        if step in {where[number], "*"}:
            continue
        query = _QUERY.match(step)
        here = named[number] if number < len(named) else None
        if not (
            query and isinstance(here, Item) and (here.key, here.value) == (query["key"], query["value"])
        ):
            return False
    return True


def generated_maps(parsed: Parsed, root: Node | None) -> Iterator[Resource]:
    """The ConfigMaps that `configMapGenerator:` makes, with the values of their literals."""
    items = items_of(child(root, "configMapGenerator"))
    for step, item in zip(item_steps(items), items, strict=True):
        mapping = mapping_of(item)
        if mapping is None:
            continue
        name = text_of(mapping.get("name"))
        made = Resource("v1", "ConfigMap", {name} if name else set(), set(), {}, {})
        literals = items_of(mapping.get("literals"))
        for inner, literal in zip(item_steps(literals), literals, strict=True):
            scalar, path = scalar_of(literal), ("configMapGenerator", step, "literals", inner)
            # Kustomize strips quotes around the value, which an edit would have to keep.
            if scalar is not None and scalar.value.partition("=")[2][:1] not in {"", "'", '"'}:
                kind = Kind.KUSTOMIZE_LITERAL
                place = Place(parsed, 0, path, scalar, kind, Part.IMAGE)
                made.generated[scalar.value.partition("=")[0]] = place
        yield made


def add_generated(parsed: Parsed, root: Node | None, resources: list[Resource]) -> None:
    """Adds the generated ConfigMaps; one with `behavior: merge` changes the one that is there."""
    for made in generated_maps(parsed, root):
        known = [each for each in resources if each.kind == "ConfigMap" and each.names & made.names]
        # `behavior: replace` would drop the other keys; copying a dropped one fails Kustomize's build.
        for each in known:
            each.generated |= made.generated
        if not known:
            resources.append(made)
