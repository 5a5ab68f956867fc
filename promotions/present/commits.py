"""Commits and comparisons as pages name them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from promotions.models import Application, Commit, Comparison, ImageVersion
from promotions.present.links import safe_url


@dataclass(frozen=True, slots=True)
class CommitNote:
    """`at` is when it was authored, None while GitLab has not been asked."""

    sha: str
    title: str
    author: str
    at: datetime | None
    url: str

    @property
    def short(self) -> str:
        return self.sha[:8]


@dataclass(frozen=True, slots=True)
class MergeRequestNote:
    iid: int
    title: str
    author: str
    url: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What lies between two versions. `state` is read, being-read, same or unknown (a commit is missing)."""

    state: str
    commits: tuple[CommitNote, ...] = ()
    merge_requests: tuple[MergeRequestNote, ...] = ()
    backwards: bool = False
    base: str = ""


Key = tuple[int, str, str]
CommitIndex = Mapping[Key, Commit]


def commit_index(shas: Iterable[str]) -> CommitIndex:
    """Read the commits with these hashes in one query, by (connection id, project, hash)."""
    wanted = {sha for sha in shas if sha}
    if not wanted:
        return {}
    found = Commit.objects.filter(sha__in=wanted)
    return {(commit.connection_id, commit.project, commit.sha): commit for commit in found}


def commit_note(application: Application, sha: str, index: CommitIndex) -> CommitNote | None:
    if not sha:
        return None
    commit = index.get((application.source_connection_id, application.source_project, sha))
    if commit is None:
        return CommitNote(sha, "", "", None, "")
    return CommitNote(sha, commit.title, commit.author_name, commit.authored_at, safe_url(commit.web_url))


def contents(application: Application, base: ImageVersion | None, head: ImageVersion) -> Contents:
    """Return the commits and merge requests that `head` brings where `base` is now."""
    if base is None or not base.commit or not head.commit:
        return Contents("unknown")
    if base.commit == head.commit:
        return Contents("same", base=base.label)
    comparison = Comparison.objects.filter(
        connection=application.source_connection_id,
        project=application.source_project,
        base=base.commit,
        head=head.commit,
    ).first()
    if comparison is None:
        return Contents("being-read", base=base.label)
    return Contents(
        "read",
        tuple(commit_note_of(entry) for entry in comparison.commits),
        tuple(_merge_request_of(entry) for entry in comparison.merge_requests),
        comparison.backwards,
        base.label,
    )


def commit_note_of(entry: Mapping[str, Any]) -> CommitNote:
    """Return a commit that was kept as {sha, title, author, at, url}."""
    at = entry.get("at")
    return CommitNote(
        str(entry.get("sha", "")),
        str(entry.get("title", "")),
        str(entry.get("author", "")),
        datetime.fromisoformat(at) if isinstance(at, str) and at else None,
        safe_url(str(entry.get("url", ""))),
    )


def _merge_request_of(entry: Mapping[str, Any]) -> MergeRequestNote:
    return MergeRequestNote(
        int(entry.get("iid", 0)),
        str(entry.get("title", "")),
        str(entry.get("author", "")),
        safe_url(str(entry.get("url", ""))),
    )
