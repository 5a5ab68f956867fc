"""The search: everything that decides which version of an image runs, for one root."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from promotions.manifests.errors import Ambiguous, ManifestError, NotFound
from promotions.manifests.images import same_repository
from promotions.manifests.keypath import render
from promotions.manifests.model import Kind, Reference
from promotions.manifests.named import named_slots
from promotions.manifests.places import reference
from promotions.manifests.resources import Slot
from promotions.manifests.roots import files_under, slots_under
from promotions.manifests.tree import Tree, inside
from promotions.manifests.workspace import Workspace

_COPIED = frozenset({Kind.KUSTOMIZE_SOURCE, Kind.KUSTOMIZE_LITERAL})


def find_references(
    tree: Tree, image: str, *, root: str = "", extra_paths: Sequence[str] = ()
) -> list[Reference]:
    """Every place that decides which version of `image` runs, starting at the folder or file `root`.

    `root` is an overlay, a chart, a values file, an Application, a manifest, or a folder of any of
    these. Places that a later one overrides for this root are left out. `extra_paths` name further
    places: `FILE:KEY.PATH` (a `Reference.place`), or `KEY.PATH` to look for in every file under the root.
    An empty list means that nothing under the root names the image. Raises ManifestError for files that
    matter and cannot be read; named places that exist are an answer even then.
    """
    workspace = Workspace(tree)
    start = inside(root)
    extra = list(named_slots(workspace, files_under(workspace, start), extra_paths, image))
    try:
        found = _references(slots_under(workspace, start, image), image)
    except ManifestError:
        if not extra:
            raise
        found = []
    named = _references(extra, image)
    # A named place that was found anyway keeps the kind that the search gave it.
    places = {each.place for each in found}
    groups = {_mapping_of(each): each.group for each in found}
    return found + [
        replace(each, group=groups.get(_mapping_of(each), each.group))
        for each in named
        if each.place not in places
    ]


def _mapping_of(reference: Reference) -> tuple[str, int, str]:
    """Where a place stands: a named digest beside a found tag makes one version with it."""
    return reference.file, reference.document, reference.key_path.rpartition(".")[0]


def _references(slots: Iterable[Slot], image: str) -> list[Reference]:
    known = list(slots)
    meant = [slot for slot in known if same_repository(slot.repository, image)]
    # A field whose repository can't be told may be the image's, where nothing else names it.
    for slot in meant or [each for each in known if not each.repository]:
        if slot.refusal is not None:
            raise slot.refusal
    _check_sources(meant, known)
    found = (reference(place, slot.repository) for slot in meant for place in slot.places)
    return list({each.place: each for each in found}.values())


def _check_sources(meant: Sequence[Slot], known: Iterable[Slot]) -> None:
    """A value that Kustomize copies into another image as well would bring that one along."""
    own = {id(place.scalar): slot for slot in meant for place in slot.places if place.kind in _COPIED}
    for slot in known if own else ():
        for place in slot.places:
            if id(place.scalar) in own and not same_repository(slot.repository, meant[0].repository):
                cause = f"{render(place.path)} decides {slot.repository}, too, which is not meant to change"
                raise ManifestError(place.parsed.file, place.scalar.line, cause)


class CurrentVersion(NamedTuple):
    """What the places say together; `agree` is False when they name different versions."""

    tag: str | None
    digest: str | None
    agree: bool


def current_version(references: Sequence[Reference]) -> CurrentVersion:
    """The version in force; of disagreeing places the first. `disagreement` gives the sentence."""
    versions = list(_versions(references).values())
    tag, digest = versions[0] if versions else (None, None)
    return CurrentVersion(tag, digest, len(set(versions)) <= 1)


def disagreement(references: Sequence[Reference]) -> str:
    """A sentence when several places name different versions (tag here, digest there); else ""."""
    versions = _versions(references)
    if len(set(versions.values())) <= 1:
        return ""
    first = {each.group: each for each in reversed(references)}
    said = (
        f"{first[group].place} says {'@'.join(filter(None, version)) or 'nothing'}"
        for group, version in versions.items()
    )
    return f"The places of {references[0].image} disagree: {'; '.join(said)}."


def _versions(references: Iterable[Reference]) -> dict[str, tuple[str | None, str | None]]:
    versions: dict[str, tuple[str | None, str | None]] = {}
    for each in references:
        if each.absent:
            continue
        tag, digest = versions.get(each.group, (None, None))
        # A tag and the digest beside it are one version; only different groups can disagree.
        versions[each.group] = (tag or each.tag, digest or each.digest)
    return versions


def choose(references: Sequence[Reference], chosen: Iterable[str] = ()) -> list[Reference]:
    """The places that are meant: all of one group, or those named by `place` (`"*"`: all of them).

    With a named place come those that make one version with it: a tag alone would leave an old digest.
    Raises Ambiguous when there are several and none was chosen, NotFound when a chosen one is gone.
    """
    names = list(chosen)
    if not names:
        if len({each.group for each in references}) > 1:
            raise Ambiguous(references)
        return list(references)
    places = {each.place for each in references}
    missing = [name for name in names if name != "*" and name not in places]
    if missing:
        raise NotFound(
            missing[0].partition(":")[0], None, f"{missing[0]} does not decide the version any more"
        )
    groups = {each.group for each in references if "*" in names or each.place in names}
    return [each for each in references if each.group in groups]
