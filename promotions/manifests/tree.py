"""Manifest trees: path -> bytes, read one file at a time, and the paths that stay inside them."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from promotions.manifests.errors import NotFound, Unsafe

MAX_FILE_BYTES = 4 * 1024 * 1024
"""Larger files are refused: real manifests end at about 1 MB (bundles of CRDs), and they hold no image."""


class Tree(Protocol):
    """A commit's files. Paths are relative, with `/`, without a leading `./`."""

    def paths(self) -> Iterable[str]:
        """All file paths, in any order."""
        ...

    def read(self, path: str) -> bytes:
        """The file's bytes, untranslated; raises KeyError, FileNotFoundError or NotFound without the file."""
        ...

    def is_symlink(self, path: str) -> bool:
        """Whether the path (Git mode 120000), or a folder on the way to it, is a symbolic link."""
        ...


class MemoryTree:
    """A tree held in a mapping, for tests and for small trees that were read elsewhere."""

    def __init__(self, files: Mapping[str, bytes], *, symlinks: Iterable[str] = ()) -> None:
        self._files = files
        self._symlinks = frozenset(symlinks)

    def paths(self) -> Iterable[str]:
        return self._files.keys()

    def read(self, path: str) -> bytes:
        return self._files[path]

    def is_symlink(self, path: str) -> bool:
        return path in self._symlinks


class DirectoryTree:
    """A folder on disk. `.git` is left out; links are listed, never followed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def paths(self) -> Iterator[str]:
        for parent, folders, names in os.walk(self._folder):
            # os.walk does not follow links to folders unless told to; assigning in place prunes it.
            folders[:] = sorted(name for name in folders if name != ".git")
            for name in sorted(names):
                yield (Path(parent) / name).relative_to(self._folder).as_posix()

    def read(self, path: str) -> bytes:
        safe = inside(path)
        if self.is_symlink(safe):
            raise Unsafe(path, None, "is a symbolic link, and only regular files are read")
        status = (self._folder / safe).lstat()
        # A named pipe would block for ever; a device would never end.
        if not stat.S_ISREG(status.st_mode):
            raise Unsafe(path, None, "is not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise too_large(path, status.st_size)
        return (self._folder / safe).read_bytes()

    def is_symlink(self, path: str) -> bool:
        parts = inside(path).split("/")
        return any((self._folder / "/".join(parts[:end])).is_symlink() for end in range(1, len(parts) + 1))


def too_large(path: str, size: int) -> Unsafe:
    """The refusal of a file beyond `MAX_FILE_BYTES`."""
    return Unsafe(path, None, f"has {size:,} bytes, more than the {MAX_FILE_BYTES:,} a manifest may have")


def inside(path: str, folder: str = "", *, file: str = "", line: int | None = None) -> str:
    """`path`, relative to `folder`, as a clean path in the tree; "" is the tree's root.

    Raises Unsafe when it is absolute or leads out of the tree; `file` and `line` say who named it.
    """
    if "\0" in path or "\\" in path or path.startswith("/"):
        raise Unsafe(file or path, line, f"names {path!r}, which is not a path inside the repository")
    # Git paths use `/` on every system, so posixpath, never os.path.
    clean = posixpath.normpath(posixpath.join(folder, path))
    if clean == ".." or clean.startswith("../"):
        raise Unsafe(file or path, line, f"names {path!r}, which leads out of the repository")
    return "" if clean == "." else clean


def read_file(tree: Tree, path: str) -> bytes:
    """Reads one regular file of a bounded size; raises NotFound or Unsafe."""
    safe = inside(path)
    if tree.is_symlink(safe):
        raise Unsafe(path, None, "is a symbolic link, and only regular files are read")
    try:
        data = tree.read(safe)
    except (KeyError, FileNotFoundError) as error:
        raise NotFound(path, None, "does not exist") from error
    if len(data) > MAX_FILE_BYTES:
        raise too_large(path, len(data))
    return data
