"""A plain Git repository's files at one commit, out of the local copy and, once each, from the server."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import dropwhile, islice

from integrations import git
from integrations.errors import NotFound

_SYMBOLIC_LINK = "120000"
# Of a folder with more files the one that is asked for is fetched alone; who asks on gets ever more at once.
_NEIGHBOURS, _MOST = 30, 2_000
_NOWHERE = git.Folder("", b"")


@dataclass
class GitTree:
    """All of a small folder comes in one exchange."""

    mirror: git.Mirror
    at: str
    root: str
    _files: dict[str, bytes] = field(default_factory=dict)
    _folders: dict[str, git.Folder] = field(default_factory=dict)
    _fetches: Counter[str] = field(default_factory=Counter)

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
        self._files |= self.mirror.read_many(self.at, self._wanted(path))

    def _wanted(self, path: str) -> list[str]:
        folder = path.rpartition("/")[0]
        around = list(islice(self._folder(folder).all(), _NEIGHBOURS + 1))
        if len(around) > _NEIGHBOURS:
            # Doubled each time: a search that goes through the folder needs few fetches, another no more
            # than it asked for.
            number = min(_MOST, self._fetches[folder] and _NEIGHBOURS << self._fetches[folder])
            self._fetches[folder] += 1
            beyond = dropwhile(lambda each: each.path != path, self._folder(folder).all())
            around = list(islice(beyond, 1 + number))
        return [each.path for each in around if each.type == "blob"]


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
