"""Kustomize: which places decide the images of one overlay, its bases, components and patches included.

The build is followed as far as images go, in Kustomize's order: resources, components, patches, name
prefixes, `images:`. What an overlay overrides in a base is therefore not a candidate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from promotions.manifests.embedded import embedded
from promotions.manifests.errors import ManifestError, NotFound, Unsafe
from promotions.manifests.images import basename, split_image
from promotions.manifests.json6902 import PatchSource
from promotions.manifests.keypath import Inside, Path, item_steps
from promotions.manifests.model import Kind, Part
from promotions.manifests.nodes import (
    MappingNode,
    Node,
    Parsed,
    child,
    items_of,
    mapping_of,
    resolve,
    scalar_of,
    text_of,
)
from promotions.manifests.patches import apply_patch
from promotions.manifests.places import Place, parts_of
from promotions.manifests.resources import Address, Resource, Slot, resources_in
from promotions.manifests.tree import inside
from promotions.manifests.workspace import Workspace

FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_REMOTE = ("://", "git@", "github.com/", "gitlab.com/", "bitbucket.org/", "?ref=")
MAX_NESTING = 30
SMALL = 256 * 1024
VIRTUAL = "*"
"""The kind of the stand-in for a resource that is not in the tree, for `images:` to meet."""


@dataclass(slots=True)
class Build:
    """The state of following one root; `image` is the one looked for, `open` the folders on the way."""

    workspace: Workspace
    image: str
    open: list[str] = field(default_factory=list)
    resources: list[Resource] = field(default_factory=list)
    charts: list[tuple[str, Address]] = field(default_factory=list)


def kustomization_in(workspace: Workspace, folder: str) -> str | None:
    """The path of the folder's kustomization file, or None."""
    names = (f"{folder}/{name}" if folder else name for name in FILE_NAMES)
    return next((path for path in names if workspace.exists(path)), None)


def named_folders(workspace: Workspace, folder: str) -> Iterator[str]:
    """The folders in the tree that a kustomization builds upon: its bases and components."""
    path = kustomization_in(workspace, folder)
    parsed = workspace.parsed(path) if path else None
    root = parsed.documents[0].root if parsed and parsed.documents else None
    for name, line in _entries(root, "resources", "bases", "components"):
        if not any(mark in name for mark in _REMOTE):
            yield inside(name, folder, file=path or folder, line=line)


def build_overlay(workspace: Workspace, folder: str, image: str) -> Build:
    """The whole build of the overlay in `folder`: `resources` and the `helmCharts:` it inflates."""
    state = Build(workspace, image)
    state.resources = build(state, folder, [])
    return state


def build(state: Build, folder: str, resources: list[Resource]) -> list[Resource]:
    """What the kustomization in `folder` makes of `resources` (a component) or adds to them."""
    path = kustomization_in(state.workspace, folder)
    if path is None:
        raise NotFound(folder or "/", None, "has no kustomization.yaml")
    if folder in state.open or len(state.open) > MAX_NESTING:
        raise Unsafe(
            path, None, f"takes part in a circle of kustomizations: {' -> '.join([*state.open, folder])}"
        )
    state.open.append(folder)
    parsed = state.workspace.parsed(path)
    root = parsed.documents[0].root if parsed.documents else None
    # A component works on everything its user has gathered; a base only on its own resources.
    own = resources if _is_component(root) else []
    # `bases:` is the older name of `resources:`, and still accepted.
    for name, line in _entries(root, "resources", "bases"):
        _add_resource(state, folder, own, name, path, line)
    _note_charts(state, folder, parsed, root)
    for name, line in _entries(root, "components"):
        own = build(state, inside(name, folder, file=path, line=line), own)
    _apply_patches(state, folder, parsed, own, root)
    _rename(own, root)
    _refuse_replacements(parsed, root, state.image)
    _apply_images(state, folder, parsed, own, root)
    state.open.pop()
    return own if _is_component(root) else [*resources, *own]


