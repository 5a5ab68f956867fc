"""Git's objects as `cat-file --batch` prints them, and trees as they are stored."""

from __future__ import annotations

import hashlib
import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from integrations.git.failures import Broken
from integrations.git.store import Repository
from integrations.git.types import SUBMODULE, TREE

_MODE_WIDTH = 6


@dataclass(frozen=True, slots=True)
class Stored:
    """One object: `type` is commit, tree, blob or tag."""

    id: str
    type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Node:
    """One entry of a tree as stored; the name is bytes, for Git knows no encoding of names."""

    mode: str
    name: bytes
    id: str

    @property
    def type(self) -> str:
        return {TREE: "tree", SUBMODULE: "commit"}.get(self.mode, "blob")


def encoded(path: str) -> bytes:
    """A path's bytes; names that are not UTF-8 survive the way there and back."""
    return path.encode("utf-8", "surrogateescape")


def decoded(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def objects(repository: Repository, names: Sequence[str]) -> list[Stored | None]:
    """The objects that names such as `<commit>:<path>` stand for; None for each that is not here."""
    if not names:
        return []
    wanted = [encoded(name) for name in names]
    # With -z a path may hold any byte but NUL.
    out = repository.local("cat-file", "--batch", "-z", data=b"".join(name + b"\0" for name in wanted))
    return list(_split(out, wanted))


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


def nodes(data: bytes, id_bytes: int = 20) -> list[Node]:
    """The entries of a stored tree: mode, space, name, NUL, the id's bytes."""
    found, position = [], 0
    while position < len(data):
        space = data.index(b" ", position)
        end = data.index(b"\0", space)
        name_ends = end + 1 + id_bytes
        mode = data[position:space].decode().zfill(_MODE_WIDTH)
        found.append(Node(mode, data[space + 1 : end], data[end + 1 : name_ends].hex()))
        position = name_ends
    return found


def stored_tree(entries: Sequence[Node]) -> bytes:
    """The bytes of a tree, in Git's order: folders sort as if their name ended with a slash."""
    ordered = sorted(entries, key=lambda node: node.name + (b"/" if node.mode == TREE else b""))
    return b"".join(
        node.mode.lstrip("0").encode() + b" " + node.name + b"\0" + bytes.fromhex(node.id) for node in ordered
    )


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
