"""A Stage's manifest repository: what changes are computed from and written to, whoever hosts it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from django.utils import timezone

from integrations import git
from integrations.errors import NotFound
from integrations.gitlab import GitLabClient
from integrations.gitlab import types as gitlab
from promotions import vendors
from promotions.choices import Vendor
from promotions.manifests import Tree
from promotions.models import Stage

_SYMBOLIC_LINK = "120000"
# Of a folder with more files only the one that is asked for is fetched.
_NEIGHBOURS = 30


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of the manifest repository. `url` is "" where the host has no page for it."""

    id: str
    parent_ids: tuple[str, ...]
    title: str
    author_name: str
    committed_at: datetime | None
    url: str
    trailers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Draft:
    """A commit to be made on `branch` upon `base`: new contents of existing files.

    `is_new_branch` makes the branch at `base`. The author is the person who asked; whom the commit is made
    by is the writer's business.
    """

    branch: str
    base: str
    files: Mapping[str, bytes]
    message: str
    author_name: str
    author_email: str
    is_new_branch: bool = False


class Repository(Protocol):
    """One manifest repository. Every method raises IntegrationError."""

    def tip(self, branch: str) -> str:
        """Return the branch's commit id."""
        ...

    def tree(self, commit: str, root: str) -> Tree:
        """Return the files at a commit, read when asked for; most of them lie below `root`."""
        ...

    def commit(self, sha: str) -> Commit:
        """Return one commit."""
        ...

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Tell whether `descendant`, a commit or a branch, holds the commit `ancestor`."""
        ...

    def since(self, base: str, head: str) -> list[Commit]:
        """Return what `head` holds beyond `base`."""
        ...

    def touching(self, commit: str, path: str, *, limit: int) -> list[Commit]:
        """Return the newest commits up to `commit` that changed a file, newest first."""
        ...

    def find_written(self, branch: str, *, base: str, key: str, value: str) -> Commit | None:
        """Return the commit on `branch` since `base` that carries the trailer, or None."""
        ...

    def write(self, draft: Draft) -> Commit:
        """Make the commit. Raises Conflict when the branch moved, and then nothing was written.

        After Unavailable it may have been written: look for the trailer before writing again.
        """
        ...


def of(stage: Stage) -> Repository:
    """Return the repository a Stage's manifests are in."""
    connection = stage.manifest_connection
    if connection.vendor == Vendor.GIT:
        return GitRepository(vendors.git(connection, stage.manifest_project), vendors.signing(connection))
    return GitLabRepository(vendors.gitlab(connection), stage.manifest_project)


@dataclass(frozen=True, slots=True)
class GitLabRepository:
    """A project through GitLab's API."""

    client: GitLabClient
    project: str

    def tip(self, branch: str) -> str:
        return self.client.branch(self.project, branch).commit_id

    def tree(self, commit: str, root: str) -> Tree:
        return GitLabTree(self.client, self.project, commit, root)

    def commit(self, sha: str) -> Commit:
        return _commit(self.client.commit(self.project, sha))

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        return self.client.is_ancestor(self.project, ancestor, descendant)

    def since(self, base: str, head: str) -> list[Commit]:
        return [_commit(found) for found in self.client.compare(self.project, base, head).commits]

    def touching(self, commit: str, path: str, *, limit: int) -> list[Commit]:
        # GitLab leaves out merges that only join what was committed before: these are the real authors.
        found = self.client.commits(self.project, ref=commit, path=path, limit=limit)
        return [_commit(each) for each in found]

    def find_written(self, branch: str, *, base: str, key: str, value: str) -> Commit | None:
        found = self.client.find_commit_by_trailer(self.project, ref=branch, base=base, key=key, value=value)
        return _commit(found) if found is not None else None

    def write(self, draft: Draft) -> Commit:
        # Any ancestor works as GitLab's lock: the commit we read from stands for all files (gitlab-api.md).
        files = [gitlab.FileUpdate(path, content, draft.base) for path, content in draft.files.items()]
        made = self.client.create_commit(
            self.project,
            branch=draft.branch,
            message=draft.message,
            files=files,
            author_name=draft.author_name,
            author_email=draft.author_email,
            start_sha=draft.base if draft.is_new_branch else None,
        )
        return _commit(made)


def _commit(found: gitlab.Commit) -> Commit:
    return Commit(
        found.id,
        found.parent_ids,
        found.title,
        found.author_name,
        found.committed_at,
        found.web_url,
        found.trailers,
    )


