"""The JSON shapes of the API, field for field as the reference's fixtures show them."""

from __future__ import annotations

import re

from integrations.sandbox.gitlab.git import Commit, FileDiff
from integrations.sandbox.gitlab.state import Json

VISIBILITY = {"private": 0, "internal": 10, "public": 20}


def user_json(base: str, user: Json) -> Json:
    """Return the short form of a person."""
    return {
        "id": user["id"],
        "username": user["username"],
        "name": user["name"],
        "state": "active",
        "avatar_url": None,
        "web_url": f"{base}/{user['username']}",
    }


def project_json(base: str, project: Json) -> Json:
    """Return a project as GET /projects/:id does."""
    path, number = project["path_with_namespace"], project["id"]
    group = path.rsplit("/", 1)[0]
    host = base.split("://", 1)[-1].split(":")[0]
    own = f"{base}/api/v4/projects/{number}"
    kept = (
        "id",
        "description",
        "name",
        "path",
        "path_with_namespace",
        "default_branch",
        "visibility",
        "created_at",
        "last_activity_at",
        "merge_method",
        "squash_option",
        "merge_trains_enabled",
        "only_allow_merge_if_pipeline_succeeds",
        "remove_source_branch_after_merge",
        "approvals_before_merge",
    )
    return {name: project[name] for name in kept} | {
        "name_with_namespace": f"{group} / {project['name']}",
        "tag_list": [],
        "topics": [],
        "ssh_url_to_repo": f"git@{host}:{path}.git",
        "http_url_to_repo": f"{base}/{path}.git",
        "web_url": f"{base}/{path}",
        "readme_url": f"{base}/{path}/-/blob/{project['default_branch']}/README.md",
        "avatar_url": None,
        "star_count": 0,
        "forks_count": 0,
        "namespace": {
            "id": 1,
            "name": group,
            "path": group,
            "kind": "group",
            "full_path": group,
            "parent_id": None,
        },
        "_links": {
            "self": own,
            "merge_requests": f"{own}/merge_requests",
            "repo_branches": f"{own}/repository/branches",
        },
        "archived": False,
        "empty_repo": False,
        "merge_requests_enabled": True,
        # The caller's own, by way of project and group; the sandbox knows one way.
        "permissions": {
            "project_access": {"access_level": 40, "notification_level": 3},
            "group_access": None,
        },
    }


def milliseconds(moment: str) -> str:
    """Turn Git's strict ISO date into the API's: milliseconds, offset kept."""
    return re.sub(r"(T\d\d:\d\d:\d\d)(?=[+-Z])", r"\1.000", moment)


def commit_json(base: str, project: Json, commit: Commit, *, trailers: bool = False) -> Json:
    """Return a commit as lists and compare do."""
    every: dict[str, list[str]] = {}
    for key, value in commit.trailers:
        every.setdefault(key, []).append(value)
    return {
        "id": commit.id,
        "short_id": commit.id[:8],
        # The committer's date, not the push's: Git records none.
        "created_at": milliseconds(commit.committed),
        "parent_ids": list(commit.parents),
        "title": commit.title,
        "message": commit.message,
        "author_name": commit.author.name,
        "author_email": commit.author.email,
        "authored_date": milliseconds(commit.authored),
        "committer_name": commit.committer.name,
        "committer_email": commit.committer.email,
        "committed_date": milliseconds(commit.committed),
        # Only where ?trailers=true asks; `trailers` keeps the last of a repeated key.
        "trailers": dict(commit.trailers) if trailers else {},
        "extended_trailers": every if trailers else {},
        "web_url": f"{base}/{project['path_with_namespace']}/-/commit/{commit.id}",
    }


def diff_json(diff: FileDiff) -> Json:
    """Return one file's difference."""
    return {
        "diff": diff.text,
        "new_path": diff.new_path,
        "old_path": diff.old_path,
        # Modes come with a diff and a tree, but not with a file.
        "a_mode": diff.old_mode,
        "b_mode": diff.new_mode,
        "new_file": diff.status == "A",
        "renamed_file": diff.status == "R",
        "deleted_file": diff.status == "D",
        "generated_file": False,
        "collapsed": False,
        # Real GitLab empties `diff` where it sets this or `collapsed`.
        "too_large": False,
    }


def stats_json(diffs: list[FileDiff]) -> Json:
    """Return how many lines a commit added and removed."""
    added = sum(diff.count("+") for diff in diffs)
    removed = sum(diff.count("-") for diff in diffs)
    return {"additions": added, "deletions": removed, "total": added + removed}


def branch_json(
    base: str, project: Json, name: str, commit: Commit, level: int, *, merged: bool = False
) -> Json:
    """Return a branch as the API does."""
    # Unprotected branches take pushes from developers upwards.
    rule = project["protected_branches"].get(name)
    return {
        "name": name,
        "merged": merged,
        "protected": rule is not None,
        "default": name == project["default_branch"],
        "developers_can_push": rule is not None and rule["push"] <= 30,
        "developers_can_merge": rule is not None and rule["merge"] <= 30,
        "can_push": level >= (rule["push"] if rule else 30),
        "web_url": f"{base}/{project['path_with_namespace']}/-/tree/{name}",
        "commit": commit_json(base, project, commit),
    }
