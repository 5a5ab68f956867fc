"""Which tool builds a root, and its slots: Kustomize, Helm, Argo CD, or nothing (plain manifests)."""

from __future__ import annotations

from collections.abc import Iterator

from promotions.manifests.argocd import (
    UPDATER_PREFIX,
    application_slots,
    is_application,
    source_slots,
    updater_sources,
)
from promotions.manifests.errors import NotFound
from promotions.manifests.helm import (
    chart_above,
    chart_in,
    chart_slots,
    dependency_slots,
    file_values,
    values_slots,
)
from promotions.manifests.images import same_repository
from promotions.manifests.keypath import Path
from promotions.manifests.kustomize import FILE_NAMES, build_overlay, kustomization_in, named_folders
from promotions.manifests.kustomize_images import VIRTUAL
from promotions.manifests.model import Kind, Part
from promotions.manifests.nodes import Parsed, child, items_of, scalar_of, text_of
from promotions.manifests.places import Place
from promotions.manifests.plain import mentions, resources_of_files
from promotions.manifests.resources import Address, Resource, Slot
from promotions.manifests.tree import inside
from promotions.manifests.values import values_of
from promotions.manifests.workspace import YAML_SUFFIXES, Workspace


def slots_under(workspace: Workspace, root: str, image: str) -> list[Slot]:
    """All slots of a file or folder; those of the wanted image are among them."""
    # The folder first: it is what Stages name, and behind an API each question costs a request.
    if workspace.is_folder(root):
        return list(_folder(workspace, root, image))
    if workspace.exists(root):
        return list(_file(workspace, root, image))
    raise NotFound(root or "/", None, "does not exist in the manifest repository")


def files_under(workspace: Workspace, root: str) -> Iterator[str]:
    """The YAML and JSON files that a bare key path is looked for in; listed when they are gone through."""
    if workspace.exists(root):
        yield root
        return
    for folder in workspace.folders_under(root):
        yield from (path for path in workspace.files_in(folder) if path.endswith(YAML_SUFFIXES))


def _file(workspace: Workspace, path: str, image: str) -> Iterator[Slot]:
    folder, _, name = path.rpartition("/")
    # Naming the file means its folder: that is what the tools build.
    if name in FILE_NAMES or name == "Chart.yaml":
        yield from _folder(workspace, folder, image)
    elif name.startswith(UPDATER_PREFIX):
        for source in updater_sources(workspace, folder):
            if source.address.parsed.file == path:
                yield from source_slots(workspace, source, image)
    elif _is_manifest(workspace.parsed(path)):
        yield from _resource_slots(workspace, resources_of_files(workspace, [path], image), image)
    else:
        yield from _values_file(workspace, path, image)


def _is_manifest(parsed: Parsed) -> bool:
    return any(
        text_of(child(each.root, "kind")) and child(each.root, "apiVersion") for each in parsed.documents
    )


def _values_file(workspace: Workspace, path: str, image: str) -> Iterator[Slot]:
    """A values file lies over its chart's; other files without resources are read in the same way."""
    chart = chart_above(workspace, path) if not path.endswith("requirements.yaml") else None
    parsed = workspace.parsed(path)
    # requirements.yaml is Helm 2's place for them, and still read.
    yield from dependency_slots(parsed, image)
    # Helm takes one document; in a team's own file of several, each stands for itself.
    for document in parsed.documents:
        layer = values_of(parsed, document.number, document.root)
        yield from values_slots(workspace, chart, image, [layer], f"{path}#{document.number}")


def _folder(workspace: Workspace, folder: str, image: str) -> Iterator[Slot]:
    sources = list(updater_sources(workspace, folder))
    chart = chart_in(workspace, folder)
    # Argo CD lays the Image Updater's file over whatever the folder builds, so it is read first.
    if sources:
        for source in sources:
            yield from source_slots(workspace, source, image)
    elif kustomization_in(workspace, folder) is not None:
        yield from _overlay(workspace, folder, image)
    elif chart is not None:
        yield from chart_slots(workspace, chart, image)
    else:
        yield from _plain_folder(workspace, folder, image)


def _overlay(workspace: Workspace, folder: str, image: str) -> Iterator[Slot]:
    built = build_overlay(workspace, folder, image)
    yield from _resource_slots(workspace, built.resources, image)
    for where, address in built.charts:
        yield from _inflated(workspace, where, address, image)


def _resource_slots(workspace: Workspace, resources: list[Resource], image: str) -> Iterator[Slot]:
    """Stand-ins for remote bases count only where no real resource has the image."""
    real = [slot for each in resources if each.kind != VIRTUAL for slot in each.slots]
    virtual = [slot for each in resources if each.kind == VIRTUAL for slot in each.slots]
    applications = [each for each in resources if is_application(each)]
    yield from real
    if not any(same_repository(slot.repository, image) for slot in real):
        yield from virtual
    for application in applications:
        yield from application_slots(workspace, application, image)


def _inflated(workspace: Workspace, folder: str, address: Address, image: str) -> Iterator[Slot]:
    """An item of `helmCharts:`: its version, its values files, its inline values."""
    node, file = address.node, address.parsed.file
    name = f"{text_of(child(node, 'repo')).rstrip('/')}/{text_of(child(node, 'name'))}"
    version = scalar_of(child(node, "version"))
    if version is not None and same_repository(name, image):
        path: Path = (*address.path, "version")
        kind = Kind.CHART_DEPENDENCY_VERSION
        place = Place(address.parsed, address.number, path, version, kind, Part.VERSION)
        yield Slot("", "", name, version.value, None, (place,))
    files = [child(node, "valuesFile"), *items_of(child(node, "additionalValuesFiles"))]
    paths = [inside(text_of(each), folder, file=file) for each in files if text_of(each)]
    layers = [file_values(workspace, path) for path in paths if workspace.exists(path)]
    inline = child(node, "valuesInline")
    if inline is not None:
        layers.append(values_of(address.parsed, address.number, inline, (*address.path, "valuesInline")))
    if layers:
        yield from values_slots(workspace, None, image, layers, file)


def _plain_folder(workspace: Workspace, root: str, image: str) -> Iterator[Slot]:
    """Everything below: overlays and charts as roots of their own, but not bases that overlays build."""
    folders = workspace.folders_under(root)
    overlays = [each for each in folders if kustomization_in(workspace, each) is not None]
    # A base counts through its overlays; alone it reaches no cluster.
    built = {name for each in overlays for name in named_folders(workspace, each)}
    own_roots = {*overlays, *(each for each in folders if chart_in(workspace, each) is not None)}
    for folder in folders:
        above = _root_above(folder, own_roots)
        if above is None:
            yield from _plain_files(workspace, folder, image)
        elif above == folder and folder not in built and _root_above(_parent(folder), own_roots) is None:
            yield from _folder(workspace, folder, image)


def _plain_files(workspace: Workspace, folder: str, image: str) -> Iterator[Slot]:
    for path in workspace.files_in(folder):
        # A hidden file (`.gitlab-ci.yml`) may name the image, but no cluster reads it.
        if not path.rpartition("/")[2].startswith(".") and mentions(workspace, path, image):
            yield from _file(workspace, path, image)


def _root_above(folder: str | None, roots: set[str]) -> str | None:
    while folder is not None:
        if folder in roots:
            return folder
        folder = _parent(folder)
    return None


def _parent(folder: str) -> str | None:
    return folder.rpartition("/")[0] if folder else None
