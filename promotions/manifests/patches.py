"""Kustomize patches, as far as they decide an image: strategic merge and JSON6902."""

from __future__ import annotations

import re
from collections.abc import Iterator

from promotions.manifests.json6902 import PatchSource, apply_operations
from promotions.manifests.keypath import pointer, render, walk
from promotions.manifests.model import Kind, Part
from promotions.manifests.nodes import (
    Node,
    SequenceNode,
    child,
    mapping_of,
    text_of,
)
from promotions.manifests.places import Place
from promotions.manifests.resources import (
    CONTAINER_LISTS,
    Resource,
    decided_again,
    resource_at,
)


def apply_patch(source: PatchSource, resources: list[Resource]) -> None:
    """Changes `resources` in place as the patch would; unmet patches add what they set.

    A patch whose base is not in the tree (a remote base) still decides, so it becomes a resource.
    """
    if isinstance(source.root, SequenceNode):
        _apply_json(source, resources)
    elif mapping_of(source.root) is not None:
        _apply_strategic(source, resources)


def _apply_strategic(source: PatchSource, resources: list[Resource]) -> None:
    mapping = mapping_of(source.root)
    assert mapping is not None
    patch = resource_at(source.parsed, source.number, mapping, source.prefix, Kind.PATCH)
    chosen = list(selected(source.target, resources) if source.target else _same_identity(patch, resources))
    # The whole resource goes, with every image in it.
    if text_of(mapping.get("$patch")) == "delete":
        for resource in chosen:
            resources.remove(resource)
        return
    # Kustomize fails when the base is here and does not match; then the cluster never sees the patch.
    if not chosen:
        resources.append(patch)
    for resource in chosen:
        _merge(resource, patch, source.root)
        resource.patched += _fields(source)


def _fields(source: PatchSource) -> Iterator[tuple[str, Place | None]]:
    for path, scalar in walk(source.root, file=source.parsed.file):
        full = (*source.prefix, *path)
        place = Place(source.parsed, source.number, full, scalar, Kind.KUSTOMIZE_SOURCE, Part.IMAGE)
        yield pointer(path), place


def _merge(resource: Resource, patch: Resource, root: Node) -> None:
    # Containers merge by `name`, which is why the rendered key path can stand for the merge key.
    by_key = {slot.key: slot for slot in patch.slots}
    removed = tuple(_deleted_containers(root))
    kept = [slot for slot in resource.slots if not slot.key.startswith(removed)]
    resource.slots = [
        decided_again(slot, by_key.pop(slot.key)) if slot.key in by_key else slot for slot in kept
    ]
    resource.slots.extend(by_key.values())


def _deleted_containers(root: Node) -> Iterator[str]:
    """Key prefixes of containers that carry `$patch: delete`."""
    for path, scalar in walk(root):
        if (
            path[-1] == "$patch"
            and scalar.value == "delete"
            and len(path) > 2
            and path[-3] in CONTAINER_LISTS
        ):
            yield render(path[:-1]) + "."


def _same_identity(patch: Resource, resources: list[Resource]) -> Iterator[Resource]:
    for resource in resources:
        same = resource.kind == patch.kind and _group(resource) == _group(patch)
        spaces = resource.namespaces, patch.namespaces
        if same and resource.names & patch.names and (not all(spaces) or spaces[0] & spaces[1]):
            yield resource


def _group(resource: Resource) -> str:
    # The version is left out: a mismatch fails the build, and the group tells kinds apart.
    group, slash, _ = resource.api_version.partition("/")
    return group if slash else ""


def selected(target: Node | None, resources: list[Resource]) -> Iterator[Resource]:
    """The resources that a `target:` selects; its names are regular expressions that match in full."""
    for resource in resources:
        # The core group has no name: `v1` is version v1 of group "".
        group, _, version = resource.api_version.rpartition("/")
        facts = {"group": {group}, "version": {version}, "kind": {resource.kind}}
        # Old and new names count, as after a prefix of an inner overlay.
        facts |= {"name": resource.names, "namespace": resource.namespaces}
        texts = all(_matches(text_of(child(target, key)), values) for key, values in facts.items())
        labels = _has_labels(text_of(child(target, "labelSelector")), resource.labels)
        if (
            texts
            and labels
            and _has_labels(text_of(child(target, "annotationSelector")), resource.annotations)
        ):
            yield resource


def _matches(pattern: str, values: set[str]) -> bool:
    if not pattern:
        return True
    # Patterns come from a repository: all but the simple ones count as a plain name, for bounded time.
    simple = re.fullmatch(r"[\w.-]*(\.\*)?[\w.-]*(\|[\w.-]+)*|\(?[\w.|-]+\)?", pattern)
    return any(re.fullmatch(pattern, value) if simple else pattern == value for value in values)


def _has_labels(selector: str, labels: dict[str, str]) -> bool:
    # Equality and existence only; a set-based selector (`in (...)`) matches nothing here.
    for term in filter(None, (part.strip() for part in selector.split(","))):
        key, equals, value = term.replace("==", "=").partition("=")
        if equals and labels.get(key.strip()) != value.strip():
            return False
        if not equals and key not in labels:
            return False
    return True


def _apply_json(source: PatchSource, resources: list[Resource]) -> None:
    chosen = list(selected(source.target, resources))
    if not chosen:
        chosen = [_unmet(source.target)]
        resources.extend(chosen)
    apply_operations(source, chosen)


def _unmet(target: Node | None) -> Resource:
    name = text_of(child(target, "name"))
    return Resource("", text_of(child(target, "kind")), {name} if name else set(), set(), {}, {})
