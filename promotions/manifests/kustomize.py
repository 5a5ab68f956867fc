"""Kustomize: which places decide the images of one overlay, its bases, components and patches included.

The build is followed as far as images go, in Kustomize's order: resources, components, patches, name
prefixes, `images:`. What an overlay overrides in a base is therefore not a candidate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from promotions.manifests.embedded import embedded
from promotions.manifests.errors import NotFound, Unsafe
from promotions.manifests.images import basename
from promotions.manifests.json6902 import PatchSource
from promotions.manifests.keypath import Inside, Path, item_steps
from promotions.manifests.kustomize_images import apply_images
from promotions.manifests.nodes import (
    Node,
    Parsed,
    child,
    items_of,
    mapping_of,
    names_under,
    resolve,
    scalar_of,
    text_of,
)
from promotions.manifests.patches import apply_patch
from promotions.manifests.replacements import Variable, apply_replacement, resolve_variables
from promotions.manifests.resources import Address, Resource, resources_in
from promotions.manifests.sources import add_generated
from promotions.manifests.tree import inside
from promotions.manifests.workspace import Workspace

FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# Kustomize takes what go-getter takes; these marks tell its common forms from a path in the tree.
_REMOTE = ("://", "git@", "github.com/", "gitlab.com/", "bitbucket.org/", "?ref=")
# Real repositories nest three or four deep.
MAX_NESTING = 30
# Hand-written manifests are far smaller; generated bundles far larger.
SMALL = 256 * 1024


@dataclass(slots=True)
class Build:
    """The state of following one root; `image` is the one looked for, `open` the folders on the way.

    `thorough` is set where values are copied from other resources, so that all of them are read.
    """

    workspace: Workspace
    image: str
    open: list[str] = field(default_factory=list)
    resources: list[Resource] = field(default_factory=list)
    charts: list[tuple[str, Address]] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)
    thorough: bool = False


def kustomization_in(workspace: Workspace, folder: str) -> str | None:
    """The path of the folder's kustomization file, or None."""
    names = (f"{folder}/{name}" if folder else name for name in FILE_NAMES)
    return next((path for path in names if workspace.exists(path)), None)


def named_folders(workspace: Workspace, folder: str) -> Iterator[str]:
    """The folders in the tree that a kustomization builds upon: its bases and components."""
    path = kustomization_in(workspace, folder)
    parsed = workspace.parsed(path) if path else None
    root = parsed.documents[0].root if parsed and parsed.documents else None
    for name, line in names_under(root, "resources", "bases", "components"):
        if not any(mark in name for mark in _REMOTE):
            yield inside(name, folder, file=path or folder, line=line)


def build_overlay(workspace: Workspace, folder: str, image: str) -> Build:
    """The whole build of the overlay in `folder`: `resources` and the `helmCharts:` it inflates."""
    state = Build(workspace, image, thorough=_copies_values(workspace, folder))
    state.resources = build(state, folder, [])
    resolve_variables(state.variables, state.resources)
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
    for name, line in names_under(root, "resources", "bases"):
        _add_resource(state, folder, own, name, path, line)
    add_generated(parsed, root, own)
    _note_charts(state, folder, parsed, root)
    for name, line in names_under(root, "components"):
        own = build(state, inside(name, folder, file=path, line=line), own)
    _apply_patches(state, folder, parsed, own, root)
    # Kustomize's own order: patches, names, images, replacements. Whatever comes later decides.
    _rename(own, root)
    apply_images(state.workspace, folder, parsed, own, root)
    _apply_replacements(state, folder, parsed, own, root)
    _note_variables(state, parsed, root)
    state.open.pop()
    return own if _is_component(root) else [*resources, *own]


def _is_component(root: Node | None) -> bool:
    return text_of(child(root, "kind")) == "Component"


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
    # A ConfigMap that holds a version need not contain the word image.
    if state.thorough and len(data) <= SMALL:
        return True
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
            # Entries of `patchesStrategicMerge` are bare texts; the newer lists hold mappings.
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
    # Names add up: a patch of the same overlay still uses the old one, outer overlays the new.
    for resource in resources:
        if prefix or suffix:
            resource.names |= {f"{prefix}{name}{suffix}" for name in resource.names}
        if namespace:
            resource.namespaces |= {namespace, "default"} if not resource.namespaces else {namespace}


def _copies_values(workspace: Workspace, folder: str) -> bool:
    """Whether any kustomization below copies values: then every resource is read, as it may be a source."""
    waiting, seen = [folder], set()
    while waiting:
        here = waiting.pop()
        path = kustomization_in(workspace, here)
        if path is None or here in seen:
            continue
        seen.add(here)
        parsed = workspace.parsed(path)
        root = parsed.documents[0].root if parsed.documents else None
        # `vars` is deprecated in favour of `replacements`, and still built.
        if child(root, "replacements") is not None or child(root, "vars") is not None:
            return True
        # Whether it is a file says the list of the folder above, which is wanted anyway.
        waiting += [each for each in named_folders(workspace, here) if not workspace.exists(each)]
    return False


def _apply_replacements(
    state: Build, folder: str, parsed: Parsed, resources: list[Resource], root: Node | None
) -> None:
    for item in items_of(child(root, "replacements")):
        path = scalar_of(child(item, "path"))
        if path is None:
            apply_replacement(parsed, item, resources)
            continue
        found = state.workspace.parsed(inside(path.value, folder, file=parsed.file, line=path.line))
        for document in found.documents:
            # A file holds one replacement, or a list of them.
            if document.root is not None:
                for each in items_of(document.root) or [document.root]:
                    apply_replacement(found, each, resources)


def _note_variables(state: Build, parsed: Parsed, root: Node | None) -> None:
    for item in items_of(child(root, "vars")):
        state.variables.append(Variable(text_of(child(item, "name")), parsed, item))
