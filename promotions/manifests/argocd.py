"""Argo CD: what an Application sets by itself, and the Image Updater's `.argocd-source-<app>.yaml`.

Both have the same schema: a source with `kustomize.images`, `helm.parameters`, `helm.valuesObject`,
`helm.values`. It lies over what the source's path in the tree says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from promotions.manifests.embedded import embedded
from promotions.manifests.errors import Unsafe
from promotions.manifests.helm import chart_in, file_values, values_slots
from promotions.manifests.images import basename, same_repository, split_image
from promotions.manifests.keypath import Inside, Path, item_steps
from promotions.manifests.kustomize import build_overlay, kustomization_in
from promotions.manifests.model import Kind, Part
from promotions.manifests.nodes import Node, child, items_of, mapping_of, scalar_of, text_of
from promotions.manifests.places import Place, image_in
from promotions.manifests.resources import Address, Resource, Slot
from promotions.manifests.tree import inside
from promotions.manifests.values import Branch, Leaf, at, merged, values_of
from promotions.manifests.workspace import Workspace

UPDATER_PREFIX = ".argocd-source"


@dataclass(frozen=True, slots=True)
class Source:
    """One source of an application: where it is written, and the folder it builds, if that is in the tree."""

    address: Address
    folder: str | None
    updater: bool = False

    def kind(self, kind: Kind) -> Kind:
        return Kind.IMAGE_UPDATER if self.updater else kind


def is_application(resource: Resource) -> bool:
    """Whether a resource is an Argo CD Application or ApplicationSet."""
    # Any version of the group: v1alpha1 has been the only one for years, and need not stay so.
    return resource.api_version.startswith("argoproj.io/") and resource.kind in {
        "Application",
        "ApplicationSet",
    }


def application_slots(workspace: Workspace, resource: Resource, image: str) -> list[Slot]:
    """The slots that an Application decides, and below them those of the path it builds."""
    slots: list[Slot] = []
    # Several sources may name the image: each is a place of its own, and none overrides another.
    for address in _sources(resource.at):
        slots += _chart_source(address, image)
        folder = text_of(child(address.node, "path"))
        # The source may be of another repository; then the folder is not here, and only overrides count.
        in_tree = inside(folder, file=address.parsed.file) if folder else None
        slots += source_slots(workspace, Source(address, in_tree), image)
    return slots


def _sources(address: Address | None) -> Iterator[Address]:
    if address is None:
        return
    # An ApplicationSet holds the Application it stamps out under spec.template.
    for path in (("spec",), ("spec", "template", "spec")):
        spec = child(address.node, *path)
        steps: list[tuple[Path, Node | None]] = [(("source",), child(spec, "source"))]
        items = items_of(child(spec, "sources"))
        steps += [(("sources", step), item) for step, item in zip(item_steps(items), items, strict=True)]
        for step, node in steps:
            mapping = mapping_of(node)
            if mapping is not None:
                yield Address(address.parsed, address.number, (*address.path, *path, *step), mapping)


def _chart_source(address: Address, image: str) -> Iterator[Slot]:
    """A chart from an OCI registry whose version is the image's tag: `repoURL` + `chart` name it."""
    name = f"{text_of(child(address.node, 'repoURL')).rstrip('/')}/{text_of(child(address.node, 'chart'))}"
    revision = scalar_of(child(address.node, "targetRevision"))
    if revision is not None and not name.endswith("/") and same_repository(name, image):
        path: Path = (*address.path, "targetRevision")
        kind, part = Kind.ARGOCD_TARGET_REVISION, Part.VERSION
        place = Place(address.parsed, address.number, path, revision, kind, part)
        yield Slot("", "", name, revision.value, None, (place,))


def source_slots(workspace: Workspace, source: Source, image: str) -> list[Slot]:
    """The slots of one source: of Kustomize, of Helm, or both, as far as it sets them."""
    return [*_kustomize_slots(workspace, source, image), *_helm_slots(workspace, source, image)]


def _kustomize_slots(workspace: Workspace, source: Source, image: str) -> list[Slot]:
    slots: list[Slot] = []
    if source.folder is not None and kustomization_in(workspace, source.folder) is not None:
        resources = build_overlay(workspace, source.folder, image).resources
        slots = [slot for resource in resources for slot in resource.slots]
    for place, old in _image_overrides(source):
        new = image_in(place.scalar.value)
        met = [slot for slot in slots if slot.repository == old]
        for slot in met:
            _override(slot, place)
        if not met and (new.tag or new.digest):
            slots.append(Slot("", "", new.repository, new.tag, new.digest, (place,)))
    return slots


def _override(slot: Slot, place: Place) -> None:
    new = image_in(place.scalar.value)
    # The tag below stays in force when the override only renames.
    slot.repository = new.repository
    if new.tag or new.digest:
        slot.tag, slot.digest, slot.places, slot.refusal = new.tag, new.digest, (place,), None


