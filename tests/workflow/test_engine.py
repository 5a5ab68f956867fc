"""The engine advances one promotion: through its steps, outages, moved branches, defects and dead workers."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from promotions import engine, operations
from promotions.choices import PromotionStatus, StepStatus
from promotions.models import AuditEntry, Promotion, Stage, StageState, StepResult
from promotions.policy import Refused
from tests import cast
from tests.workflow.conftest import at_once
from tests.workflow.small_gitlab import BASE, SmallGitLab

pytestmark = pytest.mark.usefixtures("transactional_db")
S = PromotionStatus


def advanced(promotion: Promotion) -> Promotion:
    engine.advance(promotion.pk)
    return Promotion.objects.get(pk=promotion.pk)


def test_an_approved_promotion_writes_one_commit_with_its_trailers_and_succeeds(
    approved: Promotion, git: SmallGitLab
) -> None:
    done = advanced(approved)
    assert (done.status, done.look_at) == (S.SUCCEEDED, None)
    assert len(git.commits) == 2
    assert git.content == git.commits[0][2].replace(b":1.0.0", b":1.1.0")
    message = git.commits[1][1].splitlines()
    assert message[-3:] == [f"Promotion-Id: {done.key}", "Requested-by: Rin Sato", "Approved-by: Ada Weber"]
    assert [step.status for step in done.steps.all()] == [StepStatus.SUCCEEDED] * 2
    assert StageState.objects.get(stage=done.stage).promoted == done


def test_what_it_wrote_is_looked_at_although_nobody_tells_of_the_push(
    approved: Promotion, git: SmallGitLab
) -> None:
    """A plain Git server sends no hooks: the cell would show the old version until the next poll."""
    advanced(approved)
    (job,) = ProcrastinateJob.objects.filter(task_name="promotions.look_at_branch")
    stage = approved.stage
    assert job.args == {
        "connection_id": stage.manifest_connection_id,
        "project": stage.manifest_project,
        "branch": stage.manifest_branch,
    }


def test_looking_again_at_any_time_does_nothing_twice(approved: Promotion, git: SmallGitLab) -> None:
    advanced(approved)
    rows = AuditEntry.objects.count()
    for _ in range(3):
        advanced(approved)
    assert len(git.commits) == 2
    assert AuditEntry.objects.count() == rows


def test_two_workers_that_look_at_the_same_moment_write_once(approved: Promotion, git: SmallGitLab) -> None:
    at_once(*[partial(engine.advance, approved.pk)] * 3)
    for _ in range(3):
        done = advanced(approved)
    assert done.status == S.SUCCEEDED
    assert len(git.commits) == 2


def test_a_worker_that_died_after_the_commit_finds_it_by_its_trailer(
    approved: Promotion, git: SmallGitLab
) -> None:
    done = advanced(approved)
    # As if everything after the vendor's answer had been lost with the process.
    StepResult.objects.all().delete()
    Promotion.objects.filter(pk=done.pk).update(
        status=S.RUNNING, step="write", finished_at=None, written_commit="", target_commit=""
    )
    again = advanced(approved)
    assert (again.status, again.written_commit) == (S.SUCCEEDED, git.commits[1][0])
    assert len(git.commits) == 2


def test_an_outage_is_said_waited_for_ever_more_rarely_and_then_forgotten(
    approved: Promotion, git: SmallGitLab
) -> None:
    git.is_down = True
    waits = []
    for _ in range(3):
        waiting = advanced(approved)
        assert waiting.status == S.RUNNING
        assert "Trying again" in waiting.message
        assert waiting.look_at is not None
        waits.append((waiting.look_at - timezone.now()).total_seconds())
    assert waits == sorted(waits)
    assert 0 < waits[0] < waits[-1] <= 60
    git.is_down = False
    assert advanced(approved).status == S.SUCCEEDED
    assert len(git.commits) == 2


def test_an_outage_without_end_errors_and_a_retry_resumes_at_that_step(
    approved: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    git.is_down = True
    advanced(approved)
    result = StepResult.objects.get()
    result.data |= {"outages": 1, "outage_since": timezone.now().timestamp() - 3600}
    result.save()
    errored = advanced(approved)
    assert (errored.status, errored.step) == (S.ERRORED, "write")
    git.is_down = False
    operations.retry(errored, by=people.requester)
    done = advanced(approved)
    assert (done.status, done.attempt) == (S.SUCCEEDED, 2)
    assert [step.status for step in done.steps.filter(step="write")] == [
        StepStatus.ERRORED,
        StepStatus.SUCCEEDED,
    ]


def test_a_branch_that_moved_elsewhere_in_the_file_changes_nothing_of_the_approval(
    approved: Promotion, git: SmallGitLab
) -> None:
    git.push(git.content.replace(b"# by hand", b"# by another hand"))
    done = advanced(approved)
    assert done.status == S.SUCCEEDED
    assert b"1.1.0 # by another hand" in git.content


def test_a_branch_that_moved_at_the_same_place_makes_the_approvals_fall(
    approved: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    git.push(git.content.replace(b":1.0.0", b":1.0.5"))
    waiting = advanced(approved)
    assert (waiting.status, waiting.step, waiting.attempt) == (S.REQUESTED, "", 2)
    assert waiting.change_hash != approved.change_hash
    assert "1.0.0" in waiting.previous_diff
    assert "1.0.5" in waiting.diff
    (approval,) = waiting.approvals.all()
    assert approval.fallen_at is not None
    assert len(git.commits) == 2, "nothing was written"
    operations.approve(waiting, by=people.approver, change_hash=waiting.change_hash)
    assert advanced(approved).status == S.SUCCEEDED
    assert b":1.1.0" in git.content


def test_what_somebody_wrote_already_is_followed_and_not_written_again(
    approved: Promotion, git: SmallGitLab
) -> None:
    sha = git.push(git.content.replace(b":1.0.0", b":1.1.0"))
    done = advanced(approved)
    assert (done.status, done.target_commit, done.written_commit) == (S.SUCCEEDED, sha, "")
    assert len(git.commits) == 2


def test_who_lost_the_role_by_then_no_longer_counts(
    approved: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    people.approver.role_grants.all().delete()
    ended = advanced(approved)
    assert (ended.status, ended.step) == (S.REQUESTED, "")
    assert ended.message == "1 approval is missing. It waits for approval again."
    assert [sha for sha, *_rest in git.commits] == [BASE]


def test_an_aborted_promotion_has_no_further_effect(
    approved: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    operations.abort(approved, by=people.requester, reason="not today")
    assert advanced(approved).status == S.ABORTED
    assert len(git.commits) == 1


def test_a_defect_of_ours_ends_it_errored_and_visible(approved: Promotion, git: SmallGitLab) -> None:
    Promotion.objects.filter(pk=approved.pk).update(status=S.RUNNING, step="no such step")
    with pytest.raises(ValueError, match="no such step"):
        engine.advance(approved.pk)
    engine.poison(approved.pk, ValueError("x"))
    ended = Promotion.objects.get(pk=approved.pk)
    assert ended.status == S.ERRORED
    assert "ValueError" in ended.message


def next_job() -> dict[str, object]:
    """Return what a worker would take now, as procrastinate decides it."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")
        (worker,) = cursor.fetchone()
        cursor.execute("SELECT id, args FROM procrastinate_fetch_job_v2(NULL, %s)", [worker])
        pk, _args = cursor.fetchone()
    return {"id": pk, "scheduled_at": ProcrastinateJob.objects.get(pk=pk).scheduled_at if pk else None}


