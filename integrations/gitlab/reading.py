"""From GitLab's JSON to our values (reference gitlab-api.md; fixtures/gitlab/api-*.json)."""

from __future__ import annotations

import base64
import binascii

from integrations.errors import Unavailable
from integrations.gitlab.types import (
    Branch,
    Commit,
    CommitStatus,
    Comparison,
    FileDiff,
    FreezePeriod,
    MergeRequest,
    Pipeline,
    Project,
    RepositoryFile,
    Tag,
    TreeEntry,
)
from integrations.shape import Json, dig, mapping, moment, number, sequence, text, text_map, texts


def project(data: Json) -> Project:
    """An empty repository has no default branch."""
    return Project(
        id=number(data.get("id")) or 0,
        path=text(data.get("path_with_namespace")),
        default_branch=text(data.get("default_branch")),
        web_url=text(data.get("web_url")),
        http_url=text(data.get("http_url_to_repo")),
        merge_method=text(data.get("merge_method")),
        squash_option=text(data.get("squash_option")),
        merge_trains=data.get("merge_trains_enabled") is True,
    )


def branch(data: Json) -> Branch:
    return Branch(
        name=text(data.get("name")),
        commit_id=text(dig(data, "commit", "id")),
        protected=data.get("protected") is True,
        can_push=data.get("can_push") is True,
    )


def tree_entry(data: Json) -> TreeEntry:
    return TreeEntry(
        path=text(data.get("path")),
        type=text(data.get("type")),
        id=text(data.get("id")),
        mode=text(data.get("mode")),
    )


def repository_file(data: Json) -> RepositoryFile:
    """Content comes as base64. Raises Unavailable when it cannot be decoded: half a file is no file."""
    content = text(data.get("content"))
    try:
        raw = base64.b64decode(content) if data.get("encoding") == "base64" else content.encode()
    except (binascii.Error, ValueError):
        raise Unavailable("GitLab sent a file that cannot be decoded", vendor="gitlab") from None
    return RepositoryFile(
        path=text(data.get("file_path")),
        content=raw,
        blob_id=text(data.get("blob_id")),
        commit_id=text(data.get("commit_id")),
        last_commit_id=text(data.get("last_commit_id")),
    )


def commit(data: Json) -> Commit:
    message = text(data.get("message"))
    trailers = text_map(data.get("trailers"))
    return Commit(
        id=text(data.get("id")),
        parent_ids=texts(data.get("parent_ids")),
        title=text(data.get("title")),
        message=message,
        author_name=text(data.get("author_name")),
        author_email=text(data.get("author_email")),
        authored_at=moment(data.get("authored_date")),
        # The newest single-commit sample has no dates at all, older lists only created_at.
        committed_at=moment(data.get("committed_date")) or moment(data.get("created_at")),
        web_url=text(data.get("web_url")),
        # The reply to a create and GitLab before `trailers=true` leave them out.
        trailers=trailers or trailers_of(message),
    )


def trailers_of(message: str) -> dict[str, str]:
    """The trailers of a message's last paragraph, as Git reads them: every line is `Key: value`."""
    paragraphs = message.strip().split("\n\n")
    found: dict[str, str] = {}
    for line in paragraphs[-1].splitlines() if len(paragraphs) > 1 else ():
        key, colon, value = line.partition(":")
        if not colon or not key or " " in key:
            return {}
        found[key] = value.strip()
    return found


def file_diff(data: Json) -> FileDiff:
    return FileDiff(
        old_path=text(data.get("old_path")),
        new_path=text(data.get("new_path")),
        diff=text(data.get("diff")),
        new_file=data.get("new_file") is True,
        renamed_file=data.get("renamed_file") is True,
        deleted_file=data.get("deleted_file") is True,
        truncated=data.get("too_large") is True or data.get("collapsed") is True,
    )


def comparison(data: Json) -> Comparison:
    """Commits newest first: GitLab's own order is not promised."""
    commits = [commit(mapping(entry)) for entry in sequence(data.get("commits"))]
    # GitLab lists the oldest first, which decides between commits of the same second.
    commits.reverse()
    commits.sort(key=lambda one: one.committed_at.timestamp() if one.committed_at else 0.0, reverse=True)
    return Comparison(
        commits=tuple(commits),
        diffs=tuple(file_diff(mapping(entry)) for entry in sequence(data.get("diffs"))),
        same_ref=data.get("compare_same_ref") is True,
        timed_out=data.get("compare_timeout") is True,
    )


def tag(data: Json) -> Tag:
    return Tag(
        name=text(data.get("name")),
        commit_id=text(dig(data, "commit", "id")),
        message=text(data.get("message")),
        created_at=moment(data.get("created_at")),
    )


def merge_request(data: Json) -> MergeRequest:
    return MergeRequest(
        iid=number(data.get("iid")) or 0,
        state=text(data.get("state")),
        sha=text(data.get("sha")),
        source_branch=text(data.get("source_branch")),
        target_branch=text(data.get("target_branch")),
        title=text(data.get("title")),
        web_url=text(data.get("web_url")),
        detailed_merge_status=text(data.get("detailed_merge_status")),
        has_conflicts=data.get("has_conflicts") is True,
        merge_commit_sha=text(data.get("merge_commit_sha")),
        squash_commit_sha=text(data.get("squash_commit_sha")),
        merged_at=moment(data.get("merged_at")),
        # `merged_by` is the deprecated name of `merge_user`.
        merged_by=text(dig(data, "merge_user", "username")) or text(dig(data, "merged_by", "username")),
        closed_by=text(dig(data, "closed_by", "username")),
        author=text(dig(data, "author", "username")),
        head_pipeline_status=text(dig(data, "head_pipeline", "status")),
        description=text(data.get("description")),
        auto_merge=data.get("merge_when_pipeline_succeeds") is True,
    )


def freeze_period(data: Json) -> FreezePeriod:
    return FreezePeriod(
        id=number(data.get("id")) or 0,
        start=text(data.get("freeze_start")),
        end=text(data.get("freeze_end")),
        timezone=text(data.get("cron_timezone")) or "UTC",
    )


def commit_status(data: Json) -> CommitStatus:
    return CommitStatus(
        name=text(data.get("name")),
        status=text(data.get("status")),
        target_url=text(data.get("target_url")),
        description=text(data.get("description")),
        ref=text(data.get("ref")),
        finished_at=moment(data.get("finished_at")),
    )


def pipeline(data: Json) -> Pipeline:
    return Pipeline(
        id=number(data.get("id")) or 0,
        status=text(data.get("status")),
        ref=text(data.get("ref")),
        sha=text(data.get("sha")),
        source=text(data.get("source")),
        web_url=text(data.get("web_url")),
        created_at=moment(data.get("created_at")),
        updated_at=moment(data.get("updated_at")),
    )