def _image_overrides(source: Source) -> Iterator[tuple[Place, str]]:
    """The entries of `kustomize.images` (`[old=]new[:tag][@digest]`) with the name they replace."""
    address = source.address
    items = items_of(child(address.node, "kustomize", "images"))
    for step, item in zip(item_steps(items), items, strict=True):
        scalar = scalar_of(item)
        if scalar is not None:
            path: Path = (*address.path, "kustomize", "images", step)
            kind = source.kind(Kind.ARGOCD_KUSTOMIZE_IMAGE)
            # Argo CD hands each entry to `kustomize edit set image`, hence the `old=new` form.
            old, equals, _ = scalar.value.partition("=")
            name = old if equals else split_image(scalar.value).repository
            yield Place(address.parsed, address.number, path, scalar, kind, Part.IMAGE), name


def _helm_slots(workspace: Workspace, source: Source, image: str) -> list[Slot]:
    # Without a chart in the tree (an OCI or classic repository) the values alone tell what is overridden.
    chart = chart_in(workspace, source.folder) if source.folder is not None else None
    layers = [*_value_files(workspace, source), *_inline_values(source, image)]
    if chart is None and not layers:
        return []
    together = f"{source.address.parsed.file}#{source.address.number}"
    return values_slots(workspace, chart, image, layers, together)


def _value_files(workspace: Workspace, source: Source) -> Iterator[Branch]:
    """`helm.valueFiles` that lie in the tree; `$ref/path` names the root of another source's repository."""
    for item in items_of(child(source.address.node, "helm", "valueFiles")):
        scalar = scalar_of(item)
        if scalar is None or "://" in scalar.value:
            continue
        # `$name` is a `ref` of another source, and Argo CD reads a leading `/` from the repository root.
        from_root = scalar.value.startswith(("$", "/"))
        name = scalar.value.partition("/")[2] if from_root else scalar.value
        folder = "" if from_root else source.folder or ""
        path = inside(name, folder, file=source.address.parsed.file, line=scalar.line)
        if workspace.exists(path):
            yield file_values(workspace, path)


def _inline_values(source: Source, image: str) -> Iterator[Branch]:
    address = source.address
    kind = source.kind(Kind.ARGOCD_HELM_VALUES)
    yield from _values_block(source, image, kind)
    path: Path = (*address.path, "helm", "valuesObject")
    values = child(address.node, "helm", "valuesObject")
    # A map, not text, and it wins over `values`.
    if values is not None:
        yield values_of(address.parsed, address.number, values, path, kind)
    # Order of precedence: valueFiles, values, valuesObject, parameters; the last wins.
    parameters = list(_parameters(source))
    if parameters:
        yield _together(parameters)


def _values_block(source: Source, image: str, kind: Kind) -> Iterator[Branch]:
    """`helm.values`, which is YAML in a block of text."""
    address = source.address
    scalar = scalar_of(child(address.node, "helm", "values"))
    if scalar is None or not scalar.value.strip():
        return
    inner = embedded(address.parsed, scalar)
    if inner is not None and inner.parsed.documents:
        path: Path = (*address.path, "helm", "values", Inside(0))
        yield values_of(address.parsed, address.number, inner.parsed.documents[0].root, path, kind)
    elif basename(image) in scalar.value:
        cause = "holds the image in folded or escaped helm.values; write a literal block (|)"
        raise Unsafe(address.parsed.file, scalar.line, cause)


def _parameters(source: Source) -> Iterator[Branch]:
    address = source.address
    items = items_of(child(address.node, "helm", "parameters"))
    for step, item in zip(item_steps(items), items, strict=True):
        name, value = text_of(child(item, "name")), scalar_of(child(item, "value"))
        if name and value is not None:
            path: Path = (*address.path, "helm", "parameters", step, "value")
            kind = source.kind(Kind.ARGOCD_HELM_PARAMETER)
            yield at(name, Leaf(address.parsed, address.number, path, value, kind))


def _together(parameters: list[Branch]) -> Branch:
    result = parameters[0]
    for each in parameters[1:]:
        joined = merged(result, each)
        assert isinstance(joined, Branch)
        result = joined
    return result


def updater_sources(workspace: Workspace, folder: str) -> Iterator[Source]:
    """The Image Updater's files in a folder; each belongs to one application that builds the folder."""
    for path in workspace.files_in(folder):
        if path.rpartition("/")[2].startswith(UPDATER_PREFIX):
            parsed = workspace.parsed(path)
            mapping = mapping_of(parsed.documents[0].root) if parsed.documents else None
            if mapping is not None:
                yield Source(Address(parsed, 0, (), mapping), folder, updater=True)
