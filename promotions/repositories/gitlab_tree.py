"""A manifest project's files at one commit through GitLab's API, with as few requests as a search allows.

What a commit or an object's id makes immutable is remembered by the process: the next look at the same commit
asks for nothing, one at a later commit only for what changed.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from integrations.errors import NotFound
from integrations.gitlab import GitLabClient
from integrations.gitlab.types import TreeEntry
from integrations.memory import Memory

_SYMBOLIC_LINK = "120000"
# GitLab's largest page. Where a folder has more, the files asked for cost less than the list of all.
_PAGE = 100
_FILES: Memory[bytes] = Memory(16 * 1024 * 1024)
_LISTS: Memory[tuple[TreeEntry, ...]] = Memory(16 * 1024 * 1024)
# About what an entry takes besides its path.
_ENTRY_BYTES = 500
_OBJECT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass
class _Listing:
    """What is known to be in a folder: all of it, or a part."""

    entries: dict[str, TreeEntry] = field(default_factory=dict)
    is_whole: bool = True


@dataclass
class GitLabTree:
    """Reads when asked. `source` is GitLab's address, which keeps the memories of several apart.

    Below `root` everything is listed at once, if that is one page; elsewhere (a Kustomize base) one folder
    at a time, and of a folder larger than a page only the files that somebody asks for.
    """

    client: GitLabClient
    project: str
    at: str
    root: str
    source: str
    _files: dict[str, bytes | None] = field(default_factory=dict)
    _folders: dict[str, _Listing] = field(default_factory=dict)
    _is_begun: bool = False

    def entries(self, folder: str) -> Mapping[str, bool]:
        return Folder(self, folder)

    def is_there(self, folder: str) -> bool:
        return bool(self._listing(folder).entries)

    def listed(self, folder: str) -> Mapping[str, bool]:
        listing = self._listing(folder)
        if not listing.is_whole:
            # Who goes through a folder below the root goes through those below that one as well.
            is_deep = self._is_below_root(folder) and folder != self.root
            listing = self._take(folder, self._ask(folder, is_deep=is_deep), is_deep=is_deep)
        return {name: entry.type == "tree" for name, entry in listing.entries.items()}

    def find(self, path: str) -> bool | None:
        entry, is_sure = self._entry(path)
        if entry is not None:
            return entry.type == "tree"
        return None if is_sure or self._content(path) is None else False

    def read(self, path: str) -> bytes:
        """Return a file's bytes; raises KeyError where there is none."""
        content = self._content(posixpath.normpath(path))
        if content is None:
            raise KeyError(path)
        return content

    def is_symlink(self, path: str) -> bool:
        entry, is_sure = self._entry(path)
        if entry is None and not is_sure and b"\n" not in (self._content(path) or b"\n"):
            # GitLab gives a file without its mode, and a link as the path it leads to, which is one line:
            # only such a file is worth the list of a large folder.
            self.listed(path.rpartition("/")[0])
            entry, is_sure = self._entry(path)
        return entry is not None and entry.mode == _SYMBOLIC_LINK

    def _entry(self, path: str) -> tuple[TreeEntry | None, bool]:
        """What a path is, and whether that is certain: a folder may be known in part."""
        folder, _slash, name = path.rpartition("/")
        if path == self.root and folder not in self._folders and not self.is_there(path):
            return None, False  # a file, then, and its neighbours are nobody's business
        listing = self._listing(folder)
        return listing.entries.get(name), listing.is_whole

    def _content(self, path: str) -> bytes | None:
        if path not in self._files:
            entry, is_sure = self._known(path)
            is_file = entry.type == "blob" if entry is not None else not is_sure
            self._files[path] = self._fetched(path, entry.id if entry else "") if is_file else None
        return self._files[path]

    def _fetched(self, path: str, blob_id: str) -> bytes | None:
        if blob_id and (known := _FILES.get((self.source, self.project, blob_id))) is not None:
            return known
        try:
            file = self.client.read_file(self.project, path, self.at)
        except NotFound:
            return None
        if file.blob_id == _blob_id(file.content):
            _FILES.keep((self.source, self.project, file.blob_id), file.content, len(file.content))
        return file.content

    def _is_below_root(self, folder: str) -> bool:
        return not self.root or folder == self.root or folder.startswith(f"{self.root}/")

    def _listing(self, folder: str) -> _Listing:
        """What a first page tells of a folder, asked for where nothing is known of it yet."""
        if self._is_below_root(folder) and not self._is_begun:
            self._is_begun = True
            found = self._ask(self.root, is_deep=True, limit=_PAGE)
            if len(found) < _PAGE:
                self._take(self.root, found, is_deep=True)
        if folder not in self._folders:
            entry, is_sure = self._known(folder)
            is_absent = is_sure and (entry is None or entry.type != "tree")
            found = () if is_absent else self._ask(folder, is_deep=False, limit=_PAGE)
            self._take(folder, found, is_deep=False, is_whole=len(found) < _PAGE)
        return self._folders[folder]

    def _known(self, path: str) -> tuple[TreeEntry | None, bool]:
        """What the list of the folder above says, without asking for one."""
        folder, _slash, name = path.rpartition("/")
        listing = self._folders.get(folder) if path else None
        return (listing.entries.get(name), listing.is_whole) if listing else (None, False)

    def _ask(self, folder: str, *, is_deep: bool, limit: int | None = None) -> tuple[TreeEntry, ...]:
        entry, _is_sure = self._known(folder)
        # By its own id, where that is known, a folder is found again at later commits.
        name = entry.id if entry is not None and entry.id else self.at
        key = (self.source, self.project, name, folder, is_deep, limit)
        if (known := _LISTS.get(key)) is not None:
            return known
        try:
            found = tuple(self.client.tree(self.project, self.at, folder, recursive=is_deep, limit=limit))
        except NotFound:
            return ()
        if _OBJECT_ID.fullmatch(name):  # a branch's name would be no promise
            _LISTS.keep(key, found, sum(len(each.path) + _ENTRY_BYTES for each in found))
        return found

    def _take(
        self, folder: str, found: Sequence[TreeEntry], *, is_deep: bool, is_whole: bool = True
    ) -> _Listing:
        listing = self._folders[folder] = _Listing(is_whole=is_whole)
        for entry in found:
            parent, _slash, name = entry.path.rpartition("/")
            self._folders.setdefault(parent, _Listing()).entries[name] = entry
            if entry.type == "tree" and is_deep:
                self._folders.setdefault(entry.path, _Listing())
        return listing


def _blob_id(content: bytes) -> str:
    """The id Git gives a file: one that names other contents (a filter's, a proxy's) is no name for them."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class Folder(Mapping[str, bool]):
    """The entries of a folder: a name is looked up alone, all are listed only for who goes through them.

    A search mostly asks "is there a Chart.yaml?", of folders of any size.
    """

    def __init__(self, tree: GitLabTree, path: str) -> None:
        self._tree = tree
        self._path = path

    def __getitem__(self, name: str) -> bool:
        found = self._tree.find(f"{self._path}/{name}" if self._path else name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._tree.listed(self._path))

    def __len__(self) -> int:
        return len(self._tree.listed(self._path))

    def __bool__(self) -> bool:
        return self._tree.is_there(self._path)
