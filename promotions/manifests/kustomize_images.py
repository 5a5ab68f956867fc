"""Kustomize's `images:` and its older spelling as a transformer: which image fields they set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from promotions.manifests.images import split_image
from promotions.manifests.keypath import Path, item_steps
from promotions.manifests.model import Kind, Part
from promotions.manifests.nodes import (
    MappingNode,
    Node,
    Parsed,
    child,
    items_of,
    mapping_of,
    names_under,
    scalar_of,
    text_of,
)
from promotions.manifests.places import Place, parts_of
from promotions.manifests.resources import Resource, Slot
from promotions.manifests.tree import inside
from promotions.manifests.workspace import Workspace

VIRTUAL = "*"
"""The kind of the stand-in for a resource that is not in the tree, for `images:` to meet."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One item of `images:`; the places are those of its newTag, digest and (holding a tag) newName."""

    name: str
    new_name: str
    tag: str | None
    digest: str | None
    places: tuple[Place, ...]


def apply_images(
    workspace: Workspace, folder: str, parsed: Parsed, resources: list[Resource], root: Node | None
) -> None:
    """Changes the slots that the kustomization's `images:` meet, in place."""
    fields = _configured_fields(workspace, folder, parsed, root)
    items = items_of(child(root, "images"))
    for step, item in zip(item_steps(items), items, strict=True):
        mapping = mapping_of(item)
        if mapping is not None:
            _meet(_entry(parsed, mapping, ("images", step)), resources, fields)
    for entry, extra in _transformers(workspace, folder, parsed, root):
        _meet(entry, resources, fields | extra)


def _meet(entry: _Entry, resources: list[Resource], fields: frozenset[str]) -> None:
    met = False
    for resource in resources:
        for number, slot in enumerate(resource.slots):
            # Kustomize compares the name as text: `nginx` does not meet `docker.io/library/nginx`.
            reached = slot.in_containers or _matches_field(slot.pointer, fields)
            if reached and slot.repository == entry.name:
                resource.slots[number] = _transformed(slot, entry)
                met = True
    if not met and entry.name:
        # Its repository goes on to the overlays outside, which may rename it again.
        stand_in = Slot(f"images[{entry.name}]", "", entry.name, None, None, ())
        resources.append(Resource("", VIRTUAL, set(), set(), {}, {}, [_transformed(stand_in, entry)]))


def _transformed(slot: Slot, entry: _Entry) -> Slot:
    """Kustomize's rule: a new tag drops the old digest and a new digest the old tag; both may be given."""
    name = entry.new_name or slot.repository
    # `newName` alone keeps the version of the base.
    if entry.tag is None and entry.digest is None:
        return replace(slot, repository=name)
    return replace(
        slot, repository=name, tag=entry.tag, digest=entry.digest, places=entry.places, refusal=None
    )


def _entry(parsed: Parsed, mapping: MappingNode, path: Path, number: int = 0) -> _Entry:
    # A `newName` without a version changes where the image comes from, not which version runs.
    places: list[Place] = []
    tag = digest = None
    new_name = text_of(mapping.get("newName"))
    named = split_image(new_name)
    # Some teams write the tag into newName, and Kustomize lets them.
    if (scalar := scalar_of(mapping.get("newName"))) and (named.tag or named.digest):
        tag, digest = named.tag, named.digest
        places.append(Place(parsed, number, (*path, "newName"), scalar, Kind.KUSTOMIZE_NEW_NAME, Part.IMAGE))
    if (scalar := scalar_of(mapping.get("newTag"))) and text_of(scalar):
        parts = parts_of(scalar.value, Part.TAG)
        tag, digest = parts.tag, parts.digest
        places.append(Place(parsed, number, (*path, "newTag"), scalar, Kind.KUSTOMIZE_NEW_TAG, Part.TAG))
    if (scalar := scalar_of(mapping.get("digest"))) and text_of(scalar):
        digest = scalar.value
        places.append(Place(parsed, number, (*path, "digest"), scalar, Kind.KUSTOMIZE_DIGEST, Part.DIGEST))
    return _Entry(text_of(mapping.get("name")), named.repository, tag, digest, tuple(places))


def _transformers(
    workspace: Workspace, folder: str, parsed: Parsed, root: Node | None
) -> Iterator[tuple[_Entry, frozenset[str]]]:
    """`transformers:` files of the kind ImageTagTransformer: `images:` by another name."""
    # Inline transformers are rare, and remote ones are not fetched: neither is followed.
    for name, line in names_under(root, "transformers"):
        if "\n" in name or not workspace.exists(path := inside(name, folder, file=parsed.file, line=line)):
            continue
        found = workspace.parsed(path)
        for document in found.documents:
            mapping = mapping_of(child(document.root, "imageTag"))
            if mapping is not None and text_of(child(document.root, "kind")) == "ImageTagTransformer":
                entry = _entry(found, mapping, ("imageTag",), document.number)
                yield entry, _field_specs(child(document.root, "fieldSpecs"))


def _configured_fields(
    workspace: Workspace, folder: str, parsed: Parsed, root: Node | None
) -> frozenset[str]:
    """Further image fields that `configurations:` files name, such as `spec/runtime/image`."""
    fields: frozenset[str] = frozenset()
    for name, line in names_under(root, "configurations"):
        path = inside(name, folder, file=parsed.file, line=line)
        for document in workspace.parsed(path).documents:
            fields |= _field_specs(child(document.root, "images"))
    return fields


def _field_specs(node: Node | None) -> frozenset[str]:
    return frozenset(text_of(child(item, "path")) for item in items_of(node))


def _matches_field(where: str, fields: frozenset[str]) -> bool:
    # Field specs know no indices: `spec/containers[]/image` means every container.
    plain = "/".join(part for part in where.split("/") if part and not part.isdigit())
    return any(plain == each.replace("[]", "") for each in fields)
