"""A Stage's manifest repository: what changes are computed from and written to, whoever hosts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from django.utils import timezone

from integrations import git
from integrations.gitlab import GitLabClient
from integrations.gitlab import types as gitlab
from promotions import vendors
from promotions.choices import Vendor
from promotions.manifests import Tree
from promotions.models import Stage
from promotions.repositories.git_tree import GitTree
from promotions.repositories.gitlab_tree import GitLabTree


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
    return GitLabRepository(vendors.gitlab(connection), stage.manifest_project, connection.url)


@dataclass(frozen=True, slots=True)
class GitLabRepository:
    """A project through GitLab's API. What is remembered of it is kept apart by `url`, GitLab's address."""

    client: GitLabClient
    project: str
    url: str

    def tip(self, branch: str) -> str:
        return self.client.branch(self.project, branch).commit_id

    def tree(self, commit: str, root: str) -> Tree:
        return GitLabTree(self.client, self.project, commit, root, source=self.url)

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
