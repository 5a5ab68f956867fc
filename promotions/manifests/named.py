"""Places that a person named: `FILE[#DOCUMENT]:KEY.PATH`, or a key path to look for in every file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from promotions.manifests.errors import NotFound
from promotions.manifests.images import DIGEST, looks_like_repository, same_repository
from promotions.manifests.keypath import entries, locate, locate_entry, parse_path
from promotions.manifests.keys import neighbour
from promotions.manifests.model import Kind, Part
from promotions.manifests.nodes import Parsed
from promotions.manifests.places import Place, image_in
from promotions.manifests.resources import Slot
from promotions.manifests.tree import inside
from promotions.manifests.workspace import Workspace

# Only names whose meaning is beyond doubt: an added key that nobody reads would pass unnoticed.
_PARTS = {"digest": Part.DIGEST, "sha": Part.DIGEST, "sha256": Part.DIGEST, "tag": Part.TAG}
_PLACE = re.compile(r"(?P<file>[^:\[\]|#]+)(?:#(?P<number>\d+))?:(?P<key>.+)\Z", re.DOTALL)


def named_slots(
    workspace: Workspace, files: Iterable[str], paths: Iterable[str], image: str
) -> Iterator[Slot]:
    """The slots of the named places; raises NotFound for a named file or key that does not exist."""
    candidates: list[str] = []
    for written in paths:
        match = _PLACE.match(written)
        if match is not None:
            yield _exact(workspace, match, image)
        else:
            # A place named with its file needs no list of a repository's 20,000 others.
            candidates = candidates or list(files)
            yield from _everywhere(workspace, candidates, written, image)


def _exact(workspace: Workspace, match: re.Match[str], image: str) -> Slot:
    parsed = workspace.parsed(inside(match["file"]))
    number, key = int(match["number"] or 0), match["key"]
    slot = _absent(parsed, number, key, image) or _slot(parsed, number, key, image)
    if slot is None:
        cause = f"{match['key']} names another image than {image}"
        raise NotFound(parsed.file, None, cause)
    return slot


def _absent(parsed: Parsed, number: int, key: str, image: str) -> Slot | None:
    """A digest or tag that its mapping does not have yet: named in full, so its reader takes it."""
    try:
        mapping, name = locate_entry(parsed, number, key)
    except NotFound:
        return None
    part = _PARTS.get(name)
    # A key that a merge brings is there already, if elsewhere; adding would hide it.
    if part is None or name in dict(entries(mapping)):
        return None
    beside = neighbour(parsed, mapping, key)
    place = Place(parsed, number, parse_path(key), beside, Kind.NAMED, part, absent=True)
    return Slot(key, "", image, None, None, (place,))


def _everywhere(workspace: Workspace, files: Iterable[str], key: str, image: str) -> Iterator[Slot]:
    found = False
    for path in files:
        parsed = _parsed(workspace, path, key)
        for document in parsed.documents if parsed else []:
            slot = _slot_or_none(parsed, document.number, key, image) if parsed else None
            if slot is not None:
                found = True
                yield slot
    if not found:
        raise NotFound("", None, f"no manifest has the key path {key} for {image}")


def _parsed(workspace: Workspace, path: str, key: str) -> Parsed | None:
    """A file without the key's last word cannot have the key; templates elsewhere do no harm."""
    word = re.split(r"[.\[\]|\"=]+", key.rstrip(']"'))[-1]
    return workspace.parsed(path) if word.encode() in workspace.read(path) else None


def _slot_or_none(parsed: Parsed, number: int, key: str, image: str) -> Slot | None:
    try:
        return _slot(parsed, number, key, image)
    except NotFound:
        return None


def _slot(parsed: Parsed, number: int, key: str, image: str) -> Slot | None:
    """The named scalar; None where it is a reference to another image."""
    scalar = locate(parsed, number, key)
    path = parse_path(key)
    text = image_in(scalar.value)
    # A whole reference is told by its repository; a bare tag can be anything, and is taken at the person's
    # word.
    if same_repository(text.repository, image):
        place = Place(parsed, number, path, scalar, Kind.NAMED, Part.IMAGE)
        return Slot(key, "", text.repository, text.tag, text.digest, (place,))
    if DIGEST.match(scalar.value):
        place = Place(parsed, number, path, scalar, Kind.NAMED, Part.DIGEST)
        return Slot(key, "", image, None, scalar.value, (place,))
    # A bare key path may meet other images in other files; those are simply not meant.
    if "/" in scalar.value and looks_like_repository(text.repository):
        return None
    place = Place(parsed, number, path, scalar, Kind.NAMED, Part.TAG)
    return Slot(key, "", image, scalar.value, None, (place,))
