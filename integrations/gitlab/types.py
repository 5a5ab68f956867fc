"""What GitLab's REST API tells us, as values (reference gitlab-api.md).

All times are aware and in UTC. Texts that GitLab leaves out are "", dates it leaves out are None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Project:
    """`path` is the full path ("group/name"); `merge_method` is merge, rebase_merge or ff; with
    `merge_trains` merge requests queue to be merged (Premium)."""

    id: int
    path: str
    default_branch: str
    web_url: str
    http_url: str
    merge_method: str = ""
    squash_option: str = ""
    merge_trains: bool = False


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch and its tip; `can_push` is about the token that asked."""

    name: str
    commit_id: str
    protected: bool
    can_push: bool


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One entry of a tree: `type` is blob, tree or commit (submodule); mode 120000 is a symbolic link."""

    path: str
    type: str
    id: str
    mode: str


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file at one ref. `commit_id` is the ref's head, `last_commit_id` the last commit of this path."""

    path: str
    content: bytes
    blob_id: str
    commit_id: str
    last_commit_id: str


@dataclass(frozen=True, slots=True)
class FileUpdate:
    """New content of an existing file; `last_commit_id` is GitLab's optimistic lock, which fails open."""

    path: str
    content: bytes
    last_commit_id: str


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit; `trailers` are the ones GitLab parsed from the message (last one wins per key)."""

    id: str
    parent_ids: tuple[str, ...]
    title: str
    message: str
    author_name: str
    author_email: str
    authored_at: datetime | None
    committed_at: datetime | None
    web_url: str
    trailers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One file's unified diff; `truncated` when GitLab left the text out as too large or collapsed."""

    old_path: str
    new_path: str
    diff: str
    new_file: bool
    renamed_file: bool
    deleted_file: bool
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `head` has since its merge base with `base`; both empty when `head` is an ancestor of `base`.

    Commits are newest first by commit date; `timed_out` when GitLab gave up and the diffs are partial.
    """

    commits: tuple[Commit, ...]
    diffs: tuple[FileDiff, ...]
    same_ref: bool
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Tag:
    """A Git tag; `created_at` is None for lightweight tags."""

    name: str
    commit_id: str
    message: str
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class MergeRequest:
    """A merge request; `state` is opened, closed, locked (merging right now) or merged.

    `sha` is the head of the source branch. `detailed_merge_status` names only one reason of maybe
    several; unchecked, checking, preparing and approvals_syncing mean "ask again soon".
    """

    iid: int
    state: str
    sha: str
    source_branch: str
    target_branch: str
    title: str
    web_url: str
    detailed_merge_status: str
    has_conflicts: bool
    merge_commit_sha: str
    squash_commit_sha: str
    merged_at: datetime | None
    merged_by: str
    closed_by: str
    author: str
    head_pipeline_status: str
    description: str = ""
    auto_merge: bool = False

    @property
    def merged_sha(self) -> str:
        """The commit that brought it to the target branch: a fast-forward merge has no commit of its
        own, so the head stands in (gitlab-webhooks.md, "merge_request")."""
        return self.merge_commit_sha or self.squash_commit_sha or self.sha

    @property
    def is_being_checked(self) -> bool:
        """GitLab has not decided yet whether it can be merged: poll."""
        return self.detailed_merge_status in ("unchecked", "checking", "preparing", "approvals_syncing")


@dataclass(frozen=True, slots=True)
class FreezePeriod:
    """Start and end are cron expressions in `timezone` (an IANA or a Rails zone name)."""

    id: int
    start: str
    end: str
    timezone: str


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """A status somebody posted on a commit, or a CI job's."""

    name: str
    status: str
    target_url: str
    description: str
    ref: str
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A GitLab CI pipeline of a commit."""

    id: int
    status: str
    ref: str
    sha: str
    source: str
    web_url: str
    created_at: datetime | None
    updated_at: datetime | None
