"""Manifest trees: path -> bytes, read one file at a time, and the paths that stay inside them."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Protocol

from promotions.manifests.errors import NotFound, Unsafe

MAX_FILE_BYTES = 4 * 1024 * 1024
"""Larger files are refused: real manifests end at about 1 MB (bundles of CRDs), and they hold no image."""


class Tree(Protocol):
    """A commit's files. Paths are relative, with `/`, without a leading `./`."""

    def entries(self, folder: str) -> Mapping[str, bool]:
        """The names directly in a folder ("" is the root), each with whether it is a folder itself.

        Empty where there is no such folder. Nothing asks for more than it needs: a repository may hold
        20,000 files behind an API.
        """
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

    def entries(self, folder: str) -> Mapping[str, bool]:
        return self._index.get(folder, {})

    @cached_property
    def _index(self) -> dict[str, dict[str, bool]]:
        return folder_index(self._files)

    def read(self, path: str) -> bytes:
        return self._files[path]

    def is_symlink(self, path: str) -> bool:
        return path in self._symlinks


class DirectoryTree:
    """A folder on disk. `.git` is left out; links are listed, never followed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def entries(self, folder: str) -> Mapping[str, bool]:
        # A linked folder could lead anywhere, for example to /etc of the machine that reads.
        if folder and self.is_symlink(folder):
            return {}
        try:
            with os.scandir(self._folder / inside(folder)) as found:
                # A link counts as a file: it is listed, and refused when it is read.
                return {
                    each.name: each.is_dir(follow_symlinks=False) for each in found if each.name != ".git"
                }
        except (FileNotFoundError, NotADirectoryError):
            return {}

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


def folder_index(paths: Iterable[str]) -> dict[str, dict[str, bool]]:
    """The entries of every folder that the file paths lead through."""
    index: dict[str, dict[str, bool]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        index.setdefault(folder, {})[name] = False
        while folder:
            parent, _, name = folder.rpartition("/")
            known = index.setdefault(parent, {})
            # The folders above are known as well, then: 20,000 paths share a few hundred of them.
            if name in known:
                break
            known[name] = True
            folder = parent
    return index


def too_large(path: str, size: int) -> Unsafe:
    """The refusal of a file beyond `MAX_FILE_BYTES`."""
    return Unsafe(path, None, f"has {size:,} bytes, more than the {MAX_FILE_BYTES:,} a manifest may have")


def inside(path: str, folder: str = "", *, file: str = "", line: int | None = None) -> str:
    """`path`, relative to `folder`, as a clean path in the tree; "" is the tree's root.

    Raises Unsafe when it is absolute or leads out of the tree; `file` and `line` say who named it.
    """
    # A backslash separates on Windows, where a checkout would read another file than Git names.
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
