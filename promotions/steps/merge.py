"""Bring our commit to the manifest branch through a merge request, and notice what people do with it."""

from __future__ import annotations

from contextlib import suppress

from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.errors import Conflict, NotFound, Rejected
from integrations.gitlab import GitLabClient, NotMergeable
from integrations.gitlab.types import MergeRequest
from promotions import changes, repositories, vendors
from promotions.choices import StepName, WriteMode
from promotions.models import Promotion, Stage, StepResult
from promotions.repositories import Commit
from promotions.steps.base import Again, Done, Failed, JsonData, Outcome, Waiting, trailer
from promotions.steps.guard import before_acting
from promotions.steps.together import combine, follow
from promotions.steps.write import branch_name, commit_message

# Auto-merge makes GitLab merge as soon as these pass, without us asking again and again.
# GitLab's answer when a merge turned out impossible although the status said mergeable (gitlab-api.md).
_FAILED_TO_MERGE = 422
_ARMABLE = frozenset({"ci_still_running", "ci_must_pass"})
_PIPELINE_FAILED = frozenset({"failed", "canceled", "skipped"})


def run(promotion: Promotion, result: StepResult) -> Outcome:
    """Find or open the merge request, merge it when GitLab says it can be, follow what others did to it."""
    if (outcome := follow(promotion, StepName.MERGE)) is not None:
        return outcome
    client = vendors.gitlab(promotion.stage.manifest_connection)
    if promotion.target_commit:  # the value was in Git already: there is nothing to merge
        return Done(_("Nothing to merge."))
    request = _find(client, promotion) or _open(client, promotion)
    if request.state == "merged":
        return _merged(client, promotion, request)
    if result.data.get("replaces") == request.iid:
        return _replace(client, promotion, request)
    if request.state == "closed":
        return Failed(_closed_words(request), link=request.web_url)
    if promotion.merge_request_iid != request.iid:
        # Remembered before anything else happens to it, so that a crash finds the same one again.
        return _wait(request, _("Merge request !%(iid)d is open.") % {"iid": request.iid}, look_in=0)
    return _try_to_merge(client, promotion, result, request)


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


def _try_to_merge(
    client: GitLabClient, promotion: Promotion, result: StepResult, request: MergeRequest
) -> Outcome:
    if request.state == "locked" or request.is_being_checked:
        return _wait(request, _("GitLab is checking whether it can be merged."), look_in=0.7)
    if request.sha != promotion.written_commit:
        return _moved_head(promotion, request)
    match request.detailed_merge_status:
        case "conflict":
            return _conflict(promotion, request)
        case "need_rebase":
            return _rebase(client, promotion, request)
        case "mergeable" if not promotion.stage.merged_by_people:
            return _merge(client, promotion, request)
        case status if status in _ARMABLE and not promotion.stage.merged_by_people:
            return _arm(client, promotion, result, request)
    if promotion.stage.merged_by_people and request.detailed_merge_status == "mergeable":
        return _wait(request, _("Waiting for a person to merge !%d in GitLab.") % request.iid, look_in=20)
    return _wait(request, blocked_words(request), look_in=10)


def _merge(client: GitLabClient, promotion: Promotion, request: MergeRequest) -> Outcome:
    before_acting(promotion)
    project = promotion.stage.manifest_project
    try:
        after = client.merge(
            project,
            request.iid,
            sha=promotion.written_commit,
            squash_message=commit_message(promotion),
            remove_source_branch=promotion.stage.write_mode == WriteMode.OWN_BRANCH,
            # A merge request on a train waits for those before it: GitLab merges it in its turn.
            auto_merge=client.project(project).merge_trains,
        )
    except NotMergeable:
        return _wait(request, blocked_words(request), look_in=2)
    except Conflict as error:
        return _wait(request, str(error), look_in=1)
    except Rejected as error:
        if error.status != _FAILED_TO_MERGE:
            return Failed(str(error), link=request.web_url)
        # Another merge came first: GitLab checks again, and the status will say why.
        return _wait(request, _("GitLab could not merge !%d yet.") % request.iid, look_in=1)
    if after.state == "merged":
        return _merged(client, promotion, after)
    return _wait(after, _armed_words(after), look_in=5)


def _arm(client: GitLabClient, promotion: Promotion, result: StepResult, request: MergeRequest) -> Outcome:
    """Leave it to GitLab to merge when the pipeline has passed. Whoever takes that back wants it held."""
    if request.auto_merge:
        return _wait(request, _armed_words(request), look_in=5)
    if request.head_pipeline_status in _PIPELINE_FAILED or not request.head_pipeline_status:
        return _wait(request, blocked_words(request), look_in=10)
    if result.data.get("armed"):
        message = _("Somebody cancelled the auto-merge of !%d in GitLab: set it again there, or abort.")
        return _wait(request, message % request.iid, look_in=10)
    try:
        before_acting(promotion)
        after = client.merge(
            promotion.stage.manifest_project,
            request.iid,
            sha=promotion.written_commit,
            squash_message=commit_message(promotion),
            remove_source_branch=promotion.stage.write_mode == WriteMode.OWN_BRANCH,
            auto_merge=True,
        )
    except (NotMergeable, Conflict):
        return _wait(request, blocked_words(request), look_in=2)
    if after.state == "merged":
        return _merged(client, promotion, after)
    return _wait(after, _armed_words(after), look_in=5, data={"armed": True})


def _armed_words(request: MergeRequest) -> str:
    return _("GitLab merges !%d when its checks have passed.") % request.iid