def test_a_wake_passes_the_look_that_is_planned_for_later(approved: Promotion, git: SmallGitLab) -> None:
    ProcrastinateJob.objects.count()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
    git.is_down = True
    advanced(approved)
    assert ProcrastinateJob.objects.get().scheduled_at > timezone.now()
    assert next_job()["id"] is None
    engine.wake(approved)
    engine.wake(approved)
    assert ProcrastinateJob.objects.count() == 2
    taken = next_job()
    assert taken["id"] is not None
    assert taken["scheduled_at"] is None
    assert next_job()["id"] is None, "one look at a time per Stage"


def test_the_sweep_finds_what_no_job_was_left_for(approved: Promotion, git: SmallGitLab) -> None:
    git.is_down = True
    advanced(approved)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
    assert engine.sweep() == 0, "it is not due yet"
    Promotion.objects.update(look_at=timezone.now() - timedelta(seconds=1))
    assert engine.sweep() == 1
    assert engine.sweep() == 1
    assert ProcrastinateJob.objects.count() == 1


def test_a_request_whose_confirmed_change_is_no_longer_the_one_asks_for_nothing(
    catalogue: cast.Catalogue, people: cast.People, git: SmallGitLab
) -> None:
    stage = Stage.objects.get(pk=catalogue.production.pk)
    with pytest.raises(operations.StaleState):
        operations.request_promotion(
            stage, catalogue.newer, by=people.requester, reason="", seen_hash="0" * 64
        )
    git.is_down = True
    with pytest.raises(Refused) as refused:
        operations.request_promotion(stage, catalogue.newer, by=people.requester, reason="")
    assert [refusal.gate for refusal in refused.value.refusals] == ["change"]
    assert not Promotion.objects.exists()
