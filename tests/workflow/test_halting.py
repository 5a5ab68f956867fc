"""A gate that closes while a promotion is under way: it waits before its next outside effect."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.utils import timezone

from promotions import engine, evidence, governing, operations
from promotions.choices import CheckState, PromotionStatus, StepStatus
from promotions.models import (
    AuditEntry,
    Comparison,
    Connection,
    Environment,
    FreezePeriod,
    FreezeWindow,
    ImageVersion,
    Lock,
    Promotion,
    Residence,
    Stage,
)
from promotions.policy import Refused
from promotions.workflow import StaleState
from tests import cast
from tests.integrations.loopback import Answer
from tests.workflow.small_gitlab import BASE, SmallGitLab

pytestmark = pytest.mark.usefixtures("transactional_db")
S = PromotionStatus
ALWAYS = {"starts": "0 0 * * *", "lasts": 24 * 60 - 1}


def advanced(promotion: Promotion) -> Promotion:
    engine.advance(promotion.pk)
    return Promotion.objects.get(pk=promotion.pk)


def policy(**rules: object) -> None:
    Environment.objects.update(policy=rules)


def freeze(**fields: object) -> FreezeWindow:
    """A freeze that began an hour ago and lasts another one."""
    now = timezone.now()
    values = {
        "begins_at": (now - timedelta(hours=1)).replace(tzinfo=None).isoformat(),
        "ends_at": (now + timedelta(hours=1)).replace(tzinfo=None).isoformat(),
        "reason": "Year's end",
    }
    return FreezeWindow.objects.create(slug="year", **{**values, **fields})


def test_an_emergency_stop_halts_what_is_approved_and_its_end_lets_it_go(
    approved: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    stop = governing.lock(application=None, environment=None, by=people.admin, reason="An incident")
    halted = advanced(approved)
    assert halted.status == S.APPROVED
    assert "Mar Costa locked everything" in halted.message
    assert "An incident" in halted.message
    assert [sha for sha, *_rest in git.commits] == [BASE]
    governing.lift(stop, by=people.admin, reason="It is over")
    assert advanced(approved).status == S.SUCCEEDED
    assert len(git.commits) == 2
    told = list(AuditEntry.objects.filter(action__startswith="lock.").order_by("id"))
    assert [(entry.action, entry.actor_name, entry.subject) for entry in told] == [
        ("lock.set", "Mar Costa", "everything"),
        ("lock.lifted", "Mar Costa", "everything"),
    ]


def test_a_lock_set_while_a_step_runs_stops_it_before_its_outside_effect(
    approved: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    """The gates were asked before the step; the lock comes while it looks at the branch."""

    def lock_now(exchange: object) -> None:
        if not Lock.objects.exists():
            Lock.objects.create(reason="An incident", set_by_name="Mar Costa")
        connection.close()  # this thread's own
        exchange.answer(Answer(git._branch(exchange)))  # type: ignore[attr-defined]

    path = f"/api/v4/projects/{cast.MANIFEST_PROJECT.replace('/', '%2F')}/repository/branches/main"
    git.server.on("GET", path, lock_now)
    halted = advanced(approved)
    assert (halted.status, halted.step) == (S.RUNNING, "write")
    assert "An incident" in halted.message
    assert [sha for sha, *_rest in git.commits] == [BASE]
    step = halted.steps.get()
    assert step.status == StepStatus.WAITING
    assert step.data["held_since"] > 0
    Lock.objects.update(lifted_at=timezone.now())
    assert advanced(approved).status == S.SUCCEEDED


def test_the_time_a_lock_takes_does_not_count_against_the_step_s_patience(
    approved: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    Lock.objects.create(reason="An incident", set_by_name="Mar Costa")
    Promotion.objects.update(status=S.RUNNING, step="write")
    halted = advanced(approved)
    step = halted.steps.get()
    long_ago = timezone.now() - timedelta(hours=30)
    step.started_at = long_ago
    step.data["held_since"] = long_ago.timestamp()
    step.save()
    Lock.objects.all().delete()
    git.is_down = True
    assert "Trying again" in advanced(approved).message
    git.is_down = False
    assert advanced(approved).status == S.SUCCEEDED


def test_a_halt_without_end_is_bounded_and_can_be_tried_again(
    approved: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    Lock.objects.create(reason="Forgotten", set_by_name="Mar Costa")
    Promotion.objects.update(status_at=timezone.now() - timedelta(days=15))
    ended = advanced(approved)
    assert ended.status == S.ERRORED
    assert "Forgotten" in ended.message
    with pytest.raises(Refused, match="Forgotten"):
        operations.retry(ended, by=people.requester)
    Lock.objects.all().delete()
    operations.retry(ended, by=people.requester)
    assert advanced(approved).status == S.SUCCEEDED


def test_only_who_may_approve_all_of_a_place_closes_and_opens_it(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    stage, by = catalogue.production, people.approver
    with pytest.raises(Refused, match="everything"):
        governing.lock(application=None, environment=None, by=by, reason="x")
    with pytest.raises(Refused, match="all applications"):
        governing.lock(application=None, environment=stage.environment, by=by, reason="x")
    with pytest.raises(Refused, match="not an approver"):
        governing.lock(application=stage.application, environment=None, by=people.requester, reason="x")
    mine = governing.lock(
        application=stage.application, environment=stage.environment, by=by, reason="A migration"
    )
    with pytest.raises(StaleState, match="locked already"):
        governing.lock(
            application=stage.application, environment=stage.environment, by=people.admin, reason="x"
        )
    with pytest.raises(Refused, match="not an approver"):
        governing.lift(mine, by=people.requester, reason="x")
    governing.lift(mine, by=by, reason="Done")
    with pytest.raises(StaleState, match="lifted already"):
        governing.lift(mine, by=by, reason="Done")


def test_a_lock_elsewhere_does_not_concern_it(
    approved: Promotion, git: SmallGitLab, catalogue: cast.Catalogue
) -> None:
    Lock.objects.create(environment=catalogue.dev.environment, reason="x", set_by_name="y")
    Lock.objects.create(
        application=catalogue.application, environment=catalogue.dev.environment, reason="x", set_by_name="y"
    )
    assert advanced(approved).status == S.SUCCEEDED


def test_a_freeze_that_starts_after_the_approval_is_waited_for_and_an_exception_lets_it_go(
    approved: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    freeze()
    waiting = advanced(approved)
    assert waiting.status == S.APPROVED
    assert "is frozen until" in waiting.message
    assert waiting.look_at is not None
    people.requester.role_grants.update(role="approver")
    with pytest.raises(Refused, match="Who requests"):
        governing.except_from_freeze(
            waiting, by=people.requester, change_hash=waiting.change_hash, reason="now"
        )
    with pytest.raises(StaleState, match="no longer the one"):
        governing.except_from_freeze(waiting, by=people.approver, change_hash="0" * 64, reason="now")
    governing.except_from_freeze(
        waiting, by=people.approver, change_hash=waiting.change_hash, reason="A security hole"
    )
    assert advanced(approved).status == S.SUCCEEDED
    entry = AuditEntry.objects.get(action="freeze.excepted")
    assert (entry.actor_name, entry.data["reason"]) == ("Ada Weber", "A security hole")


def test_an_exception_falls_with_the_role_of_who_gave_it(
    approved: Promotion, git: SmallGitLab, people: cast.People, second_approver: User
) -> None:
    freeze()
    governing.except_from_freeze(approved, by=second_approver, change_hash=approved.change_hash, reason="Now")
    second_approver.role_grants.all().delete()
    assert "is frozen" in advanced(approved).message


def test_gitlabs_freeze_is_read_before_the_write_and_honoured(
    approved: Promotion, git: SmallGitLab, catalogue: cast.Catalogue
) -> None:
    """Reference gitlab-api.md, Freeze periods: cron start and end, in a zone as Rails names it."""
    project = cast.SOURCE_PROJECT.replace("/", "%2F")
    period = {
        "id": 1,
        "freeze_start": "0 0 1 1 *",
        "freeze_end": "59 23 31 12 *",
        "cron_timezone": "Eastern Time (US & Canada)",
    }
    git.server.on("GET", f"/api/v4/projects/{project}/freeze_periods", Answer([period]))
    halted = advanced(approved)
    assert (halted.status, halted.step) == (S.RUNNING, "write")
    assert f"GitLab's freeze of {cast.SOURCE_PROJECT}" in halted.message
    assert [sha for sha, *_rest in git.commits] == [BASE]
    git.server.on("GET", f"/api/v4/projects/{project}/freeze_periods", Answer([]))
    assert advanced(approved).status == S.SUCCEEDED
    assert not FreezePeriod.objects.exists()


def test_a_freeze_that_cannot_be_read_freezes(approved: Promotion, git: SmallGitLab) -> None:
    freeze(begins_at="", ends_at="", starts="0 0 * * *", ends="0 1 * * *", time_zone="Mars/Olympus")
    assert "can't be read" in advanced(approved).message


def test_an_environment_may_leave_gitlabs_freezes_alone(
    approved: Promotion, git: SmallGitLab, catalogue: cast.Catalogue
) -> None:
    policy(gitlab_freezes=False)
    FreezePeriod.objects.create(
        connection=catalogue.gitlab,
        project=cast.SOURCE_PROJECT,
        number=1,
        starts="0 0 1 1 *",
        ends="59 23 31 12 *",
        time_zone="UTC",
    )
    assert advanced(approved).status == S.SUCCEEDED


def test_a_version_marked_bad_after_its_approval_does_not_run(
    approved: Promotion, git: SmallGitLab, people: cast.People, catalogue: cast.Catalogue
) -> None:
    with pytest.raises(Refused):
        governing.block(catalogue.newer, by=people.requester, reason="It loses orders")
    governing.block(catalogue.newer, by=people.approver, reason="It loses orders")
    ended = advanced(approved)
    assert ended.status == S.ERRORED
    assert "It loses orders" in ended.message
    with pytest.raises(StaleState, match="already"):
        governing.block(catalogue.newer, by=people.approver, reason="again")
    governing.unblock(catalogue.newer, by=people.approver, reason="It was the network")
    operations.retry(ended, by=people.requester)
    assert advanced(approved).status == S.SUCCEEDED
    assert len(git.commits) == 2


@pytest.mark.parametrize("case", ["deleted", "pushed again", "tag deleted"])
def test_the_image_is_looked_at_afresh_before_the_write(
    approved: Promotion, git: SmallGitLab, catalogue: cast.Catalogue, case: str
) -> None:
    """tag-ordering.md rules 10 and 13: our tables still believe in it."""
    own = git.images["1.1.0"]
    git.images = {
        "deleted": {},
        "pushed again": {"1.1.0": "sha256:" + "9" * 64, "old": own},
        "tag deleted": {"old": own},
    }[case]
    ended = advanced(approved)
    assert ended.status == S.ERRORED
    expected = "The registry has not had 1.1.0" if case == "deleted" else "no longer names this build"
    assert expected in ended.message
    assert [sha for sha, *_rest in git.commits] == [BASE]


def test_a_registry_that_does_not_answer_is_waited_for(approved: Promotion, git: SmallGitLab) -> None:
    Connection.objects.filter(slug="harbor").update(url=cast.NOBODY)
    halted = advanced(approved)
    assert (halted.status, halted.step) == (S.RUNNING, "write")
    assert "Trying again" in halted.message
    assert [sha for sha, *_rest in git.commits] == [BASE]


def test_an_expired_approval_asks_its_person_again(
    approved: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    policy(approvals_expire=60)
    approved.approvals.update(at=timezone.now() - timedelta(minutes=61))
    waiting = advanced(approved)
    assert waiting.status == S.REQUESTED
    assert "Too old to count: Ada Weber." in waiting.message
    operations.approve(waiting, by=people.approver, change_hash=waiting.change_hash)
    assert advanced(approved).status == S.SUCCEEDED


def test_a_role_that_comes_back_makes_the_quorum_whole_again(
    approved: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    grant = people.approver.role_grants.get()
    grant.delete()
    assert advanced(approved).status == S.REQUESTED
    grant.pk = None
    grant.save()
    assert engine.sweep() == 1
    assert advanced(approved).status == S.SUCCEEDED


def test_each_group_must_send_its_people(
    approved: Promotion, git: SmallGitLab, people: cast.People, second_approver: User
) -> None:
    for name, user in (("qa", people.approver), ("ops", second_approver)):
        Group.objects.create(name=name).user_set.add(user)
    rules = [{"name": name, "count": 1, "group": name, "role": ""} for name in ("qa", "ops")]
    policy(approvals=rules)
    waiting = advanced(approved)
    assert waiting.status == S.REQUESTED
    assert "Still needed: 1 × ops." in waiting.message
    operations.approve(waiting, by=second_approver, change_hash=waiting.change_hash)
    assert advanced(approved).status == S.SUCCEEDED


def test_who_wrote_a_commit_of_the_change_can_t_approve_it(
    catalogue: cast.Catalogue, people: cast.People, git: SmallGitLab, second_approver: User
) -> None:
    policy(bar_authors=True)
    made = cast.make_promotion(catalogue, people.requester)
    with pytest.raises(Refused, match="has not been read"):
        operations.approve(made, by=people.approver, change_hash=cast.HASH)
    Comparison.objects.create(
        connection=catalogue.gitlab,
        project=cast.SOURCE_PROJECT,
        base=catalogue.old.commit,
        head=catalogue.newer.commit,
        commits=[{"sha": "2" * 40, "title": "x", "author": "A.", "email": "Approver@example.com"}],
    )
    with pytest.raises(Refused, match="Who wrote a commit"):
        operations.approve(made, by=people.approver, change_hash=cast.HASH)
    operations.approve(made, by=second_approver, change_hash=cast.HASH)
    made.refresh_from_db()
    assert made.status == S.APPROVED


def test_order_and_soak_are_counted_where_the_version_was(
    catalogue: cast.Catalogue, people: cast.People, git: SmallGitLab
) -> None:
    policy(requires=["previous"], soak=60)
    Environment.objects.filter(slug="dev").update(policy={})
    stage = Stage.objects.get(pk=catalogue.production.pk)
    with pytest.raises(Refused, match="has not been in flask-k8s-example / Development"):
        operations.request_promotion(stage, catalogue.newer, by=people.requester, reason="x")
    # Development runs another image, built from the same commit.
    twin = ImageVersion.objects.create(
        image=catalogue.dev.image, digest="sha256:" + "7" * 64, tag="dev-2", commit=catalogue.newer.commit
    )
    stay = Residence.objects.create(
        stage=catalogue.dev, version=twin, healthy_since=timezone.now() - timedelta(minutes=10)
    )
    made = operations.request_promotion(stage, catalogue.newer, by=people.requester, reason="x")
    operations.approve(made, by=people.approver, change_hash=made.change_hash)
    waiting = advanced(made)
    assert waiting.status == S.APPROVED
    assert "will have been healthy in flask-k8s-example / Development for the 1 h" in waiting.message
    stay.healthy_since = timezone.now() - timedelta(minutes=61)
    stay.save()
    assert advanced(made).status == S.SUCCEEDED


def test_a_check_that_is_pushed_holds_it_until_it_passes(
    approved: Promotion, git: SmallGitLab, people: cast.People, second_developer: User
) -> None:
    policy(checks=[{"name": "tests", "url": "", "secret": "", "group": ""}])
    assert "tests: pending" in advanced(approved).message
    fresh = Promotion.objects.get(pk=approved.pk)
    with pytest.raises(Refused, match="Who requests"):
        governing.report_check(fresh, "tests", by=people.requester, state=CheckState.PASSED)
    with pytest.raises(Refused, match="asks for no check"):
        governing.report_check(fresh, "other", by=second_developer, state=CheckState.PASSED)
    governing.report_check(fresh, "tests", by=second_developer, state=CheckState.FAILED, message="3 of 40")
    assert "tests: failed (3 of 40)" in advanced(approved).message
    governing.report_check(fresh, "tests", by=second_developer, state=CheckState.PASSED)
    assert advanced(approved).status == S.SUCCEEDED
    actions = AuditEntry.objects.filter(action__startswith="check.").order_by("id")
    assert [entry.action for entry in actions] == ["check.failed", "check.passed"]


def test_a_check_of_another_change_does_not_count(
    approved: Promotion, git: SmallGitLab, second_developer: User
) -> None:
    policy(checks=[{"name": "tests", "url": "", "secret": "", "group": ""}])
    governing.report_check(approved, "tests", by=second_developer, state=CheckState.PASSED)
    approved.checks.update(change_hash="0" * 64)
    assert "tests: pending" in advanced(approved).message


def test_a_scan_and_a_pipeline_are_read_before_the_write(
    approved: Promotion, git: SmallGitLab, catalogue: cast.Catalogue
) -> None:
    """The gates open on what was known; the look before the write finds something worse."""
    policy(worst_finding="Medium", pipeline_green=True)
    ImageVersion.objects.update(scan_status="Success", scan_severity="Low", pipeline_status="success")
    digest = catalogue.newer.digest.replace(":", "(:|%3A)")
    report = {"scan_status": "Success", "severity": "Critical"}
    git.server.on("GET", f"/api/v2.0/.*/artifacts/{digest}", Answer({"scan_overview": {"x": report}}))
    project = f"/api/v4/projects/{cast.SOURCE_PROJECT.replace('/', '%2F')}"
    git.server.on("GET", f"{project}/pipelines", Answer([{"id": 1, "status": "running", "web_url": "x"}]))
    git.server.on("GET", f"{project}/repository/commits/.*/statuses", Answer([]))
    ended = advanced(approved)
    assert ended.status == S.ERRORED
    assert "found something Critical" in ended.message
    assert "is not green: running" in ended.message
    assert [sha for sha, *_rest in git.commits] == [BASE]
    assert evidence.look_at_build(approved.stage, ImageVersion.objects.get(pk=catalogue.newer.pk)) is False


@pytest.mark.parametrize("step", ["merge", "arrive", "verify"])
def test_a_lock_halts_every_step_also_when_the_change_is_on_its_branch(
    approved: Promotion, git: SmallGitLab, people: cast.People, step: str
) -> None:
    """Nobody listens where Argo CD and Tekton would be: a step that went there would say so."""
    Stage.objects.update(argocd_application="flask-prod", verification_pipeline="smoke")
    landed = {} if step == "merge" else {"target_commit": "f" * 40}
    Promotion.objects.update(status=S.RUNNING, step=step, **landed)
    Lock.objects.create(reason="An incident", set_by_name="Mar Costa")
    before = len(git.server.requests)
    halted = advanced(approved)
    assert (halted.status, halted.step) == (S.RUNNING, step)
    assert "An incident" in halted.message
    assert len(git.server.requests) == before


def test_what_has_landed_is_followed_also_when_a_freeze_begins_or_an_approver_leaves(
    approved: Promotion, git: SmallGitLab, people: cast.People
) -> None:
    freeze()
    people.approver.role_grants.all().delete()
    Promotion.objects.update(status=S.RUNNING, step="arrive", target_commit="f" * 40)
    assert advanced(approved).status == S.SUCCEEDED


def test_a_version_that_a_promotion_replaced_here_may_come_back_without_a_soak(
    catalogue: cast.Catalogue, people: cast.People, git: SmallGitLab
) -> None:
    """But one that was only seen here, by a hand edit, may not."""
    policy(requires=["dev"], soak=60)
    stage = Stage.objects.get(pk=catalogue.production.pk)
    Residence.objects.create(stage=stage, version=catalogue.newer)
    with pytest.raises(Refused, match="has not been in"):
        operations.request_promotion(stage, catalogue.newer, by=people.requester, reason="x")
    cast.make_promotion(
        catalogue,
        people.requester,
        version=catalogue.old,
        from_version=catalogue.newer,
        status=S.SUCCEEDED,
        finished_at=timezone.now(),
    )
    back = operations.request_promotion(stage, catalogue.newer, by=people.requester, reason="x")
    assert back.status == S.REQUESTED
