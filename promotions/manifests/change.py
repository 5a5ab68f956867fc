"""From a target version to a Change: which scalars get which values, as bytes, diff and hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from promotions.manifests.aliases import check_shared
from promotions.manifests.diff import unified_diff
from promotions.manifests.edit import NewValue, edited
from promotions.manifests.errors import ManifestError, NotFound
from promotions.manifests.images import same_repository
from promotions.manifests.keypath import locate
from promotions.manifests.model import Change, Edit, Part, Reference, Target
from promotions.manifests.nodes import Node, Parsed, Scalar, child, text_of
from promotions.manifests.places import image_in
from promotions.manifests.scalars import needs_quotes
from promotions.manifests.tree import Tree
from promotions.manifests.wanted import check_target, wanted_value
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
    for file, meant in sorted(_by_file(workspace, orders).items()):
        parsed = workspace.parsed(file)
        check_shared(parsed, [(each.reference, each.scalar) for each in meant])
        changes = _new_values(meant)
        if changes:
            files[file] = edited(parsed, changes)
            edits += [
                Edit(file, _key(parsed, each, meant), each.scalar.value, each.value) for each in changes
            ]
    edits.sort(key=lambda edit: (edit.file, edit.key))
    diff = "".join(unified_diff(file, workspace.read(file), data) for file, data in files.items())
    return Change(tuple(edits), files, diff, change_hash(edits))


def change_hash(edits: Iterable[Edit]) -> str:
    """SHA-256 (hex) over the canonical JSON of the sorted edits; surroundings do not matter."""
    # Lists, not objects: nothing in the form may depend on the order of keys or on the Python version.
    rows = sorted([edit.file, edit.key, edit.old, edit.new] for edit in edits)
    canonical = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def _by_file(workspace: Workspace, orders: Iterable[Order]) -> dict[str, list[_Meant]]:
    found: dict[str, list[_Meant]] = {}
    for order in orders:
        check_target(order.target)
        if not order.references:
            raise NotFound("", None, f"no place decides the version of {order.image}")
        for each in order.references:
            scalar = locate(workspace.parsed(each.file), each.document, each.key_path)
            _check_same_image(each, scalar, order.image)
            found.setdefault(each.file, []).append(_Meant(each, scalar, order))
    return found


def _check_same_image(reference: Reference, scalar: Scalar, image: str) -> None:
    file, key = reference.file, reference.key_path
    if not same_repository(reference.image, image):
        raise ManifestError(file, reference.line, f"{key} decides {reference.image}, not {image}")
    if reference.part is not Part.IMAGE:
        return
    # Compared with what was found, not with the image: `newName:` lets a base name it otherwise.
    now, then = image_in(scalar.value).repository, image_in(reference.value).repository
    if not same_repository(now, then):
        raise NotFound(file, scalar.line, f"{key} names {now or 'nothing'} by now, not {then}")


def _new_values(meant: Sequence[_Meant]) -> list[NewValue]:
    """The scalars that change; two places of one scalar (an alias) must want the same."""
    changes: dict[int, NewValue] = {}
    for each in meant:
        value = wanted_value(each.reference, each.scalar.value, each.order.references, each.order.target)
        if value is None:
            continue
        other = changes.setdefault(id(each.scalar), NewValue(each.scalar, value, each.reference.key_path))
        if other.value != value:
            cause = f"{each.reference.key_path} shall become both {other.value!r} and {value!r}"
            raise ManifestError(each.reference.file, each.scalar.line, cause)
    return [each for each in changes.values() if _differs(each)]


def _differs(change: NewValue) -> bool:
    """Equal text without quotes still changes where YAML reads it as a number: `1.10` is not "1.10"."""
    scalar = change.scalar
    return scalar.value != change.value or (not scalar.style and needs_quotes(change.value))


def _key(parsed: Parsed, change: NewValue, meant: Sequence[_Meant]) -> str:
    """The key path; in a file of several documents with the resource before it: `Pod/web:spec...`.

    The same path in two documents must not give the same edit, or an approval of the one would cover the
    other. The resource's name, unlike the document's number, stays when documents are added.
    """
    if len(parsed.documents) == 1:
        return change.key
    number = next(each.reference.document for each in meant if each.scalar is change.scalar)
    names = [_identity(document.root) for document in parsed.documents]
    own = names[number]
    return f"{own}:{change.key}" if own and names.count(own) == 1 else f"#{number}:{change.key}"


def _identity(root: Node | None) -> str:
    parts = child(root, "kind"), child(root, "metadata", "namespace"), child(root, "metadata", "name")
    return "/".join(filter(None, map(text_of, parts)))
