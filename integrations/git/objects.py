"""Git's objects as `cat-file --batch` prints them, and trees as they are stored."""

from __future__ import annotations

import hashlib
import re
import uuid
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from integrations.git.failures import Broken
from integrations.git.store import Repository
from integrations.git.types import SUBMODULE, TREE

# Mode, space, name, NUL, and the id's twenty bytes.
_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)
_FOLDER = TREE.lstrip("0").encode()


@dataclass(frozen=True, slots=True)
class Stored:
    """One object: `type` is commit, tree, blob or tag."""

    id: str
    type: str
    data: bytes


class Node(NamedTuple):
    """One entry of a tree as stored: the name is bytes, for Git knows no encoding of names; so is the id.

    A tuple, for a folder may have 20,000 of them.
    """

    mode: bytes
    name: bytes
    raw_id: bytes

    @property
    def id(self) -> str:
        return self.raw_id.hex()

    @property
    def type(self) -> str:
        return _kind(self.mode)[0]

    @property
    def full_mode(self) -> str:
        """The mode in six digits; Git stores a folder's without its leading zero."""
        return _kind(self.mode)[1]


@lru_cache(maxsize=32)
def _kind(mode: bytes) -> tuple[str, str]:
    """An entry's type and its mode in six digits: there are five of them, and 20,000 questions."""
    full = mode.decode().zfill(6)
    return {TREE: "tree", SUBMODULE: "commit"}.get(full, "blob"), full


def encoded(path: str) -> bytes:
    """A path's bytes; names that are not UTF-8 survive the way there and back."""
    return path.encode("utf-8", "surrogateescape")


def decoded(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def objects(repository: Repository, names: Sequence[str]) -> list[Stored | None]:
    """The objects that names such as `<commit>:<path>` stand for; None for each that is not here."""
    found: dict[str, Stored | None] = {}
    for name in names:
        if known := repository.memory.get(name):
            found[name] = Stored(known[0], "tree", known[1])
    absent = [name for name in dict.fromkeys(names) if name not in found]
    if absent:
        wanted = [encoded(name) for name in absent]
        # With -z a path may hold any byte but NUL.
        out = repository.local("cat-file", "--batch", "-z", data=b"".join(name + b"\0" for name in wanted))
        found |= dict(zip(absent, _split(out, wanted), strict=True))
    for name in absent:
        if (stored := found[name]) and stored.type == "tree":
            repository.memory.keep(name, stored.id, stored.data)
    return [found[name] for name in names]


def _split(out: bytes, names: Sequence[bytes]) -> Iterator[Stored | None]:
    position = 0
    for name in names:
        absent = name + b" missing\n"
        if out.startswith(absent, position):
            position += len(absent)
            yield None
            continue
        end = out.find(b"\n", position)
        header = out[position:end].split(b" ")
        if end < 0 or len(header) != 3 or not header[2].isdigit():
            raise Broken("cat-file printed something else than objects")
        size = int(header[2])
        yield Stored(header[0].decode(), header[1].decode(), out[end + 1 : end + 1 + size])
        position = end + 2 + size


def walked(data: bytes) -> Iterator[Node]:
    """The entries of a stored tree, one after the other; raises Broken where it is none."""
    return (Node(each[1], each[2], each[3]) for each in _entries(data))


def nodes(data: bytes) -> list[Node]:
    """All entries of a stored tree; raises Broken where it is none."""
    return list(walked(data))


def node_named(data: bytes, name: bytes) -> Node | None:
    """One entry of a stored tree; raises Broken where it is none."""
    return nodes_named(data, {name}).get(name)


def nodes_named(data: bytes, names: Collection[bytes]) -> dict[bytes, Node]:
    """The entries of these names, as far as there are any, without making the others."""
    return {each[2]: Node(each[1], each[2], each[3]) for each in _entries(data) if each[2] in names}


def _entries(data: bytes) -> Iterator[re.Match[bytes]]:
    """One after the other from the start: a name's bytes might stand in somebody's id, too."""
    position = 0
    for each in _ENTRY.finditer(data):
        if each.start() != position:
            break
        yield each
        position = each.end()
    if position != len(data):
        raise Broken("a tree's entries do not fill it")


def stored_tree(entries: Iterable[Node]) -> bytes:
    """The bytes of a tree, in Git's order: folders sort as if their name ended with a slash."""
    ordered = sorted(entries, key=lambda node: node.name + b"/" if node.mode == _FOLDER else node.name)
    return b"".join([b"%b %b\0%b" % node for node in ordered])


def object_id(kind: str, data: bytes) -> str:
    """The id Git gives an object."""
    return hashlib.sha1(_header(kind, data) + data, usedforsecurity=False).hexdigest()


def store(repository: Repository, kind: str, data: bytes) -> str:
    """Write one loose object (git help gitrepository-layout); return its id. One process less for each."""
    name = object_id(kind, data)
    path = repository.folder / "objects" / name[:2] / name[2:]
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        aside = path.with_name(f"tmp_obj_{uuid.uuid4().hex}")
        aside.write_bytes(zlib.compress(_header(kind, data) + data, 1))
        aside.chmod(0o444)
        aside.rename(path)
    return name


def _header(kind: str, data: bytes) -> bytes:
    return f"{kind} {len(data)}\0".encode()
