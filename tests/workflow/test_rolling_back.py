"""Rolling back to any version a Stage ran: which ones, what it takes back, by which rules."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from promotions import engine, operations, rollbacks
from promotions.choices import PromotionKind, PromotionStatus
from promotions.models import (
    Environment,
    FreezeWindow,
    ImageVersion,
    Promotion,
    Residence,
    Stage,
    StageState,
)
from promotions.policy import Refused, rules_for
from tests import cast
from tests.workflow.small_gitlab import SmallGitLab

pytestmark = pytest.mark.usefixtures("transactional_db")
S = PromotionStatus


@pytest.fixture
def stage(catalogue: cast.Catalogue, git: SmallGitLab) -> Stage:
    return Stage.objects.get(pk=catalogue.production.pk)


@pytest.fixture
def newest(catalogue: cast.Catalogue) -> ImageVersion:
    return cast.make_version(catalogue.production.image, "1.2.0", commit="5" * 40)


def landed(
    catalogue: cast.Catalogue, by: User, version: ImageVersion, before: ImageVersion, **more: object
) -> Promotion:
    """A promotion that was written to the branch an hour ago, and succeeded."""
    at = timezone.now() - timedelta(hours=1)
    fields = {"status": S.SUCCEEDED, "finished_at": at, "written_at": at, "target_commit": "f" * 40}
    values = {**fields, "version": version, "from_version": before, **more}
    return cast.make_promotion(catalogue, by, **values)


def policy(**rules: object) -> None:
    Environment.objects.update(policy=rules)


def runs(stage: Stage, version: ImageVersion) -> None:
    StageState.objects.filter(stage=stage).update(running_version=version, desired_version=version)


def test_every_version_that_ran_is_listed_with_when_and_who_brought_it(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage, newest: ImageVersion
) -> None:
    """1.0.0 was there before Slipway, 1.1.0 was promoted, 1.2.0 came by a hand edit and runs now."""
    first = landed(catalogue, people.requester, catalogue.newer, catalogue.old)
    Residence.objects.create(stage=stage, version=newest)
    runs(stage, newest)
    never = cast.make_version(stage.image, "0.9.0", commit="6" * 40)
    past = rollbacks.history(stage)
    assert [(each.version.label, each.brought_by) for each in past] == [
        ("1.2.0", None),
        ("1.1.0", first),
        ("1.0.0", None),
    ]
    assert [each.is_here for each in past] == [True, False, False]
    assert (past[1].since, past[2].until) == (first.written_at, first.written_at)
    assert not rollbacks.ran_here(stage, never)
    assert len(rollbacks.history(stage, limit=1)) == 1
    with pytest.raises(Refused, match=r"never ran 0\.9\.0"):
        rollbacks.request(stage, never, by=people.requester, reason="x")


def test_a_roll_back_to_any_past_version_is_a_promotion_with_its_own_diff_and_approval(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage, git: SmallGitLab, newest: ImageVersion
) -> None:
    git.push(git.content.replace(b":1.0.0", b":1.2.0"))
    git.images["1.1.0"] = catalogue.newer.digest
    landed(catalogue, people.requester, catalogue.newer, catalogue.old)
    second = landed(catalogue, people.requester, newest, catalogue.newer)
    runs(stage, newest)
    made = rollbacks.request(stage, catalogue.newer, by=people.requester, reason="It loses orders")
    assert (made.kind, made.rollback_of, made.status) == (PromotionKind.ROLLBACK, second, S.REQUESTED)
    assert [(edit["old"][-5:], edit["new"][-5:]) for edit in made.edits] == [("1.2.0", "1.1.0")]
    operations.approve(made, by=people.approver, change_hash=made.change_hash)
    engine.advance(made.pk)
    made.refresh_from_db()
    assert made.status == S.SUCCEEDED
    assert b":1.1.0 # by hand" in git.content


def test_what_is_taken_back_and_who_touched_the_same_files_since_is_told(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage, newest: ImageVersion
) -> None:
    by = people.requester
    landed(catalogue, by, catalogue.old, catalogue.newer)
    first = landed(catalogue, by, catalogue.newer, catalogue.old)
    second = landed(catalogue, by, newest, catalogue.newer)
    Stage.objects.filter(pk=catalogue.dev.pk).update(manifest_branch="main")
    seen = operations.preview(stage, catalogue.newer, by, rolling_back=True)
    assert seen.change is not None
    edit = {"file": seen.change.edits[0].file, "key": seen.change.edits[0].key, "old": "x", "new": "y"}
    elsewhere = {"stage": catalogue.dev, "written_at": timezone.now()}
    same_file = landed(catalogue, by, newest, newest, **elsewhere, edits=[{**edit, "key": "other"}])
    same_place = landed(catalogue, by, newest, newest, **elsewhere, edits=[edit])
    landed(catalogue, by, newest, newest, **elsewhere, edits=[{**edit, "file": "other.yml"}])
    before = timezone.now() - timedelta(days=2)
    landed(catalogue, by, newest, newest, **{**elsewhere, "written_at": before}, edits=[edit])
    told = rollbacks.reverting(stage, catalogue.old, seen.change)
    assert [each.pk for each in told.promotions] == [second.pk, first.pk]
    assert told.at == first.written_at
    assert [(each.promotion, each.same_place) for each in told.touched] == [
        (same_place, True),
        (same_file, False),
    ]
    assert told.touched[0].files == (edit["file"],)
    nothing = rollbacks.reverting(stage, newest, seen.change)
    assert (nothing.promotions, nothing.touched) == ((), ())


def test_without_rules_of_their_own_roll_backs_pass_the_same_gates(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage
) -> None:
    policy(soak=60)
    landed(catalogue, people.requester, catalogue.newer, catalogue.old)
    rules = rules_for(stage, catalogue.newer, rolling_back=True)
    assert (rules.soak, rules.skipped, rules.required_approvals) == (timedelta(hours=1), frozenset(), None)
    assert operations.preview(stage, catalogue.newer, people.requester).approvals_needed == 1


def test_an_environment_may_ease_the_rules_for_what_has_proved_itself_here(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage, git: SmallGitLab
) -> None:
    """No approval, and during a freeze: it begins at once, and still halts at a lock."""
    policy(rollback={"required_approvals": 0, "skip": ["freeze"]}, approvals=[{"name": "qa", "count": 2}])
    FreezeWindow.objects.create(slug="all", begins_at="2020-01-01T00:00", ends_at="2099-01-01T00:00")
    landed(catalogue, people.requester, catalogue.newer, catalogue.old)
    seen = operations.preview(stage, catalogue.newer, people.requester, rolling_back=True)
    assert (seen.refusals, seen.approvals_needed) == ([], 0)
    made = rollbacks.request(stage, catalogue.newer, by=people.requester, reason="x")
    assert (made.status, made.message) == (
        S.APPROVED,
        "This environment asks for no approval of roll-backs.",
    )
    engine.advance(made.pk)
    made.refresh_from_db()
    assert made.status == S.SUCCEEDED
    asked = operations.preview(stage, catalogue.newer, people.requester)
    assert asked.approvals_needed == 1, "a promotion of the same version waits for approval as ever"


@pytest.mark.parametrize("case", ["only seen", "failed here", "replaced, but failed here"])
def test_what_has_not_proved_itself_here_is_not_eased(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage, newest: ImageVersion, case: str
) -> None:
    """A hand edit, or a version whose verification failed, would else lead past every approval."""
    policy(rollback={"required_approvals": 0, "skip": ["freeze"]})
    if case == "only seen":
        Residence.objects.create(stage=stage, version=catalogue.newer)
    else:
        landed(catalogue, people.requester, catalogue.newer, catalogue.old, status=S.FAILED)
    if case.startswith("replaced"):
        landed(catalogue, people.requester, newest, catalogue.newer)
    assert rules_for(stage, catalogue.newer, rolling_back=True).skipped == frozenset()
    if case != "failed here":
        made = rollbacks.request(stage, catalogue.newer, by=people.requester, reason="x")
        assert made.status == S.REQUESTED


def test_what_was_there_before_slipway_has_proved_itself(
    catalogue: cast.Catalogue, people: cast.People, stage: Stage
) -> None:
    policy(rollback={"skip": ["soak"]})
    landed(catalogue, people.requester, catalogue.newer, catalogue.old, status=S.FAILED)
    assert rules_for(stage, catalogue.old, rolling_back=True).skipped == {"soak"}
