"""Write the approved Change to Git, exactly once.

After any crash or time-out the trailer is looked for before anything is written again. A moved tip is
never merged as text: the structured edit is applied to the new tip, and must be the approved change.
"""

from __future__ import annotations

from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.errors import Conflict, NotFound
from promotions import repositories, wording
from promotions.choices import StepName, WriteMode
from promotions.manifests import Change
from promotions.models import Promotion, Stage, StepResult
from promotions.repositories import Commit, Draft, Repository
from promotions.steps import branches
from promotions.steps.base import Differs, Done, Outcome, Waiting, trailer
from promotions.steps.guard import before_acting
from promotions.steps.repair import repair
from promotions.steps.together import combine, companions, follow
from promotions.steps.turns import lane_of, turn
from promotions.wording import one_line
from promotions.workflow import person_name


def run(promotion: Promotion, result: StepResult) -> Outcome:
    """Find our commit or make it. One write at a time per repository and branch, across all workers."""
    if (outcome := follow(promotion, StepName.WRITE)) is not None:
        return outcome
    repository = repositories.of(promotion.stage)
    with turn(result, promotion.stage, branch_name(promotion)) as not_yet:
        if not_yet is not None:
            return not_yet
        if (commit := _find_written(repository, promotion)) is not None:
            return _written(repository, promotion, result, commit)
        return _write(repository, promotion, result)


def branch_name(promotion: Promotion) -> str:
    """Return the branch our commit goes to."""
    stage = promotion.stage
    if stage.write_mode == WriteMode.DIRECT:
        return stage.manifest_branch
    if stage.write_mode == WriteMode.TEAM_BRANCH:
        return stage.team_branch
    if (writer := companions(promotion)[0]).pk != promotion.pk:
        return branch_name(writer)
    return wording.branch_name(promotion)


def _find_written(repository: Repository, promotion: Promotion) -> Commit | None:
    """Look for our trailer where it may be: on the manifest branch, else on the branch we write to."""
    key, value = trailer(promotion)
    for branch in dict.fromkeys([promotion.stage.manifest_branch, branch_name(promotion)]):
        try:
            found = repository.find_written(branch, base=promotion.base_commit, key=key, value=value)
        except NotFound:  # a branch of our own that was not made yet, or is merged and gone
            continue
        if found is not None:
            return found
    return None


def _written(
    repository: Repository, promotion: Promotion, result: StepResult, commit: Commit, *, base: str = ""
) -> Outcome:
    """Follow a commit of ours. `base` is what it was computed from, where that is known."""
    direct = promotion.stage.write_mode == WriteMode.DIRECT
    if commit.parent_ids[:1] != (base,):
        if direct and (trouble := repair(repository, promotion, commit)):
            return trouble
        if branches.is_own(promotion) and (why := branches.shared_with(repository, promotion, commit)):
            return branches.take_another(promotion, why)
    message = _("Commit %(sha)s on %(branch)s.") % {
        "sha": commit.id[:8],
        "branch": branch_name(promotion),
    }
    return Done(
        " ".join(filter(None, [message, result.data.get("taken")])),
        link=commit.url,
        fields={
            "written_commit": commit.id,
            "written_at": commit.committed_at or timezone.now(),
            **({"target_commit": commit.id} if direct else {}),
        },
    )


def _write(repository: Repository, promotion: Promotion, result: StepResult) -> Outcome:
    stage = promotion.stage
    base = tip = repository.tip(stage.manifest_branch)
    meant = combine(promotion, tip)
    for whose, change in meant.differing:
        return Differs(tip, change, whose)
    if not meant.change.edits:
        return _already_in_git(repository, promotion, tip)
    if stage.write_mode == WriteMode.TEAM_BRANCH:
        base = repository.tip(stage.team_branch)
        if (problem := _team_branch_problem(repository, stage, tip)) is not None:
            return problem
        on_main, meant = meant, combine(promotion, base)
        if meant.change.hash != on_main.change.hash:
            return _team_branch_differs(stage)
    if branches.is_own(promotion) and (why := branches.holder(repository, promotion)):
        return branches.take_another(promotion, why)
    before_acting(promotion)
    try:
        commit = repository.write(_draft(promotion, meant.change, base))
    except Conflict as error:
        if branches.is_own(promotion):
            return branches.take_another(promotion, branches.holder(repository, promotion) or str(error))
        message = _("The branch moved while writing; applying the edit to its new tip.")
        return Waiting(message, look_in=0.1, data={"lane": lane_of(stage, branch_name(promotion))})
    return _written(repository, promotion, result, commit, base=base)


def _already_in_git(repository: Repository, promotion: Promotion, tip: str) -> Done:
    """Somebody else wrote the same value: there is nothing left to write, only to follow."""
    commit = repository.commit(tip)
    return Done(
        _("%(branch)s already asks for %(version)s at commit %(sha)s: nothing to write.")
        % {"branch": promotion.stage.manifest_branch, "version": promotion.version, "sha": tip[:8]},
        link=commit.url,
        fields={"target_commit": tip, "written_at": commit.committed_at or timezone.now()},
    )


def _team_branch_problem(repository: Repository, stage: Stage, tip: str) -> Waiting | None:
    """The merge of a shared branch brings everything on it: it must hold nothing that nobody approved."""
    others = repository.since(tip, stage.team_branch)
    if not others:
        return None
    titles = ", ".join(f"{commit.id[:8]} {commit.title}" for commit in others[:5])
    return Waiting(
        _("%(branch)s holds commits that %(target)s lacks; they would go with this change: %(titles)s.")
        % {"branch": stage.team_branch, "target": stage.manifest_branch, "titles": titles},
        look_in=5,
        # It stays first in line: whoever came later would wait for the same.
        data={"lane": lane_of(stage, stage.team_branch)},
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


def _draft(promotion: Promotion, change: Change, base: str) -> Draft:
    requester = promotion.requested_by
    return Draft(
        branch=branch_name(promotion),
        base=base,
        files=change.files,
        message=commit_message(promotion),
        author_name=promotion.requested_by_name,
        author_email=(requester.email if requester else "") or "slipway@localhost",
        is_new_branch=branches.is_own(promotion),
    )


def commit_message(promotion: Promotion) -> str:
    """Return the commit's message with its trailers; values of people are kept to one line each."""
    key, value = trailer(promotion)
    trailers = [f"{key}: {value}", f"Requested-by: {one_line(promotion.requested_by_name)}"]
    if promotion.release is not None:
        trailers.insert(1, f"Release-Id: {promotion.release.key}")
    parts = companions(promotion)
    approvers = dict.fromkeys(name for each in parts for name in _approvers(each))
    trailers += [f"Approved-by: {one_line(name)}" for name in approvers]
    text = wording.message_text(promotion) if len(parts) == 1 else wording.release_text(parts)
    return text + "\n\n" + "\n".join(trailers) + "\n"


def _approvers(promotion: Promotion) -> list[str]:
    return [
        person_name(approval.person) if approval.person else approval.person_name
        for approval in promotion.standing_approvals()
    ]
