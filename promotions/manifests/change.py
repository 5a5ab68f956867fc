"""From a target version to a Change: which scalars get which values, as bytes, diff and hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from promotions.manifests.aliases import check_shared
from promotions.manifests.diff import unified_diff
from promotions.manifests.edit import NewValue, edited
from promotions.manifests.errors import ManifestError, NotFound
from promotions.manifests.images import same_repository
from promotions.manifests.keypath import locate, locate_entry, parse_path, render
from promotions.manifests.keys import Added, KeyChange, Removed, Renamed, check_own, neighbour
from promotions.manifests.model import Change, Edit, Part, Reference, Target
from promotions.manifests.nodes import Node, Parsed, Scalar, child, text_of
from promotions.manifests.places import image_in
from promotions.manifests.scalars import needs_quotes
from promotions.manifests.tree import Tree
from promotions.manifests.wanted import Wanted, check_target, wanted
from promotions.manifests.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Order:
    """One image of a Release: the places that are meant, and the version they shall hold."""

    references: Sequence[Reference]
    image: str
    target: Target


@dataclass(frozen=True, slots=True)
class _Meant:
    """One place of an order, found again in the tree as it is now."""

    reference: Reference
    scalar: Scalar
    order: Order


def compute_change(tree: Tree, references: Sequence[Reference], image: str, target: Target) -> Change:
    """The Change that brings `target` to all `references`, computed on `tree` as it is now.

    A place that already holds the value gives no edit. Raises a ManifestError, with nothing computed,
    when a place is gone, holds another image by now, or cannot be changed byte-exactly. On a moved tip
    ask `find_references` again first: a document's number or a deciding place may have changed.
    """
    return compute_release(tree, [Order(references, image, target)])


def compute_release(tree: Tree, orders: Iterable[Order]) -> Change:
    """One Change for several images and files: one commit. See `compute_change`."""
    workspace = Workspace(tree)
    files: dict[str, bytes] = {}
    edits: list[Edit] = []
    diff = ""
    for file, meant in sorted(_by_file(workspace, orders).items()):
        parsed = workspace.parsed(file)
        check_shared(parsed, [(each.reference, each.scalar) for each in meant if not each.reference.absent])
        changes = _changes(parsed, meant)
        if changes:
            made = edited(parsed, changes)
            files[file] = made.data
            diff += unified_diff(file, workspace.read(file), made.data, made.splices)
            edits += [edit for each in changes for edit in _edits(parsed, each, meant)]
    # The order of the search is no part of a change; its hash must not depend on it.
    edits.sort(key=lambda edit: (edit.file, edit.key))
    return Change(tuple(edits), files, diff, change_hash(edits))


def change_hash(edits: Iterable[Edit]) -> str:
    """SHA-256 (hex) over the canonical JSON of the sorted edits; surroundings do not matter."""
    # Lists, not objects: nothing in the form may depend on the order of keys or on the Python version.
    rows = [[e.file, e.key, e.old, e.new] for e in sorted(edits, key=lambda edit: (edit.file, edit.key))]
    canonical = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def _by_file(workspace: Workspace, orders: Iterable[Order]) -> dict[str, list[_Meant]]:
    found: dict[str, list[_Meant]] = {}
    for order in orders:
        # Before any file is read: a bad tag is the caller's mistake, not the repository's.
        check_target(order.target)
        if not order.references:
            raise NotFound("", None, f"no place decides the version of {order.image}")
        for each in order.references:
            meant = _found(workspace.parsed(each.file), each, order)
            _check_same_image(each, meant.scalar, order.image)
            found.setdefault(each.file, []).append(meant)
    return found


def _found(parsed: Parsed, reference: Reference, order: Order) -> _Meant:
    if not reference.absent:
        return _Meant(reference, locate(parsed, reference.document, reference.key_path), order)
    mapping, name = locate_entry(parsed, reference.document, reference.key_path)
    if name in mapping.entries:
        # Somebody has added it since the places were read.
        return _found(parsed, replace(reference, absent=False), order)
    return _Meant(reference, neighbour(parsed, mapping, reference.key_path), order)


def _check_same_image(reference: Reference, scalar: Scalar, image: str) -> None:
    file, key = reference.file, reference.key_path
    # References may be minutes old, and a Release mixes several images: nothing is written on trust.
    if not same_repository(reference.image, image):
        raise ManifestError(file, reference.line, f"{key} decides {reference.image}, not {image}")
    if reference.part is not Part.IMAGE or reference.absent:
        return
    # Compared with what was found, not with the image: `newName:` lets a base name it otherwise.
    now, then = image_in(scalar.value).repository, image_in(reference.value).repository
    if not same_repository(now, then):
        raise NotFound(file, scalar.line, f"{key} names {now or 'nothing'} by now, not {then}")


def _changes(parsed: Parsed, meant: Sequence[_Meant]) -> list[NewValue | KeyChange]:
    """What is done to the scalars; two places of one scalar (an alias) must want the same."""
    found: dict[tuple[int, bool], NewValue | KeyChange] = {}
    for each in meant:
        for change in _wanted_changes(parsed, each):
            # One scalar may change and get a key beside it, but it can't have two ends.
            slot = id(change.scalar), isinstance(change, Added)
            other = found.setdefault(slot, change)
            if _end(other) != _end(change):
                ends = " and ".join(repr(_end(x)) for x in (other, change))
                cause = f"{each.reference.key_path} shall become both {ends}"
                raise ManifestError(each.reference.file, each.scalar.line, cause)
    return [each for each in found.values() if not isinstance(each, NewValue) or _differs(each)]


def _end(change: NewValue | KeyChange) -> str:
    if isinstance(change, NewValue):
        return change.value
    return "" if isinstance(change, Removed) else f"{change.name}: {change.value}"


def _wanted_changes(parsed: Parsed, meant: _Meant) -> Iterator[NewValue | KeyChange]:
    reference, scalar = meant.reference, meant.scalar
    current = "" if reference.absent else scalar.value
    found = wanted(reference, current, meant.order.references, meant.order.target)
    if found is None:
        return
    key = reference.key_path
    if found.value is not None and not found.name and not reference.absent:
        yield NewValue(scalar, found.value, key)
    document = parsed.documents[reference.document]
    for each in _key_changes(parsed, meant, found):
        check_own(parsed, document, each)
        yield each


def _key_changes(parsed: Parsed, meant: _Meant, found: Wanted) -> Iterator[KeyChange]:
    """The keys that come, go or get another name; none for most changes."""
    reference, scalar, key = meant.reference, meant.scalar, meant.reference.key_path
    if not (reference.absent or found.value is None or found.name or found.beside):
        return
    # Found again rather than kept: most changes touch no key, and pay nothing for it.
    mapping, last = locate_entry(parsed, reference.document, key)
    if reference.absent:
        assert found.value is not None
        yield Added(mapping, scalar, last, found.value, key)
    elif found.value is None:
        yield Removed(mapping, scalar, key)
    elif found.name:
        yield Renamed(mapping, scalar, found.name, found.value, key, _sibling(key, found.name))
    if found.beside is not None:
        name, value = found.beside
        yield Added(mapping, scalar, name, value, _sibling(key, name))


def _sibling(key: str, name: str) -> str:
    return render((*parse_path(key)[:-1], name))


def _differs(change: NewValue) -> bool:
    """Equal text without quotes still changes where YAML reads it as a number: `1.10` is not "1.10"."""
    scalar = change.scalar
    return scalar.value != change.value or (not scalar.style and needs_quotes(change.value))


def _edits(parsed: Parsed, change: NewValue | KeyChange, meant: Sequence[_Meant]) -> list[Edit]:
    number = next(each.reference.document for each in meant if each.scalar is change.scalar)
    file, old, key = parsed.file, change.scalar.value, _key(parsed, change.key, number)
    if isinstance(change, Added):
        return [Edit(file, key, None, change.value)]
    if isinstance(change, Removed):
        return [Edit(file, key, old, None)]
    # Two rows: an approver sees the key that goes and the one that comes.
    if isinstance(change, Renamed):
        new_key = _key(parsed, change.new_key, number)
        return [Edit(file, key, old, None), Edit(file, new_key, None, change.value)]
    return [Edit(file, key, old, change.value)]


def _key(parsed: Parsed, key: str, number: int) -> str:
    """The key path; in a file of several documents with the resource before it: `Pod/web:spec...`.

    The same path in two documents must not give the same edit, or an approval of the one would cover the
    other. The resource's name, unlike the document's number, stays when documents are added.
    """
    # Most files hold one document, and their keys stay short.
    if len(parsed.documents) == 1:
        return key
    names = [_identity(document.root) for document in parsed.documents]
    own = names[number]
    return f"{own}:{key}" if own and names.count(own) == 1 else f"#{number}:{key}"


def _identity(root: Node | None) -> str:
    parts = child(root, "kind"), child(root, "metadata", "namespace"), child(root, "metadata", "name")
    return "/".join(filter(None, map(text_of, parts)))