def _is_component(root: Node | None) -> bool:
    return text_of(child(root, "kind")) == "Component"


def _entries(root: Node | None, *keys: str) -> Iterator[tuple[str, int]]:
    for key in keys:
        for item in items_of(child(root, key)):
            scalar = scalar_of(item)
            if scalar is not None and scalar.value:
                yield scalar.value, scalar.line


def _add_resource(
    state: Build, folder: str, resources: list[Resource], name: str, path: str, line: int
) -> None:
    # Fetching a remote base is the builder's work; `images:` and patches here still decide over it.
    if any(mark in name for mark in _REMOTE):
        return
    target = inside(name, folder, file=path, line=line)
    if state.workspace.exists(target):
        if _worth_parsing(state, target):
            resources.extend(resources_in(state.workspace.parsed(target)))
    elif kustomization_in(state.workspace, target) is not None:
        resources.extend(build(state, target, []))
    else:
        raise NotFound(path, line, f"names the resource {name!r}, which does not exist")


def _note_charts(state: Build, folder: str, parsed: Parsed, root: Node | None) -> None:
    items = items_of(child(root, "helmCharts"))
    for step, item in zip(item_steps(items), items, strict=True):
        mapping = mapping_of(item)
        if mapping is not None:
            state.charts.append((folder, Address(parsed, 0, ("helmCharts", step), mapping)))


def _worth_parsing(state: Build, path: str) -> bool:
    """Bundles of CRDs are megabytes of schemas: only with the image's own name are they worth their time."""
    data = state.workspace.read(path)
    return basename(state.image).encode() in data or (len(data) <= SMALL and b"image" in data)


def _apply_patches(
    state: Build, folder: str, parsed: Parsed, resources: list[Resource], root: Node | None
) -> None:
    for source in _patch_sources(state, folder, parsed, root):
        apply_patch(source, resources)


def _patch_sources(state: Build, folder: str, parsed: Parsed, root: Node | None) -> Iterator[PatchSource]:
    # Kustomize's order, whatever the order in the file; the first and last are the deprecated spellings.
    for key in ("patchesStrategicMerge", "patches", "patchesJson6902"):
        items = items_of(child(root, key))
        for step, item in zip(item_steps(items), items, strict=True):
            path: Path = (key, step)
            mapping = mapping_of(item)
            if mapping is None:
                yield from _patch_text(state, folder, parsed, item, path, None)
                continue
            target = mapping.get("target")
            if mapping.get("patch") is not None:
                yield from _inline(state, parsed, mapping.get("patch"), (*path, "patch"), target)
            elif (name := scalar_of(mapping.get("path"))) is not None:
                yield from _patch_file(
                    state, inside(name.value, folder, file=parsed.file, line=name.line), target
                )


def _patch_text(
    state: Build, folder: str, parsed: Parsed, item: Node, path: Path, target: Node | None
) -> Iterator[PatchSource]:
    """An entry of `patchesStrategicMerge`: a file's name, or the patch itself."""
    scalar = scalar_of(item)
    if scalar is None:
        return
    if "\n" in scalar.value or scalar.value.lstrip().startswith("{"):
        yield from _inline(state, parsed, scalar, path, target)
    else:
        yield from _patch_file(
            state, inside(scalar.value, folder, file=parsed.file, line=scalar.line), target
        )


def _patch_file(state: Build, path: str, target: Node | None) -> Iterator[PatchSource]:
    parsed = state.workspace.parsed(path)
    for document in parsed.documents:
        if document.root is not None:
            yield PatchSource(parsed, document.number, (), _resolved(document.root), target)