def _rebase(client: GitLabClient, promotion: Promotion, request: MergeRequest) -> Outcome:
    """Semi-linear and fast-forward projects want the branch on the target's tip."""
    if promotion.stage.write_mode != WriteMode.OWN_BRANCH:
        return Failed(_team_words(promotion.stage, request), link=request.web_url)
    before_acting(promotion)
    with suppress(Conflict):  # under way already
        client.rebase(promotion.stage.manifest_project, request.iid)
    return _wait(request, _("GitLab rebases !%d onto its target.") % request.iid, look_in=1)


def _moved_head(promotion: Promotion, request: MergeRequest) -> Outcome:
    """Our own commit replayed by GitLab has another id; anything else is what nobody approved."""
    repository = repositories.of(promotion.stage)
    key, value = trailer(promotion)
    try:
        since = repository.since(promotion.stage.manifest_branch, request.sha)
        ours = repository.find_written(
            request.source_branch, base=promotion.base_commit, key=key, value=value
        )
        alone = [commit.id for commit in since] == [request.sha]
        if alone and ours is not None and ours.id == request.sha and _is_as_approved(promotion, ours):
            return _wait(
                request,
                _("GitLab replayed our commit: it is %(sha)s now.") % {"sha": request.sha[:8]},
                look_in=0,
                fields={"written_commit": request.sha},
            )
    except (NotFound, changes.NoChange):
        pass
    return _wait(request, _foreign_words(promotion, request), look_in=15)


def _is_as_approved(promotion: Promotion, commit: Commit) -> bool:
    stage = promotion.stage
    meant = combine(promotion, commit.parent_ids[0])
    tree = repositories.of(stage).tree(commit.id, stage.manifest_path)
    same = all(tree.read(path) == content for path, content in meant.change.files.items())
    return same and not meant.differing


def _conflict(promotion: Promotion, request: MergeRequest) -> Outcome:
    """Lines beside ours changed on the target. Text is never merged: the edit is applied anew."""
    if promotion.stage.write_mode != WriteMode.OWN_BRANCH:
        return Failed(_team_words(promotion.stage, request), link=request.web_url)
    message = _("!%(iid)d is in conflict with %(branch)s: applying the edit to its new tip.") % {
        "iid": request.iid,
        "branch": request.target_branch,
    }
    # Remembered first: after a crash it must be known that nobody but us closed it.
    return _wait(request, message, look_in=0, data={"replaces": request.iid})


def _replace(client: GitLabClient, promotion: Promotion, request: MergeRequest) -> Outcome:
    """Close ours and begin again on another branch. Its old branch goes, if nobody else wrote to it."""
    project = promotion.stage.manifest_project
    before_acting(promotion)
    if request.state == "opened":
        client.close_merge_request(project, request.iid)
    try:
        if request.sha == promotion.written_commit:
            client.delete_branch(project, request.source_branch)
    except NotFound:
        pass  # gone already
    message = _("!%(iid)d was in conflict with %(branch)s: written again on its new tip.") % {
        "iid": request.iid,
        "branch": request.target_branch,
    }
    fields = {
        "branch_round": promotion.branch_round + 1,
        "written_commit": "",
        "merge_request_iid": None,
        "merge_request_url": "",
    }
    return Again(StepName.WRITE, message, fields)


def _team_words(stage: Stage, request: MergeRequest) -> str:
    return _("GitLab can't merge !%(iid)d: %(status)s. Bring %(target)s into %(branch)s, then try again.") % {
        "iid": request.iid,
        "status": request.detailed_merge_status,
        "target": stage.manifest_branch,
        "branch": stage.team_branch,
    }


def _foreign_words(promotion: Promotion, request: MergeRequest) -> str:
    return _(
        "%(branch)s has moved to %(sha)s since our commit %(ours)s: merging would bring what nobody approved."
    ) % {
        "branch": request.source_branch,
        "sha": request.sha[:8],
        "ours": promotion.written_commit[:8],
    }


def blocked_words(request: MergeRequest) -> str:
    """Return why GitLab does not let it be merged, and who can change that. Only one reason is known."""
    reasons = {
        "not_approved": _("it lacks approvals in GitLab, by those whom the project's rules name"),
        "code_owners_approval": _("its code owners have not approved it in GitLab"),
        "requested_changes": _("a reviewer asked for changes in GitLab"),
        "ci_must_pass": _("its pipeline has to succeed: run it again in GitLab"),
        "ci_still_running": _("its pipeline is still running"),
        "discussions_not_resolved": _("a discussion in GitLab is not resolved"),
        "draft_status": _("somebody marked it as a draft in GitLab"),
        "status_checks_must_pass": _("external status checks of GitLab have not passed"),
        "merge_request_blocked": _("another merge request has to be merged first"),
        "security_policy_violations": _("it violates a security policy of the project"),
        "merge_time": _("it is set to be merged later"),
        "locked_paths": _("somebody locked its files in GitLab"),
    }
    status = request.detailed_merge_status
    pipeline = request.head_pipeline_status
    why = reasons.get(status) or status
    if status.startswith("ci_") and pipeline:
        why = _("%(why)s (it is %(status)s)") % {"why": why, "status": pipeline}
    return _("GitLab does not let !%(iid)d be merged yet: %(why)s.") % {"iid": request.iid, "why": why}


def _wait(
    request: MergeRequest,
    message: str,
    *,
    look_in: float,
    data: JsonData | None = None,
    fields: JsonData | None = None,
) -> Waiting:
    known = {"merge_request_iid": request.iid, "merge_request_url": request.web_url}
    return Waiting(
        message, look_in=look_in, link=request.web_url, fields={**known, **(fields or {})}, data=data or {}
    )