@dataclass
class GitLabTree:
    """A manifest project's files at one commit, read when asked for.

    Below `root` everything is listed at once; outside it (a Kustomize base) one folder at a time, for a
    repository may hold 20,000 files.
    """

    client: GitLabClient
    project: str
    at: str
    root: str
    _files: dict[str, bytes] = field(default_factory=dict)
    _folders: dict[str, dict[str, bool]] = field(default_factory=dict)
    _links: set[str] = field(default_factory=set)

    def entries(self, folder: str) -> Mapping[str, bool]:
        if folder not in self._folders:
            self._list(folder)
        return self._folders.get(folder, {})

    def _list(self, folder: str) -> None:
        below_root = folder == self.root or folder.startswith(f"{self.root}/") or not self.root
        self._folders.setdefault(folder, {})
        for entry in self._listed(self.root if below_root else folder, recursive=below_root):
            parent, _slash, name = entry.path.rpartition("/")
            self._folders.setdefault(parent, {})[name] = entry.type == "tree"
            if entry.type == "tree" and below_root:
                self._folders.setdefault(entry.path, {})
            if entry.mode == _SYMBOLIC_LINK:
                self._links.add(entry.path)

    def _listed(self, folder: str, *, recursive: bool) -> Iterator[gitlab.TreeEntry]:
        try:
            yield from self.client.tree(self.project, self.at, folder, recursive=recursive)
        except NotFound:
            return

    def read(self, path: str) -> bytes:
        """Return a file's bytes; raises KeyError where there is none."""
        path = posixpath.normpath(path)
        if path not in self._files:
            try:
                self._files[path] = self.client.read_file(self.project, path, self.at).content
            except NotFound as error:
                raise KeyError(path) from error
        return self._files[path]

    def is_symlink(self, path: str) -> bool:
        self.entries(path.rpartition("/")[0])
        return path in self._links


@dataclass(frozen=True, slots=True)
class GitRepository:
    """A repository through plain Git."""

    mirror: git.Mirror
    signing: git.Signing | None = None

    def tip(self, branch: str) -> str:
        return self.mirror.tip(branch)

    def tree(self, commit: str, root: str) -> Tree:
        return GitTree(self.mirror, commit, root)

    def commit(self, sha: str) -> Commit:
        return _plain_commit(self.mirror.commit(sha))

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        return self.mirror.is_ancestor(ancestor, descendant)

    def since(self, base: str, head: str) -> list[Commit]:
        return [_plain_commit(found) for found in self.mirror.commits(base, head)]

    def touching(self, commit: str, path: str, *, limit: int) -> list[Commit]:
        return [_plain_commit(found) for found in self.mirror.touching(commit, path, limit=limit)]

    def find_written(self, branch: str, *, base: str, key: str, value: str) -> Commit | None:
        found = self.mirror.find_commit_by_trailer(branch, base, key, value)
        return _plain_commit(found) if found is not None else None

    def write(self, draft: Draft) -> Commit:
        made = self.mirror.create_commit(
            draft.branch,
            draft.base,
            draft.files,
            message=draft.message,
            author=git.Person(draft.author_name, draft.author_email),
            committer=git.Person("Slipway", "slipway@localhost"),
            when=timezone.now(),
            signing=self.signing,
            new_branch=draft.is_new_branch,
        )
        return _plain_commit(made)


def _plain_commit(found: git.Commit) -> Commit:
    trailers = dict(found.trailers)
    return Commit(
        found.id, found.parent_ids, found.title, found.author_name, found.committed_at, "", trailers
    )


@dataclass
class GitTree:
    """A plain Git repository's files at one commit. All of a small folder comes in one exchange."""

    mirror: git.Mirror
    at: str
    root: str
    _files: dict[str, bytes] = field(default_factory=dict)
    _folders: dict[str, dict[str, git.Entry]] = field(default_factory=dict)

    def entries(self, folder: str) -> Mapping[str, bool]:
        return {name: entry.type == "tree" for name, entry in self._entries(folder).items()}

    def _entries(self, folder: str) -> dict[str, git.Entry]:
        if folder not in self._folders:
            try:
                listed = self.mirror.entries(self.at, folder)
            except NotFound:
                listed = ()
            self._folders[folder] = {entry.name: entry for entry in listed}
        return self._folders[folder]

    def read(self, path: str) -> bytes:
        """Return a file's bytes; raises KeyError where there is none."""
        path = posixpath.normpath(path)
        if path not in self._files:
            self._read_with_neighbours(path)
        return self._files[path]

    def _read_with_neighbours(self, path: str) -> None:
        """A server is asked once for a folder's files rather than for each: there are seldom many."""
        folder = path.rpartition("/")[0]
        files = [entry.path for entry in self._entries(folder).values() if entry.type == "blob"]
        if path not in files:
            raise KeyError(path)
        wanted = files if len(files) <= _NEIGHBOURS else [path]
        self._files |= self.mirror.read_many(self.at, wanted)

    def is_symlink(self, path: str) -> bool:
        folder, _slash, name = path.rpartition("/")
        entry = self._entries(folder).get(name)
        return entry is not None and entry.mode == _SYMBOLIC_LINK
