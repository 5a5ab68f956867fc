"""GitLab's REST API v4 through python-gitlab (reference gitlab-api.md). Contract: bodies follow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from integrations.errors import Rejected
from integrations.gitlab.types import (
    Branch,
    Commit,
    CommitStatus,
    Comparison,
    FileDiff,
    FileUpdate,
    FreezePeriod,
    MergeRequest,
    Pipeline,
    Project,
    RepositoryFile,
    Tag,
    TreeEntry,
)


class NotMergeable(Rejected):
    """A merge request that cannot be merged now; `detailed_status` is GitLab's detailed_merge_status."""

    detailed_status: str = ""


class GitLabClient:
    """`project` is the full path or the numeric id as text, everywhere. One client per thread."""

    def __init__(self, url: str, token: str, *, timeout: float = 10.0, ca_file: str | None = None) -> None:
        raise NotImplementedError

    def project(self, path: str) -> Project:
        raise NotImplementedError

    def branch(self, project: str, name: str) -> Branch:
        raise NotImplementedError

    def tree(self, project: str, ref: str, path: str = "") -> list[TreeEntry]:
        raise NotImplementedError

    def read_file(self, project: str, path: str, ref: str) -> RepositoryFile:
        raise NotImplementedError

    def create_commit(
        self,
        project: str,
        *,
        branch: str,
        message: str,
        files: Sequence[FileUpdate],
        author_name: str,
        author_email: str,
        start_sha: str | None = None,
        start_branch: str | None = None,
    ) -> Commit:
        raise NotImplementedError

    def commits(
        self,
        project: str,
        *,
        ref: str,
        path: str | None = None,
        since: datetime | None = None,
        limit: int = 100,
        first_parent: bool = False,
    ) -> list[Commit]:
        raise NotImplementedError

    def find_commit_by_trailer(
        self, project: str, *, ref: str, base: str, key: str, value: str, limit: int = 200
    ) -> Commit | None:
        raise NotImplementedError

    def commit(self, project: str, sha: str) -> Commit:
        raise NotImplementedError

    def commit_diff(self, project: str, sha: str) -> list[FileDiff]:
        raise NotImplementedError

    def compare(self, project: str, base: str, head: str) -> Comparison:
        raise NotImplementedError

    def is_ancestor(self, project: str, ancestor: str, descendant: str) -> bool:
        raise NotImplementedError

    def create_branch(self, project: str, name: str, ref: str) -> Branch:
        raise NotImplementedError

    def delete_branch(self, project: str, name: str) -> None:
        raise NotImplementedError

    def tags(self, project: str, search: str | None = None) -> list[Tag]:
        raise NotImplementedError

    def create_merge_request(
        self,
        project: str,
        *,
        source_branch: str,
        target_branch: str,
        title: str,
        description: str,
        remove_source_branch: bool = False,
        squash: bool | None = None,
    ) -> MergeRequest:
        raise NotImplementedError

    def find_merge_requests(
        self, project: str, *, source_branch: str, target_branch: str | None = None, state: str = "opened"
    ) -> list[MergeRequest]:
        raise NotImplementedError

    def merge_request(self, project: str, iid: int) -> MergeRequest:
        raise NotImplementedError

    def merge(
        self,
        project: str,
        iid: int,
        *,
        sha: str,
        message: str | None = None,
        squash: bool | None = None,
        remove_source_branch: bool = False,
        auto_merge: bool = False,
    ) -> MergeRequest:
        raise NotImplementedError

    def commit_merge_requests(self, project: str, sha: str) -> list[MergeRequest]:
        raise NotImplementedError

    def freeze_periods(self, project: str) -> list[FreezePeriod]:
        raise NotImplementedError

    def commit_statuses(self, project: str, sha: str) -> list[CommitStatus]:
        raise NotImplementedError

    def pipelines(self, project: str, sha: str) -> list[Pipeline]:
        raise NotImplementedError

    def token_expires_at(self) -> datetime | None:
        raise NotImplementedError
