"""Bring our commit to the manifest branch through a merge request, and notice what people do with it."""

from __future__ import annotations

from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.errors import Conflict, Rejected
from integrations.gitlab import GitLabClient, NotMergeable
from integrations.gitlab.types import MergeRequest
from promotions import vendors
from promotions.choices import WriteMode
from promotions.models import Promotion, StepResult
from promotions.steps.base import Done, Failed, Outcome, Waiting
from promotions.steps.guard import before_acting
from promotions.steps.write import branch_name, commit_message

# Only a person, or another commit, can end these: waiting longer would not.
_HOPELESS = frozenset({"conflict", "need_rebase"})


def run(promotion: Promotion, result: StepResult) -> Outcome:
    """Find or open the merge request, merge it when GitLab says it can be, follow what others did to it."""
    client = vendors.gitlab(promotion.stage.manifest_connection)
    if promotion.target_commit:  # the value was in Git already: there is nothing to merge
        return Done(_("Nothing to merge."))
    request = _find(client, promotion) or _open(client, promotion)
    if request.state == "merged":
        return _merged(client, promotion, request)
    if request.state == "closed":
        return Failed(_closed_words(request), link=request.web_url)
    if promotion.merge_request_iid != request.iid:
        # Remembered before anything else happens to it, so that a crash finds the same one again.
        return _wait(request, _("Merge request !%(iid)d is open.") % {"iid": request.iid}, look_in=0)
    return _try_to_merge(client, promotion, request)


def _find(client: GitLabClient, promotion: Promotion) -> MergeRequest | None:
    project, stage = promotion.stage.manifest_project, promotion.stage
    if promotion.merge_request_iid:
        return client.merge_request(project, promotion.merge_request_iid)
    source = branch_name(promotion)
    opened = client.find_merge_requests(project, source_branch=source, target_branch=stage.manifest_branch)
    if opened:
        return client.merge_request(project, opened[0].iid)
    # A retry after somebody closed it opens a new one; the first attempt must see that it was closed.
    states = ("merged",) if promotion.attempt > 1 else ("merged", "closed", "locked")
    for request in client.commit_merge_requests(project, promotion.written_commit):
        pair = (request.source_branch, request.target_branch)
        if pair == (source, stage.manifest_branch) and request.state in states:
            return client.merge_request(project, request.iid)
    return None


def _open(client: GitLabClient, promotion: Promotion) -> MergeRequest:
    stage = promotion.stage
    title, _blank, description = commit_message(promotion).partition("\n")
    before_acting(promotion)
    try:
        return client.create_merge_request(
            stage.manifest_project,
            source_branch=branch_name(promotion),
            target_branch=stage.manifest_branch,
            title=title,
            description=description.strip(),
            remove_source_branch=stage.write_mode == WriteMode.OWN_BRANCH,
        )
    except Conflict:  # another open one for the same pair appeared: adopt it (gitlab-api.md)
        found = _find(client, promotion)
        if found is None:
            raise
        return found


def _merged(client: GitLabClient, promotion: Promotion, request: MergeRequest) -> Outcome:
    stage = promotion.stage
    sha = request.merged_sha
    if not client.is_ancestor(stage.manifest_project, sha, stage.manifest_branch):
        return _wait(request, _("GitLab says merged; waiting to see the commit on the branch."), look_in=1)
    by = request.merged_by or "GitLab"
    return Done(
        _("Merge request !%(iid)d was merged by %(person)s.") % {"iid": request.iid, "person": by},
        link=request.web_url,
        fields={
            "merge_request_iid": request.iid,
            "merge_request_url": request.web_url,
            "target_commit": sha,
            "written_at": request.merged_at or timezone.now(),
        },
    )


def _closed_words(request: MergeRequest) -> str:
    if request.closed_by:
        return _("Merge request !%(iid)d was closed by %(person)s without merging.") % {
            "iid": request.iid,
            "person": request.closed_by,
        }
    return _("Merge request !%(iid)d was closed without merging.") % {"iid": request.iid}


def _try_to_merge(client: GitLabClient, promotion: Promotion, request: MergeRequest) -> Outcome:
    if request.sha != promotion.written_commit:
        return _wait(request, _foreign_words(promotion, request), look_in=15)
    if request.state == "locked" or request.is_being_checked:
        return _wait(request, _("GitLab is checking whether it can be merged."), look_in=0.7)
    if request.detailed_merge_status in _HOPELESS:
        return Failed(
            _("GitLab can't merge !%(iid)d: %(status)s.")
            % {"iid": request.iid, "status": request.detailed_merge_status},
            link=request.web_url,
        )
    if promotion.stage.merged_by_people:
        return _wait(request, _("Waiting for a person to merge !%d in GitLab.") % request.iid, look_in=20)
    if request.detailed_merge_status != "mergeable":
        return _wait(request, _blocked_words(request), look_in=10)
    return _merge(client, promotion, request)


def _merge(client: GitLabClient, promotion: Promotion, request: MergeRequest) -> Outcome:
    before_acting(promotion)
    try:
        after = client.merge(promotion.stage.manifest_project, request.iid, sha=promotion.written_commit)
    except NotMergeable:
        return _wait(request, _blocked_words(request), look_in=2)
    except Conflict as error:
        return _wait(request, str(error), look_in=1)
    except Rejected as error:
        return Failed(str(error), link=request.web_url)
    if after.state == "merged":
        return _merged(client, promotion, after)
    return _wait(after, _("GitLab merges !%d when its checks have passed.") % request.iid, look_in=5)


def _foreign_words(promotion: Promotion, request: MergeRequest) -> str:
    return _(
        "%(branch)s has moved to %(sha)s since our commit %(ours)s: merging would bring what nobody approved."
    ) % {
        "branch": request.source_branch,
        "sha": request.sha[:8],
        "ours": promotion.written_commit[:8],
    }


def _blocked_words(request: MergeRequest) -> str:
    return _("GitLab does not let !%(iid)d be merged yet: %(status)s.") % {
        "iid": request.iid,
        "status": request.detailed_merge_status,
    }


def _wait(request: MergeRequest, message: str, *, look_in: float) -> Waiting:
    return Waiting(
        message,
        look_in=look_in,
        link=request.web_url,
        fields={"merge_request_iid": request.iid, "merge_request_url": request.web_url},
    )
