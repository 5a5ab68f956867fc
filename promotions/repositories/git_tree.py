"""A plain Git repository's files at one commit, out of the local copy and, once each, from the server."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from integrations import git
from integrations.errors import NotFound

_SYMBOLIC_LINK = "120000"
# Of a folder with more files only the one that is asked for is fetched.
_NEIGHBOURS = 30
_NOWHERE = git.Folder("", b"")


@dataclass
class GitTree:
    """All of a small folder comes in one exchange."""

    mirror: git.Mirror
    at: str
    root: str
    _files: dict[str, bytes] = field(default_factory=dict)
    _folders: dict[str, git.Folder] = field(default_factory=dict)

    def entries(self, folder: str) -> Mapping[str, bool]:
        return _Kinds(self._folder(folder))

    def read(self, path: str) -> bytes:
        """Return a file's bytes; raises KeyError where there is none."""
        path = posixpath.normpath(path)
        if path not in self._files:
            self._read_with_neighbours(path)
        return self._files[path]

    def is_symlink(self, path: str) -> bool:
        entry = self._entry(path)
        return entry is not None and entry.mode == _SYMBOLIC_LINK

    def _folder(self, path: str) -> git.Folder:
        if path not in self._folders:
            try:
                self._folders[path] = self.mirror.folder(self.at, path)
            except NotFound:
                self._folders[path] = _NOWHERE
        return self._folders[path]

    def _entry(self, path: str) -> git.Entry | None:
        folder, _slash, name = path.rpartition("/")
        return self._folder(folder).get(name)

    def _read_with_neighbours(self, path: str) -> None:
        """A server is asked once for a folder's files rather than for each: there are seldom many."""
        entry = self._entry(path)
        if entry is None or entry.type != "blob":
            raise KeyError(path)
        around = list(islice(self._folder(path.rpartition("/")[0]).all(), _NEIGHBOURS + 1))
        files = [each.path for each in around if each.type == "blob"]
        self._files |= self.mirror.read_many(self.at, files if len(around) <= _NEIGHBOURS else [path])


class _Kinds(Mapping[str, bool]):
    """A folder's names, each with whether it is a folder itself."""

    def __init__(self, folder: git.Folder) -> None:
        self._folder = folder

    def __getitem__(self, name: str) -> bool:
        return self._folder[name].type == "tree"

    def __iter__(self) -> Iterator[str]:
        return iter(self._folder)

    def __len__(self) -> int:
        return len(self._folder)

    def __bool__(self) -> bool:
        return bool(self._folder)
