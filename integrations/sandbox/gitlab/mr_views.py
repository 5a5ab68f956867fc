"""The JSON of a merge request, as fixtures `gitlab/api-mr-*.json` show it. Blocks: asks Git."""

from __future__ import annotations

from typing import TYPE_CHECKING

from integrations.sandbox.gitlab.state import Json
from integrations.sandbox.gitlab.views import user_json

if TYPE_CHECKING:
    from integrations.sandbox.gitlab.app import GitLab

KEPT = (
    "id",
    "iid",
    "title",
    "description",
    "state",
    "created_at",
    "updated_at",
    "merged_at",
    "closed_at",
    "closed_by",
    "merge_user",
    "target_branch",
    "source_branch",
    "labels",
    "draft",
    "merge_when_pipeline_succeeds",
    "sha",
    "merge_commit_sha",
    "squash_commit_sha",
    "should_remove_source_branch",
    "force_remove_source_branch",
    "squash",
)
# The older field `merge_status` knows four words; whatever blocks a merge is one of them there.
MERGE_STATUS = {
    "mergeable": "can_be_merged",
    "preparing": "checking",
    "checking": "checking",
    "not_open": "unchecked",
}


def short_json(gitlab: GitLab, project: Json, mr: Json) -> Json:
    """Return a merge request as lists do."""
    base = gitlab.base_url
    # Only one reason is given, not all of them (gitlab-api.md, "Merge requests").
    status = gitlab.merging.status(project, mr)
    prepared = status != "preparing"
    return {name: mr[name] for name in KEPT} | {
        "project_id": project["id"],
        "source_project_id": project["id"],
        "target_project_id": project["id"],
        # Deprecated for merge_user, which is also set while auto-merge is armed: this one is not.
        "merged_by": mr["merge_user"] if mr["state"] == "merged" else None,
        "author": user_json(base, gitlab.state.users[mr["author_id"]]),
        "assignee": None,
        "assignees": [],
        "reviewers": [],
        "milestone": None,
        "user_notes_count": 0,
        "upvotes": 0,
        "downvotes": 0,
        "work_in_progress": mr["draft"],
        "detailed_merge_status": status,
        "merge_status": MERGE_STATUS.get(status, "cannot_be_merged"),
        # Null for the first seconds: a client that merges at once gets 405.
        "prepared_at": mr["created_at"] if prepared else None,
        "has_conflicts": status == "conflict",
        "blocking_discussions_resolved": True,
        "discussion_locked": None,
        "reference": f"!{mr['iid']}",
        "references": {"short": f"!{mr['iid']}", "full": f"{project['path_with_namespace']}!{mr['iid']}"},
        "web_url": f"{base}/{project['path_with_namespace']}/-/merge_requests/{mr['iid']}",
    }


def full_json(gitlab: GitLab, project: Json, mr: Json, *, rebase: bool) -> Json:
    """Return a merge request as GET of the single one does."""
    pipeline = gitlab.pipelines.last_of(project, mr["sha"])
    head = gitlab.pipelines.short(project, pipeline) if pipeline else None
    body = short_json(gitlab, project, mr) | {
        "diff_refs": mr["diff_refs"],
        "pipeline": head,
        "head_pipeline": head,
        "merge_error": mr["merge_error"],
        "changes_count": str(len(gitlab.open(project).diff(mr["diff_refs"]["base_sha"], mr["sha"]))),
        "subscribed": False,
        "first_contribution": False,
        "latest_build_started_at": head["created_at"] if head else None,
        "latest_build_finished_at": pipeline["finished_at"] if pipeline else None,
        "first_deployed_to_production_at": None,
        "user": {"can_merge": True},
        "approvals_before_merge": project["approvals_before_merge"],
    }
    # Left out unless ?include_rebase_in_progress=true asks.
    return body | {"rebase_in_progress": mr["rebase_in_progress"]} if rebase else body
