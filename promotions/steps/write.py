"""Write the approved Change to Git, exactly once.

After any crash or time-out the trailer is looked for before anything is written again. A moved tip is
never merged as text: the structured edit is applied to the new tip, and must be the approved change.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.errors import Conflict, NotFound
from integrations.gitlab import GitLabClient
from integrations.gitlab.types import Commit, FileUpdate
from promotions import changes, vendors
from promotions.choices import PromotionKind, WriteMode
from promotions.manifests import Change
from promotions.models import Promotion, Stage, StepResult
from promotions.steps.base import Differs, Done, Failed, Outcome, Waiting, trailer
from promotions.steps.guard import before_acting
from promotions.workflow import person_name

_WRITE_LOCKS = 7_305_002


def run(promotion: Promotion, result: StepResult) -> Outcome:
    """Find our commit or make it. One write at a time per repository and branch, across all workers."""
    stage = promotion.stage
    client = vendors.gitlab(stage.manifest_connection)
    with _branch_lock(stage) as held:
        if not held:
            return Waiting(_("Another promotion is writing to this branch."), look_in=0.5)
        if (commit := _find_written(client, promotion)) is not None:
            return _done(client, promotion, commit)
        return _write(client, promotion)


@contextmanager
def _branch_lock(stage: Stage) -> Iterator[bool]:
    """Hold the right to write to the branch. The database frees it when this process dies."""
    name = f"{stage.manifest_connection_id}:{stage.manifest_project}:{stage.manifest_branch}"
    key = crc32(name.encode()) - 2**31
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_WRITE_LOCKS, key])
        row = cursor.fetchone()
        yield bool(row and row[0])


def branch_name(promotion: Promotion) -> str:
    """Return the branch our commit goes to."""
    stage = promotion.stage
    if stage.write_mode == WriteMode.DIRECT:
        return stage.manifest_branch
    if stage.write_mode == WriteMode.TEAM_BRANCH:
        return stage.team_branch
    return f"slipway/{stage.application.slug}-{stage.environment.slug}-{promotion.key.hex[:12]}"


def _find_written(client: GitLabClient, promotion: Promotion) -> Commit | None:
    """Look for our trailer where it may be: on the manifest branch, else on the branch we write to."""
    key, value = trailer(promotion)
    stage = promotion.stage
    for ref in dict.fromkeys([stage.manifest_branch, branch_name(promotion)]):
        try:
            found = client.find_commit_by_trailer(
                stage.manifest_project, ref=ref, base=promotion.base_commit, key=key, value=value
            )
        except NotFound:  # a branch of our own that was not made yet, or is merged and gone
            continue
        if found is not None:
            return found
    return None


def _done(client: GitLabClient, promotion: Promotion, commit: Commit) -> Outcome:
    direct = promotion.stage.write_mode == WriteMode.DIRECT
    if direct and (problem := _overwrote(client, promotion, commit)):
        return Failed(problem, link=commit.web_url)
    return Done(
        _("Commit %(sha)s on %(branch)s.") % {"sha": commit.id[:8], "branch": branch_name(promotion)},
        link=commit.web_url,
        fields={
            "written_commit": commit.id,
            "written_at": commit.committed_at or timezone.now(),
            **({"target_commit": commit.id} if direct else {}),
        },
    )


def _write(client: GitLabClient, promotion: Promotion) -> Outcome:
    stage = promotion.stage
    tip = changes.tip(stage)
    change = changes.compute(stage, promotion.version, commit=tip)
    if not change.edits:
        return _already_in_git(client, promotion, tip)
    if change.hash != promotion.change_hash:
        return Differs(tip, change)
    base = tip
    if stage.write_mode == WriteMode.TEAM_BRANCH:
        base = client.branch(stage.manifest_project, stage.team_branch).commit_id
        if (problem := _team_branch_problem(client, stage, tip)) is not None:
            return problem
        change = changes.compute(stage, promotion.version, commit=base)
        if change.hash != promotion.change_hash:
            return _team_branch_differs(stage)
    before_acting(promotion)
    try:
        commit = _commit(client, promotion, change, base)
    except Conflict:
        return Waiting(_("The branch moved while writing; applying the edit to its new tip."), look_in=0.1)
    return _done(client, promotion, commit)


def _already_in_git(client: GitLabClient, promotion: Promotion, tip: str) -> Done:
    """Somebody else wrote the same value: there is nothing left to write, only to follow."""
    commit = client.commit(promotion.stage.manifest_project, tip)
    return Done(
        _("%(branch)s already asks for %(version)s at commit %(sha)s: nothing to write.")
        % {"branch": promotion.stage.manifest_branch, "version": promotion.version, "sha": tip[:8]},
        link=commit.web_url,
        fields={"target_commit": tip, "written_at": commit.committed_at or timezone.now()},
    )


def _team_branch_problem(client: GitLabClient, stage: Stage, tip: str) -> Waiting | None:
    """The merge of a shared branch brings everything on it: it must hold nothing that nobody approved."""
    others = client.compare(stage.manifest_project, tip, stage.team_branch).commits
    if not others:
        return None
    titles = ", ".join(f"{commit.id[:8]} {commit.title}" for commit in others[:5])
    return Waiting(
        _("%(branch)s holds commits that %(target)s lacks; they would go with this change: %(titles)s.")
        % {"branch": stage.team_branch, "target": stage.manifest_branch, "titles": titles},
        look_in=15,
    )


def _team_branch_differs(stage: Stage) -> Waiting:
    return Waiting(
        _(
            "On %(branch)s the same place holds another value than on %(target)s:"
            " bring %(target)s into %(branch)s first."
        )
        % {"branch": stage.team_branch, "target": stage.manifest_branch},
        look_in=15,
    )


def _commit(client: GitLabClient, promotion: Promotion, change: Change, base: str) -> Commit:
    stage = promotion.stage
    requester = promotion.requested_by
    return client.create_commit(
        stage.manifest_project,
        branch=branch_name(promotion),
        message=commit_message(promotion),
        # Any ancestor works as GitLab's lock: the tip we read from stands for all files (gitlab-api.md).
        files=[FileUpdate(path, content, base) for path, content in change.files.items()],
        author_name=promotion.requested_by_name,
        author_email=(requester.email if requester else "") or "slipway@localhost",
        start_sha=base if stage.write_mode == WriteMode.OWN_BRANCH else None,
    )


def commit_message(promotion: Promotion) -> str:
    """Return the commit's message with its trailers; values of people are kept to one line each."""
    verb = "Roll back" if promotion.kind == PromotionKind.ROLLBACK else "Promote"
    stage = promotion.stage
    subject = f"{verb} {stage.application.slug} in {stage.environment.slug} to {promotion.version.label}"
    reason = f"\n\n{_one_line(promotion.reason)}" if promotion.reason else ""
    key, value = trailer(promotion)
    trailers = [f"{key}: {value}", f"Requested-by: {_one_line(promotion.requested_by_name)}"]
    trailers += [f"Approved-by: {_one_line(name)}" for name in _approvers(promotion)]
    return _one_line(subject) + reason + "\n\n" + "\n".join(trailers) + "\n"


def _approvers(promotion: Promotion) -> list[str]:
    return [
        person_name(approval.person) if approval.person else approval.person_name
        for approval in promotion.standing_approvals()
    ]


def _one_line(text: str) -> str:
    """A line break in a person's text could forge a trailer."""
    return " ".join(text.split())


def _overwrote(client: GitLabClient, promotion: Promotion, commit: Commit) -> str:
    """GitLab's optimistic lock fails open: say so if our commit undid one that slipped in between.

    What our commit changed must be exactly the approved edits, whatever its parent is.
    """
    if not commit.parent_ids:
        return ""
    expected = changes.compute(promotion.stage, promotion.version, commit=commit.parent_ids[0])
    for path, content in expected.files.items():
        if client.read_file(promotion.stage.manifest_project, path, commit.id).content != content:
            return _(
                "Commit %(sha)s changed more of %(path)s than was approved: another commit slipped in"
                " while GitLab wrote. Compare it with its parent and mend it by hand."
            ) % {"sha": commit.id[:8], "path": path}
    return ""
