"""Kubernetes resources as far as images matter: who they are, and the image slots they have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from promotions.manifests.errors import ManifestError
from promotions.manifests.images import looks_like_repository
from promotions.manifests.keypath import Item, Path, item_steps, pointer, render, walk
from promotions.manifests.model import Kind, Part
from promotions.manifests.nodes import (
    Document,
    MappingNode,
    Node,
    Parsed,
    Scalar,
    child,
    items_of,
    mapping_of,
    resolve,
    text_of,
)
from promotions.manifests.places import Place, image_in

# Kustomize's `images:` looks into these lists at any depth, and nowhere else by default.
CONTAINER_LISTS = frozenset({"containers", "initContainers", "ephemeralContainers"})


@dataclass(slots=True)
class Slot:
    """An image field of a resource, the version in force, and the places that decide it.

    `key` and `pointer` are its address within the resource, for strategic merge and JSON patches.
    `refusal` says why nothing in the tree that decides it can be edited; whoever overrides the slot
    overrides that, too.
    """

    key: str
    pointer: str
    repository: str
    tag: str | None
    digest: str | None
    places: tuple[Place, ...]
    in_containers: bool = True
    refusal: ManifestError | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """Where a mapping stands: the file, the document in it, the steps to it."""

    parsed: Parsed
    number: int
    path: Path
    node: MappingNode


@dataclass(slots=True)
class Resource:
    """A resource; `names` and `namespaces` hold what it was called before prefixes were added too.

    `generated` are the values of a generated ConfigMap by key, `patched` what patches set in any field,
    oldest first (None: something that can't be followed): replacements may copy from there.
    """

    api_version: str
    kind: str
    names: set[str]
    namespaces: set[str]
    labels: dict[str, str]
    annotations: dict[str, str]
    slots: list[Slot] = field(default_factory=list)
    at: Address | None = None
    generated: dict[str, Place] = field(default_factory=dict)
    patched: list[tuple[str, Place | None]] = field(default_factory=list)


def resources_in(parsed: Parsed, kind: Kind = Kind.PLAIN) -> list[Resource]:
    """The resources of a file, those in Lists included; `kind` is given to their places."""
    return [found for document in parsed.documents for found in _of_document(parsed, document, kind)]


def _of_document(parsed: Parsed, document: Document, kind: Kind, prefix: Path = ()) -> Iterator[Resource]:
    yield from _resources(parsed, document.number, document.root, prefix, kind)


def _resources(
    parsed: Parsed, number: int, root: Node | None, prefix: Path, kind: Kind
) -> Iterator[Resource]:
    mapping = mapping_of(root)
    # Without a kind it is no resource: values files and patches' fragments pass by.
    if mapping is None or not text_of(mapping.get("kind")):
        return
    # `kubectl get -o yaml` writes Lists, and some teams commit them.
    if text_of(mapping.get("kind")).endswith("List") and items_of(mapping.get("items")):
        items = items_of(mapping.get("items"))
        for step, item in zip(item_steps(items), items, strict=True):
            yield from _resources(parsed, number, item, (*prefix, "items", step), kind)
        return
    yield resource_at(parsed, number, mapping, prefix, kind)


def resource_at(parsed: Parsed, number: int, mapping: MappingNode, prefix: Path, kind: Kind) -> Resource:
    """The resource a mapping describes, with its image slots."""
    meta = child(mapping, "metadata")
    name, namespace = text_of(child(meta, "name")), text_of(child(meta, "namespace"))
    # Labels and annotations are kept since a patch's target may select by them.
    return Resource(
        api_version=text_of(mapping.get("apiVersion")),
        kind=text_of(mapping.get("kind")),
        names={name} if name else set(),
        namespaces={namespace} if namespace else set(),
        labels=_texts(child(meta, "labels")),
        annotations=_texts(child(meta, "annotations")),
        slots=list(slots_in(parsed, number, mapping, prefix, kind)),
        at=Address(parsed, number, prefix, mapping),
    )


def slots_in(parsed: Parsed, number: int, node: Node, prefix: Path, kind: Kind) -> Iterator[Slot]:
    """Every `image:` below `node` that can be an image reference."""
    for path, scalar in walk(node, prefix, file=parsed.file):
        # Any depth: CRDs put pod templates where they like, and Kustomize looks everywhere too.
        if path and path[-1] == "image":
            made = slot_at(parsed, number, path, scalar, kind, skip=len(prefix))
            if made is not None:
                yield made


def slot_at(
    parsed: Parsed, number: int, path: Path, scalar: Scalar, kind: Kind, *, skip: int = 0
) -> Slot | None:
    """The slot of one image scalar; None when its text is no image reference."""
    image = image_in(scalar.value)
    # `$(NAME)` is a variable of Kustomize, which may stand for the repository as well.
    if not looks_like_repository(image.repository) and "$(" not in scalar.value:
        return None
    contained = in_containers(path)
    kind = Kind.PLAIN_FIELD if kind is Kind.PLAIN and not contained else kind
    place = Place(parsed, number, path, scalar, kind, Part.IMAGE)
    # Patches speak of the resource, so its address in the file is cut off.
    inner = path[skip:]
    return Slot(render(inner), pointer(inner), image.repository, image.tag, image.digest, (place,), contained)


def in_containers(path: Path) -> bool:
    """Whether the path is an image of a container list, which is where Kustomize's `images:` acts."""
    return len(path) >= 3 and isinstance(path[-2], Item) and path[-3] in CONTAINER_LISTS


def decided_again(slot: Slot, other: Slot) -> Slot:
    """`slot` with the version of `other`, which overrides it."""
    return replace(
        slot,
        repository=other.repository,
        tag=other.tag,
        digest=other.digest,
        places=other.places,
        refusal=other.refusal,
    )


def _texts(node: Node | None) -> dict[str, str]:
    mapping = mapping_of(node)
    return {key: text_of(resolve(value)) for key, value in mapping.entries.items()} if mapping else {}
