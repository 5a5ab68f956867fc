"""The bodies of the webhooks, shaped as the reference's fixtures `gitlab/webhook-*.json`."""

from __future__ import annotations

from integrations.sandbox.gitlab.commits import parent_of
from integrations.sandbox.gitlab.git import ZEROS, Commit, Repository
from integrations.sandbox.gitlab.state import Json, hook_stamp
from integrations.sandbox.gitlab.views import VISIBILITY

# A push lists at most so many commits, the newest ones (gitlab-webhooks.md, "push").
LISTED_COMMITS = 20


def hook_user(user: Json, *, email: bool = True) -> Json:
    """Return a person as hooks name them."""
    row = {"id": user["id"], "name": user["name"], "username": user["username"], "avatar_url": None}
    return row | {"email": user["email"]} if email else row


def hook_project(base: str, project: Json) -> Json:
    """Return the `project` block."""
    path = project["path_with_namespace"]
    http, ssh = f"{base}/{path}.git", f"git@{base.split('://', 1)[-1].split(':')[0]}:{path}.git"
    return {
        "id": project["id"],
        "name": project["name"],
        "description": project["description"],
        "web_url": f"{base}/{path}",
        "avatar_url": None,
        "git_ssh_url": ssh,
        "git_http_url": http,
        "namespace": path.rsplit("/", 1)[0],
        "visibility_level": VISIBILITY[project["visibility"]],
        "path_with_namespace": path,
        "default_branch": project["default_branch"],
        "ci_config_path": None,
        "homepage": f"{base}/{path}",
        "url": ssh,
        "ssh_url": ssh,
        "http_url": http,
    }


def hook_commit(base: str, project: Json, commit: Commit) -> Json:
    """Return a commit as hooks name it."""
    return {
        "id": commit.id,
        "message": commit.message,
        "title": commit.title,
        "timestamp": commit.authored,
        "url": f"{base}/{project['path_with_namespace']}/-/commit/{commit.id}",
        "author": {"name": commit.author.name, "email": commit.author.email},
    }


def push(
    base: str, project: Json, repository: Repository, ref: str, change: tuple[str, str], user: Json
) -> Json:
    """Return a push or tag_push body. Blocks: it asks Git what the commits touched."""
    before, after = change
    is_tag = ref.startswith("refs/tags/")
    checkout = repository.resolve(after) if after != ZEROS else None
    commits = _commits(repository, project, ref, before, after)
    kind = "tag_push" if is_tag else "push"
    block = hook_project(base, project)
    return {
        "object_kind": kind,
        "event_name": kind,
        "before": before,
        "after": after,
        "ref": ref,
        "ref_protected": ref.removeprefix("refs/heads/") in project["protected_branches"],
        # For an annotated tag `after` is the tag object, and this its commit.
        # Null for a deleted branch or tag: there is nothing left to check out.
        "checkout_sha": checkout,
        "message": repository.tag_message(after) if is_tag and checkout else None,
        "user_id": user["id"],
        "user_name": user["name"],
        "user_username": user["username"],
        "user_email": user["email"],
        "user_avatar": None,
        "project_id": project["id"],
        "project": block,
        "commits": [_touched(base, project, repository, item) for item in reversed(commits[:LISTED_COMMITS])],
        # More than the list holds where a push was long: then the touched paths are not all here.
        "total_commits_count": len(commits),
        "push_options": {},
        "repository": {
            name: block[name]
            for name in (
                "name",
                "url",
                "description",
                "homepage",
                "git_http_url",
                "git_ssh_url",
                "visibility_level",
            )
        },
    }


def _commits(repository: Repository, project: Json, ref: str, before: str, after: str) -> list[Commit]:
    """Return the pushed commits, newest first: none for a deletion, or a new branch without new ones."""
    if after == ZEROS:
        return []
    if ref.startswith("refs/tags/"):
        commit = repository.resolve(after)
        return repository.log("-1", commit) if commit else []
    # After a force push the old tip is no ancestor: no flag says so (gitlab-webhooks.md, "push").
    if before != ZEROS:
        return repository.log(f"{before}..{after}")
    # A new branch tells of what the default branch lacks: often of nothing.
    default = f"refs/heads/{project['default_branch']}"
    known = repository.resolve(default) if ref != default else None
    return repository.log(after, *([f"^{known}"] if known else []))


def _touched(base: str, project: Json, repository: Repository, commit: Commit) -> Json:
    command = ("diff-tree", "-r", "--no-renames", "--name-status", "-z", parent_of(commit), commit.id)
    fields = repository.run(*command).decode(errors="replace").split("\0")
    # Without renames: a moved file is removed here and added there, as hooks have it.
    pairs = list(zip(fields[0::2], fields[1::2], strict=False))
    kinds = {"added": "A", "modified": "MT", "removed": "D"}
    return hook_commit(base, project, commit) | {
        name: [path for status, path in pairs if status and status in letters]
        for name, letters in kinds.items()
    }


def merge_request(
    base: str,
    project: Json,
    mr: Json,
    last: Commit | None,
    user: Json,
    action: str,
    extra: Json,
    author: Json,
) -> Json:
    """Return a merge_request body; `extra` holds oldrev and the like."""
    block = hook_project(base, project)
    return {
        "object_kind": "merge_request",
        "event_type": "merge_request",
        "user": hook_user(user),
        "project": block,
        "repository": {name: block[name] for name in ("name", "url", "description", "homepage")},
        "object_attributes": _mr_attributes(base, project, mr, last, action, author)
        | {name: value for name, value in extra.items() if name != "changes"},
        "labels": [],
        # May be empty in real life, too; `oldrev` is what tells of pushed code.
        "changes": extra.get("changes", {}),
        "assignees": [],
        "reviewers": [],
    }


