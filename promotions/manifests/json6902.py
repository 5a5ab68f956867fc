"""JSON6902 patches (RFC 6902) of Kustomize, operation by operation, as far as they decide an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from promotions.manifests.errors import ManifestError
from promotions.manifests.images import join_image
from promotions.manifests.keypath import Path, item_steps, pointer, walk
from promotions.manifests.model import Kind, Part
from promotions.manifests.nodes import Node, Parsed, child, items_of, text_of
from promotions.manifests.places import Place, image_in
from promotions.manifests.resources import CONTAINER_LISTS, Resource, Slot


@dataclass(frozen=True, slots=True)
class PatchSource:
    """One patch document: where it stands (`prefix` leads into an inline patch) and whom it meets."""

    parsed: Parsed
    number: int
    prefix: Path
    root: Node
    target: Node | None


def apply_operations(source: PatchSource, chosen: list[Resource]) -> None:
    """Changes the image slots of `chosen` as the operations of the patch would, in their order."""
    items = items_of(source.root)
    for step, item in zip(item_steps(items), items, strict=True):
        # Order matters: a later operation sees what an earlier one has left.
        operation, path = text_of(child(item, "op")), text_of(child(item, "path"))
        value = child(item, "value")
        prefix: Path = (*source.prefix, step, "value")
        written = _fields(path, source, prefix, value) if value is not None else [(path, None)]
        for resource in chosen:
            # Kept for replacements, which may copy any field, not only images.
            resource.patched += written if operation != "test" else []
            if operation in {"copy", "move"}:
                _copy(resource, path, source, item, move=operation == "move")
            elif operation == "test" and value is not None:
                _test(resource, path, source, prefix, value)
            elif operation == "remove":
                _drop(resource, path, shift=True)
            elif operation in {"add", "replace"} and value is not None:
                if operation == "replace":
                    _drop(resource, path, shift=False)
                _set(resource, path, list(_slots_of_value(path, source, prefix, value)), operation == "add")


def _fields(path: str, source: PatchSource, prefix: Path, value: Node) -> list[tuple[str, Place | None]]:
    number, kind = source.number, Kind.KUSTOMIZE_SOURCE
    return [
        (
            path + pointer(inner),
            Place(source.parsed, number, (*prefix, *inner), scalar, kind, Part.IMAGE),
        )
        for inner, scalar in walk(value, file=source.parsed.file)
    ]


def _test(resource: Resource, path: str, source: PatchSource, prefix: Path, value: Node) -> None:
    """Kustomize refuses to build when a tested value is another, so it changes with what it tests.

    That is the value as it stands at this operation: a `replace` further down does not concern it.
    """
    for tested in _slots_of_value(path, source, prefix, value):
        (place,) = tested.places
        at = [number for number, slot in enumerate(resource.slots) if slot.pointer == tested.pointer]
        if not at:
            cause = f"tests for {place.scalar.value}, and what decides that is not in this repository"
            refusal = ManifestError(source.parsed.file, place.scalar.line, cause)
            resource.slots.append(replace(tested, places=(), refusal=refusal))
        for number in at:
            slot = resource.slots[number]
            resource.slots[number] = _also_tested(slot, tested, place, source)


def _also_tested(slot: Slot, tested: Slot, place: Place, source: PatchSource) -> Slot:
    stands = join_image(slot.repository, slot.tag, slot.digest)
    if place.scalar.value != stands:
        cause = f"tests for {place.scalar.value}, but {stands} stands there, so this does not build"
        return replace(slot, refusal=ManifestError(source.parsed.file, place.scalar.line, cause))
    # A slot that carries a refusal has no places; its own reason stays.
    if not slot.places:
        return slot
    return replace(slot, places=(*slot.places, replace(place, together=slot.places[0].group)))


def _copy(resource: Resource, path: str, source: PatchSource, item: Node, *, move: bool) -> None:
    """The copied image is decided where its origin is; an origin out of sight can't be followed."""
    origin = text_of(child(item, "from"))
    # Taken before anything moves: `move` removes its origin first (RFC 6902, 4.4).
    copied = [slot for slot in resource.slots if _is_at(slot, origin)]
    lost = [slot for slot in resource.slots if _is_at(slot, path) and _last(path) == "image"]
    if move:
        _drop(resource, origin, shift=True)
    copies = [_moved(slot, path + slot.pointer[len(origin) :]) for slot in copied]
    if lost and not copies:
        cause = f"sets {path} from {origin}, which is no image in this repository; name the key that decides"
        refusal = ManifestError(source.parsed.file, item.line, cause)
        copies = [replace(slot, places=(), refusal=refusal) for slot in lost]
    if copies:
        _set(resource, path, copies, insert=True)


def _moved(slot: Slot, where: str) -> Slot:
    return replace(slot, key=where, pointer=where, in_containers=_contained(where))


def _is_at(slot: Slot, path: str) -> bool:
    return slot.pointer == path or slot.pointer.startswith(path + "/")


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _drop(resource: Resource, path: str, *, shift: bool) -> None:
    # What lies below a removed or replaced value goes with it: a container takes its image along.
    resource.slots = [s for s in resource.slots if s.pointer != path and not s.pointer.startswith(path + "/")]
    parent, _, index = path.rpartition("/")
    if shift and index.isdigit():
        _renumber(resource, parent, int(index), -1)


def _set(resource: Resource, path: str, slots: list[Slot], insert: bool) -> None:
    """Adds the slots of a value that is set at `path`, as it is written in the operation."""
    parent, _, last = path.rpartition("/")
    is_list = _last(parent) in CONTAINER_LISTS
    if insert and is_list and last == "-":
        at = f"{parent}/{_length(resource, parent)}"
        slots = [replace(slot, pointer=at + slot.pointer[len(path) :]) for slot in slots]
    # `add` at an index of a list inserts; on a key of a mapping it replaces (RFC 6902, 4.1).
    elif insert and is_list and last.isdigit():
        _renumber(resource, parent, int(last), 1)
    elif insert:
        _drop(resource, path, shift=False)
    resource.slots += slots


def _slots_of_value(path: str, source: PatchSource, prefix: Path, value: Node) -> Iterator[Slot]:
    for inner, scalar in walk(value, file=source.parsed.file):
        where = path + pointer(inner)
        # CRDs with other names for it are reached by a key path that a person names.
        if _last(where) != "image":
            continue
        image = image_in(scalar.value)
        place = Place(source.parsed, source.number, (*prefix, *inner), scalar, Kind.JSON6902, Part.IMAGE)
        yield Slot(where, where, image.repository, image.tag, image.digest, (place,), _contained(where))


def _contained(where: str) -> bool:
    return len(parts := where.split("/")) >= 4 and parts[-3] in CONTAINER_LISTS


def _length(resource: Resource, parent: str) -> int:
    # Only containers with an image are known here; one without is refused by Kubernetes anyway.
    indices = [index for slot in resource.slots if (index := _index(slot.pointer, parent)) is not None]
    return max(indices, default=-1) + 1


def _renumber(resource: Resource, parent: str, first: int, by: int) -> None:
    """Moves the items of a list from `first` on, as inserting or removing one does."""
    for number, slot in enumerate(resource.slots):
        index = _index(slot.pointer, parent)
        if index is not None and index >= first:
            rest = slot.pointer[len(f"{parent}/{index}") :]
            resource.slots[number] = replace(slot, pointer=f"{parent}/{index + by}{rest}")


def _index(where: str, parent: str) -> int | None:
    if not where.startswith(parent + "/"):
        return None
    index = where[len(parent) + 1 :].partition("/")[0]
    return int(index) if index.isdigit() else None
