"""The search: everything that decides which version of an image runs, for one root."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from promotions.manifests.errors import Ambiguous, ManifestError, NotFound
from promotions.manifests.images import same_repository
from promotions.manifests.keypath import address, parse_path, render
from promotions.manifests.model import Kind, Reference
from promotions.manifests.named import named_slots
from promotions.manifests.places import Place, reference
from promotions.manifests.resources import Slot
from promotions.manifests.roots import files_under, slots_under
from promotions.manifests.tree import Tree, inside
from promotions.manifests.workspace import Workspace

_Address = tuple[str, int, str]
"""Where a place is, however its path is written: file, document, JSON pointer."""
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
        slots = slots_under(workspace, start, image)
        found = _references(slots, image)
    except ManifestError:
        if not extra:
            raise
        slots, found = [], {}
    # The addresses below cost a walk each; most Stages name nothing.
    if not extra:
        return [each for each, _ in found.values()]
    known = {_address_of(place): place for slot in slots for place in slot.places}
    named = _references([_as_found(slot, known) for slot in extra], image)
    # A place that the search spells in another way goes by the name that a person gave it.
    met = {at for place, (_, at) in found.items() if place in named}
    renamed = {at for place, (_, at) in named.items() if place not in found} - met
    groups = {_mapping_of(each): each.group for each, _ in found.values()}
    return [each for each, at in found.values() if at not in renamed] + [
        replace(each, group=groups.get(_mapping_of(each), each.group))
        for place, (each, _) in named.items()
        if place not in found
    ]


def _as_found(slot: Slot, known: Mapping[_Address, Place]) -> Slot:
    """A named place that the search met, too, means what the search knows of it."""
    places = []
    for place in slot.places:
        twin = None if place.absent else known.get(_address_of(place))
        if twin is not None:
            place = replace(place, kind=twin.kind, part=twin.part, together=twin.group, partner=twin.partner)
        places.append(place)
    return replace(slot, places=tuple(places))


def _address_of(place: Place) -> _Address:
    return place.parsed.file, place.document, address(place.parsed, place.document, place.path)


def _mapping_of(reference: Reference) -> tuple[str, int, str]:
    """Where a place stands: a named digest beside a found tag makes one version with it."""
    return reference.file, reference.document, reference.key_path.rpartition(".")[0]


def _references(slots: Iterable[Slot], image: str) -> dict[str, tuple[Reference, _Address]]:
    """The references by place, each with its address."""
    known = list(slots)
    meant = [slot for slot in known if same_repository(slot.repository, image)]
    # A field whose repository can't be told may be the image's, where nothing else names it.
    for slot in meant or [each for each in known if not each.repository]:
        if slot.refusal is not None:
            raise slot.refusal
    _check_sources(meant, known)
    found = ((reference(place, slot.repository), place) for slot in meant for place in slot.places)
    return {each.place: (each, _address_of(place)) for each, place in found}


def _check_sources(meant: Sequence[Slot], known: Iterable[Slot]) -> None:
    """A value that Kustomize copies into another image as well would bring that one along."""
    # Other formats share through YAML aliases, which `aliases` checks; a copy leaves no trace in the file.
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
    # The first in the order of the search, so that two looks at one commit give the same answer.
    tag, digest = versions[0] if versions else (None, None)
    return CurrentVersion(tag, digest, len(set(versions)) <= 1)


def said_by(references: Sequence[Reference]) -> list[tuple[Reference, str]]:
    """What each place says, of a tag and its digest the first place; empty where all say the same."""
    versions = _versions(references)
    if len(set(versions.values())) <= 1:
        return []
    first = {each.group: each for each in reversed([each for each in references if not each.absent])}
    return [(first[group], "@".join(filter(None, version))) for group, version in versions.items()]


def disagreement(references: Sequence[Reference]) -> str:
    """A sentence when several places name different versions (tag here, digest there); else ""."""
    said = "; ".join(f"{each.place} says {version or 'nothing'}" for each, version in said_by(references))
    return f"The places of {references[0].image} disagree: {said}." if said else ""


def _versions(references: Iterable[Reference]) -> dict[str, tuple[str | None, str | None]]:
    versions: dict[str, tuple[str | None, str | None]] = {}
    for each in references:
        if each.absent:
            continue
        tag, digest = versions.get(each.group, (None, None))
        # A tag and the digest beside it are one version; only different groups can disagree.
        versions[each.group] = (tag or each.tag, digest or each.digest)
    return versions


def _spelt(name: str) -> str:
    """A chosen place with its key path as `Reference.place` spells it."""
    file, colon, key = name.partition(":")
    try:
        return f"{file}{colon}{render(parse_path(key))}" if colon else name
    except ValueError:
        return name


def choose(references: Sequence[Reference], chosen: Iterable[str] = ()) -> list[Reference]:
    """The places that are meant: all of one group, or those named by `place` (`"*"`: all of them).

    With a named place come those that make one version with it: a tag alone would leave an old digest.
    Raises Ambiguous when there are several and none was chosen, NotFound when a chosen one is gone.
    """
    names = [_spelt(name) for name in chosen]
    if not names:
        # One group is one version, however many keys it takes.
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