def _mr_attributes(
    base: str, project: Json, mr: Json, last: Commit | None, action: str, author: Json
) -> Json:
    block = hook_project(base, project)
    return {
        "id": mr["id"],
        "iid": mr["iid"],
        "target_branch": mr["target_branch"],
        "source_branch": mr["source_branch"],
        "source_project_id": project["id"],
        "target_project_id": project["id"],
        "author_id": author["id"],
        "assignee_ids": [],
        "assignee_id": None,
        "reviewer_ids": [],
        "title": mr["title"],
        "description": mr["description"],
        # "2026-01-05 08:00:00 UTC": hooks keep a form of their own beside the API's ISO 8601.
        "created_at": hook_stamp(mr["created_at"]),
        "updated_at": hook_stamp(mr["updated_at"]),
        "milestone_id": None,
        "state": mr["state"],
        "state_id": {"opened": 1, "closed": 2, "merged": 3, "locked": 4}[mr["state"]],
        "blocking_discussions_resolved": True,
        # The old name of draft; both are sent.
        "work_in_progress": mr["draft"],
        "draft": mr["draft"],
        "first_contribution": False,
        "merge_status": "unchecked" if mr["state"] != "merged" else "can_be_merged",
        "detailed_merge_status": mr["hook_status"],
        # Null after a fast-forward, and not the branch head after a squash: readers must ask the API.
        "merge_commit_sha": mr["merge_commit_sha"],
        "url": f"{block['web_url']}/-/merge_requests/{mr['iid']}",
        "source": block,
        "target": block,
        "last_commit": hook_commit(base, project, last) if last else None,
        "labels": [],
        "last_edited_at": None,
        "last_edited_by_id": None,
        "merge_when_pipeline_succeeds": mr["merge_when_pipeline_succeeds"],
        "merge_user_id": mr["merge_user"]["id"] if mr["merge_user"] else None,
        "action": action,
    }


def deployment(base: str, project: Json, row: Json, title: str, user: Json) -> Json:
    """Return a deployment body: `deployable_*` are null for deployments made over the API."""
    environment = row["environment"]
    return {
        "object_kind": "deployment",
        "status": row["status"],
        # A third form of dates, with an offset.
        "status_changed_at": row["updated_at"][:19].replace("T", " ") + " +0000",
        "deployment_id": row["id"],
        "deployable_id": None,
        "deployable_url": None,
        "environment": environment["name"],
        "environment_slug": environment["slug"],
        "environment_tier": environment["tier"],
        "environment_external_url": environment["external_url"],
        "project": hook_project(base, project),
        # Eight characters, never the full id: that is in commit_url.
        "short_sha": row["sha"][:8],
        "user": hook_user(user),
        "user_url": f"{base}/{user['username']}",
        "commit_url": f"{base}/{project['path_with_namespace']}/-/commit/{row['sha']}",
        "commit_title": title,
        "ref": row["ref"],
    }


def release(base: str, project: Json, row: Json, commit: Commit, action: str) -> Json:
    """Return a release body."""
    web = f"{base}/{project['path_with_namespace']}"
    return {
        "id": row["id"],
        "created_at": hook_stamp(row["created_at"]),
        "description": row["description"],
        "name": row["name"],
        "released_at": hook_stamp(row["released_at"]),
        "tag": row["tag_name"],
        "object_kind": "release",
        "project": hook_project(base, project),
        "url": f"{web}/-/releases/{row['tag_name']}",
        "action": action,
        "assets": {"count": 0, "links": [], "sources": []},
        "commit": hook_commit(base, project, commit),
    }


def pipeline(base: str, project: Json, row: Json, commit: Commit | None, user: Json, mr: Json | None) -> Json:
    """Return a pipeline body; its dates are not ISO 8601."""
    return {
        "object_kind": "pipeline",
        "object_attributes": {
            "id": row["id"],
            "iid": row["iid"],
            "name": row["name"],
            "ref": row["ref"],
            "tag": row["tag"],
            "sha": row["sha"],
            "before_sha": row["before_sha"],
            "source": row["source"],
            "status": row["status"],
            # The page's word for the same thing.
            "detailed_status": "passed" if row["status"] == "success" else row["status"],
            "stages": row["stages"],
            "created_at": hook_stamp(row["created_at"]),
            "finished_at": hook_stamp(row["finished_at"]) if row["finished_at"] else None,
            "duration": row["duration"],
            "queued_duration": 1,
            # Real ones may hold secrets here: whoever stores the body redacts it.
            "variables": [],
            "url": f"{base}/{project['path_with_namespace']}/-/pipelines/{row['id']}",
        },
        "merge_request": mr,
        "user": hook_user(user),
        "project": hook_project(base, project),
        "commit": hook_commit(base, project, commit) if commit else None,
        "builds": [_build(row, number, stage, user) for number, stage in enumerate(row["stages"])],
    }


def _build(row: Json, number: int, stage: str, user: Json) -> Json:
    return {
        "id": row["id"] * 100 + number,
        "stage": stage,
        "name": stage,
        "status": row["status"],
        "created_at": hook_stamp(row["created_at"]),
        "started_at": hook_stamp(row["created_at"]),
        "finished_at": hook_stamp(row["finished_at"]) if row["finished_at"] else None,
        "duration": row["duration"],
        "queued_duration": 1.0,
        "failure_reason": "script_failure" if row["status"] == "failed" else None,
        "when": "on_success",
        "manual": False,
        "allow_failure": False,
        "user": hook_user(user),
        "runner": None,
        "artifacts_file": {"filename": None, "size": None},
        "environment": None,
    }