def _inline(
    state: Build, parsed: Parsed, node: Node | None, path: Path, target: Node | None
) -> Iterator[PatchSource]:
    scalar = scalar_of(node)
    if scalar is None:
        return
    inner = embedded(parsed, scalar)
    if inner is None:
        if basename(state.image) in scalar.value:
            cause = "holds the image in a folded or escaped inline patch; write it as a literal block (|)"
            raise Unsafe(parsed.file, scalar.line, cause)
        return
    for document in inner.parsed.documents:
        if document.root is not None:
            prefix: Path = (*path, Inside(document.number))
            yield PatchSource(parsed, 0, prefix, _resolved(document.root), target)


def _resolved(node: Node) -> Node:
    found = resolve(node)
    assert found is not None
    return found


def _rename(resources: list[Resource], root: Node | None) -> None:
    """Overlays further out may name a resource by its old or by its new name."""
    prefix, suffix = text_of(child(root, "namePrefix")), text_of(child(root, "nameSuffix"))
    namespace = text_of(child(root, "namespace"))
    for resource in resources:
        if prefix or suffix:
            resource.names |= {f"{prefix}{name}{suffix}" for name in resource.names}
        if namespace:
            resource.namespaces |= {namespace, "default"} if not resource.namespaces else {namespace}


def _refuse_replacements(parsed: Parsed, root: Node | None, image: str) -> None:
    """`replacements:` can copy any value into an image field; following them is a guess."""
    for item in items_of(child(root, "replacements")):
        for target in items_of(child(item, "targets")):
            for field_path in items_of(child(target, "fieldPaths")):
                scalar = scalar_of(field_path)
                if scalar is not None and scalar.value.endswith(".image"):
                    cause = f"sets {scalar.value} by a replacement; name the key that decides {image}"
                    raise ManifestError(parsed.file, scalar.line, cause)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One item of `images:`; the places are those of its newTag, digest and (holding a tag) newName."""

    name: str
    new_name: str
    tag: str | None
    digest: str | None
    places: tuple[Place, ...]


def _apply_images(
    state: Build, folder: str, parsed: Parsed, resources: list[Resource], root: Node | None
) -> None:
    fields = _configured_fields(state, folder, parsed, root)
    items = items_of(child(root, "images"))
    for step, item in zip(item_steps(items), items, strict=True):
        mapping = mapping_of(item)
        if mapping is not None:
            _meet(_entry(parsed, mapping, ("images", step)), resources, fields)
    for entry, extra in _transformers(state, folder, parsed, root):
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
    state: Build, folder: str, parsed: Parsed, root: Node | None
) -> Iterator[tuple[_Entry, frozenset[str]]]:
    """`transformers:` files of the kind ImageTagTransformer: `images:` by another name."""
    for name, line in _entries(root, "transformers"):
        if "\n" in name or not state.workspace.exists(
            path := inside(name, folder, file=parsed.file, line=line)
        ):
            continue
        found = state.workspace.parsed(path)
        for document in found.documents:
            mapping = mapping_of(child(document.root, "imageTag"))
            if mapping is not None and text_of(child(document.root, "kind")) == "ImageTagTransformer":
                entry = _entry(found, mapping, ("imageTag",), document.number)
                yield entry, _field_specs(child(document.root, "fieldSpecs"))


def _configured_fields(state: Build, folder: str, parsed: Parsed, root: Node | None) -> frozenset[str]:
    """Further image fields that `configurations:` files name, such as `spec/runtime/image`."""
    fields: frozenset[str] = frozenset()
    for name, line in _entries(root, "configurations"):
        path = inside(name, folder, file=parsed.file, line=line)
        for document in state.workspace.parsed(path).documents:
            fields |= _field_specs(child(document.root, "images"))
    return fields


def _field_specs(node: Node | None) -> frozenset[str]:
    return frozenset(text_of(child(item, "path")) for item in items_of(node))


def _matches_field(where: str, fields: frozenset[str]) -> bool:
    plain = "/".join(part for part in where.split("/") if part and not part.isdigit())
    return any(plain == each.replace("[]", "") for each in fields)
