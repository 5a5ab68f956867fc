"""Automatic promotion: the newest that passes, never back, never against a person."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth import authenticate
from django.db.models import F
from django.test import Client
from django.utils import timezone

from promotions import automation, engine, governing, jobs, operations, pins
from promotions.choices import AutomationState, PromoteMode, PromotionStatus
from promotions.models import (
    AuditEntry,
    Automation,
    Environment,
    ImageVersion,
    Lock,
    Pin,
    Promotion,
    Residence,
    Stage,
    StageState,
)
from promotions.policy import Act, Refused, gather, refusals
from promotions.workflow import StaleState
from tests import cast
from tests.workflow.conftest import at_once
from tests.workflow.small_gitlab import SmallGitLab

S = PromotionStatus
H = timedelta(hours=1)


@pytest.fixture
def stage(catalogue: cast.Catalogue, git: SmallGitLab) -> Stage:
    """Production promotes automatically, runs 1.0.0, and 1.1.0 is there; it asks for no approval."""
    Environment.objects.update(required_approvals=0)
    Stage.objects.filter(pk=catalogue.production.pk).update(promote=PromoteMode.AUTOMATICALLY)
    return Stage.objects.select_related("application", "environment", "image").get(pk=catalogue.production.pk)


def version(catalogue: cast.Catalogue, git: SmallGitLab, tag: str) -> ImageVersion:
    made = cast.make_version(catalogue.newer.image, tag, commit=f"{abs(hash(tag)):040x}"[:40])
    git.images[tag] = made.digest
    return made


def looked_at(stage: Stage) -> Automation:
    automation.look_at(stage.pk)
    return Automation.objects.get(stage=stage)


def arrived(stage: Stage, promotion: Promotion) -> None:
    """The promotion runs to its end and the observers see it."""
    engine.advance(promotion.pk)
    promotion.refresh_from_db()
    assert promotion.status == S.SUCCEEDED, promotion.message
    sees(stage, promotion.version)


def sees(stage: Stage, now: ImageVersion) -> None:
    StageState.objects.filter(stage=stage).update(
        desired_version=now, desired_tag=now.tag, running_version=now, running_tag=now.tag
    )
    Promotion.objects.filter(finished_at__isnull=False).update(status_at=F("status_at") - H)


def test_the_newest_version_is_asked_for_by_slipway_and_arrives(
    stage: Stage, catalogue: cast.Catalogue
) -> None:
    row = looked_at(stage)
    promotion = Promotion.objects.get()
    assert (promotion.version, promotion.status) == (catalogue.newer, S.APPROVED)
    assert promotion.requested_by_name == "Slipway"
    assert (row.state, row.version) == (AutomationState.UNDER_WAY, catalogue.newer)
    told = AuditEntry.objects.get(action="promotion.requested")
    assert (told.actor_name, told.reason) == ("Slipway", "automatic: newest by semver")
    arrived(stage, promotion)
    row = looked_at(stage)
    assert (row.state, row.message) == (AutomationState.IDLE, "Nothing newer is known by semver.")
    assert Promotion.objects.count() == 1


def test_nobody_can_sign_in_as_slipway(stage: Stage, client: Client) -> None:
    account = automation.account()
    account.set_password("known")
    account.save()
    assert authenticate(username=account.username, password="known") is None
    client.force_login(account)
    assert client.get("/").status_code == 302
    assert automation.account() == account


def test_slipway_asks_only_where_the_catalogue_says_so_and_never_approves(
    stage: Stage, catalogue: cast.Catalogue
) -> None:
    Stage.objects.update(promote=PromoteMode.BY_PEOPLE)
    automation.look_at(stage.pk)
    assert not Promotion.objects.exists()
    by_hand = Stage.objects.get(pk=stage.pk)
    account = automation.account()
    assert [r.gate for r in refusals(Act.REQUEST, gather(by_hand, catalogue.newer, account))] == ["role"]
    Stage.objects.update(promote=PromoteMode.AUTOMATICALLY)
    facts = gather(Stage.objects.get(pk=stage.pk), catalogue.newer, account)
    assert refusals(Act.REQUEST, facts) == []
    assert [r.gate for r in refusals(Act.APPROVE, facts)] == ["role"]


def test_four_eyes_still_decide_where_approvals_are_asked_for(stage: Stage, people: cast.People) -> None:
    Environment.objects.update(required_approvals=1)
    row = looked_at(stage)
    promotion = Promotion.objects.get()
    assert promotion.status == S.REQUESTED
    assert row.message == f"Promotion #{promotion.pk} of 1.1.0: waiting for approval."
    operations.approve(promotion, by=people.approver, change_hash=promotion.change_hash)
    arrived(stage, promotion)


@pytest.mark.usefixtures("transactional_db")
def test_two_workers_that_look_at_once_ask_once(stage: Stage) -> None:
    assert at_once(*[partial(automation.look_at, stage.pk)] * 4) == [None] * 4
    assert Promotion.objects.count() == 1
    assert AuditEntry.objects.filter(action="promotion.requested").count() == 1
    assert Automation.objects.get().rests_until is None


def test_a_worker_that_died_while_it_looked_holds_nobody_for_long(stage: Stage) -> None:
    looked_at(stage)
    Promotion.objects.all().delete()
    Automation.objects.update(rests_until=timezone.now() + timedelta(seconds=100))
    automation.look_at(stage.pk)
    assert not Promotion.objects.exists()
    Automation.objects.update(rests_until=timezone.now())
    automation.look_at(stage.pk)
    assert Promotion.objects.count() == 1


def test_it_never_goes_back(stage: Stage, catalogue: cast.Catalogue) -> None:
    """Reference tag-ordering.md rule 12: also from a pre-release that would not be chosen itself."""
    rc = cast.make_version(catalogue.newer.image, "2.0.0-rc.1", commit="7" * 40)
    sees(stage, rc)
    assert looked_at(stage).state == AutomationState.IDLE
    assert not Promotion.objects.exists()


def test_what_has_no_place_in_the_order_is_left_to_people(stage: Stage, catalogue: cast.Catalogue) -> None:
    StageState.objects.filter(stage=stage).update(desired_version=None, desired_tag="latest")
    row = looked_at(stage)
    assert row.state == AutomationState.HELD
    assert "latest, which has no place in the order by semver" in row.message
    StageState.objects.filter(stage=stage).update(desired_tag="0.9.0")
    assert looked_at(stage).state == AutomationState.UNDER_WAY


def test_builds_that_can_t_be_read_are_reported(stage: Stage, catalogue: cast.Catalogue) -> None:
    """Reference tag-ordering.md rule 7."""
    sees(stage, catalogue.newer)
    cast.make_version(catalogue.newer.image, "20240131", commit="8" * 40)
    assert looked_at(stage).message.endswith("1 build has no place in that order: 20240131.")


def test_a_stage_s_own_order_wins_over_its_image_s(stage: Stage, catalogue: cast.Catalogue) -> None:
    stage.image.newest = {"by": "lexical"}
    stage.image.save()
    assert automation.order_name(stage) == "alphabet"
    stage.newest = {"by": "pushed"}
    assert automation.order_name(stage) == "push time"
    stage.save()
    cast.make_version(catalogue.newer.image, "main-00000000", commit="9" * 40, days_ago=-0.1)
    looked_at(stage)
    assert Promotion.objects.get().version.tag == "main-00000000"


def test_it_waits_out_what_only_time_opens_and_says_until_when(
    stage: Stage, catalogue: cast.Catalogue
) -> None:
    now = timezone.now()
    Environment.objects.filter(slug="production").update(policy={"requires": ["dev"], "soak": 120})
    twin = cast.make_version(catalogue.dev.image, "dev-2", commit=catalogue.newer.commit)
    stay = Residence.objects.create(stage=catalogue.dev, version=twin, healthy_since=now - H)
    row = looked_at(stage)
    assert (row.state, row.version, row.until) == (AutomationState.WAITING, catalogue.newer, now + H)
    assert "1.1.0 will have been healthy" in row.message
    assert not Promotion.objects.exists()
    stay.healthy_since = now - 3 * H
    stay.save()
    assert looked_at(stage).state == AutomationState.UNDER_WAY


def test_the_newest_that_passes_goes_when_a_newer_one_is_marked_as_bad(
    stage: Stage, catalogue: cast.Catalogue, git: SmallGitLab, people: cast.People
) -> None:
    bad = version(catalogue, git, "1.2.0")
    governing.block(bad, by=people.approver, reason="It loses orders")
    looked_at(stage)
    assert Promotion.objects.get().version == catalogue.newer


def test_a_lock_keeps_it_back_with_its_sentence(stage: Stage) -> None:
    lock = Lock.objects.create(reason="An incident", set_by_name="Mar Costa")
    row = looked_at(stage)
    assert row.state == AutomationState.WAITING
    assert "An incident" in row.message
    lock.delete()
    assert looked_at(stage).state == AutomationState.UNDER_WAY


def test_a_pin_holds_it_until_a_person_lifts_it(
    stage: Stage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    pins.pin(stage, catalogue.old, by=people.requester, reason="The fair is on")
    row = looked_at(stage)
    assert row.state == AutomationState.HELD
    assert row.message == "pinned to 1.0.0 by Rin Sato because: The fair is on"
    assert not Promotion.objects.exists()
    with pytest.raises(StaleState):
        pins.pin(stage, catalogue.old, by=people.approver, reason="again")
    pins.unpin(stage, by=people.approver, reason="It is over")
    with pytest.raises(StaleState):
        pins.unpin(stage, by=people.approver, reason="again")
    assert looked_at(stage).state == AutomationState.UNDER_WAY
    told = list(AuditEntry.objects.filter(action__startswith="pin.").order_by("id"))
    assert [(entry.action, entry.reason) for entry in told] == [
        ("pin.set", "The fair is on"),
        ("pin.lifted", "It is over"),
    ]


def test_who_may_not_promote_may_not_pin(
    stage: Stage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    for person in (people.viewer, people.outsider):
        with pytest.raises(Refused, match="is not a developer"):
            pins.pin(stage, catalogue.old, by=person, reason="x")
    with pytest.raises(Refused, match="no version of the image"):
        pins.pin(stage, catalogue.dev_build, by=people.requester, reason="x")
    by_hand = Stage.objects.get(pk=catalogue.dev.pk)
    with pytest.raises(Refused, match="nothing to hold"):
        pins.pin(by_hand, catalogue.dev_build, by=people.admin, reason="x")
    assert not Pin.objects.exists()


def test_a_person_s_roll_back_pins_by_itself_and_once(
    stage: Stage, catalogue: cast.Catalogue, git: SmallGitLab, people: cast.People
) -> None:
    looked_at(stage)
    forward = Promotion.objects.get()
    arrived(stage, forward)
    git.images["1.0.0"] = catalogue.old.digest
    back = operations.roll_back(forward, by=people.requester, reason="Orders are lost")
    assert looked_at(stage).state == AutomationState.UNDER_WAY
    arrived(stage, back)
    row = looked_at(stage)
    assert row.state == AutomationState.HELD
    assert "pinned to 1.0.0 by Rin Sato because: Rolled back with promotion" in row.message
    assert "Orders are lost" in row.message
    assert Pin.objects.get().promotion == back
    pins.unpin(stage, by=people.requester, reason="Mended")
    looked_at(stage)
    assert Promotion.objects.filter(status=S.APPROVED).get().version == catalogue.newer
    assert Pin.objects.count() == 1


def test_an_older_version_that_a_person_promotes_is_a_roll_back_by_another_name(
    stage: Stage, catalogue: cast.Catalogue, git: SmallGitLab, people: cast.People
) -> None:
    looked_at(stage)
    arrived(stage, Promotion.objects.get())
    git.images["1.0.0"] = catalogue.old.digest
    fresh = Stage.objects.get(pk=stage.pk)
    arrived(stage, operations.request_promotion(fresh, catalogue.old, by=people.requester, reason="Back"))
    assert looked_at(stage).state == AutomationState.HELD


def test_what_somebody_set_back_in_git_is_not_undone(stage: Stage, catalogue: cast.Catalogue) -> None:
    looked_at(stage)
    promotion = Promotion.objects.get()
    arrived(stage, promotion)
    sees(stage, catalogue.old)
    row = looked_at(stage)
    assert row.state == AutomationState.HELD
    assert "older than 1.1.0" in row.message
    assert "outside of Slipway" in row.message
    Promotion.objects.update(status_at=timezone.now())
    assert "being read" in looked_at(stage).message


def test_what_failed_is_not_repeated_until_a_person_retries(
    stage: Stage, catalogue: cast.Catalogue, git: SmallGitLab, people: cast.People
) -> None:
    del git.images["1.1.0"]
    git.images.clear()
    looked_at(stage)
    promotion = Promotion.objects.get()
    engine.advance(promotion.pk)
    promotion.refresh_from_db()
    assert promotion.status == S.ERRORED
    ImageVersion.objects.update(missing_since=None)
    row = looked_at(stage)
    assert row.state == AutomationState.HELD
    assert f"promotion #{promotion.pk} of 1.1.0 ended errored" in row.message
    assert Promotion.objects.count() == 1
    git.images["1.1.0"] = catalogue.newer.digest
    ImageVersion.objects.update(missing_since=None)
    promotion.refresh_from_db()
    operations.retry(Promotion.objects.get(pk=promotion.pk), by=people.requester)
    arrived(stage, promotion)
    assert looked_at(stage).state == AutomationState.IDLE


def test_after_a_rejection_only_something_newer_is_asked_for(
    stage: Stage, catalogue: cast.Catalogue, git: SmallGitLab, people: cast.People
) -> None:
    """Else approvers would refuse every older build one by one."""
    Environment.objects.update(required_approvals=1)
    version(catalogue, git, "1.0.5")
    looked_at(stage)
    first = Promotion.objects.get()
    operations.reject(first, by=people.approver, change_hash=first.change_hash, comment="Not today")
    assert looked_at(stage).state == AutomationState.HELD
    newest = version(catalogue, git, "1.10.0")
    looked_at(stage)
    assert Promotion.objects.first().version == newest  # type: ignore[union-attr]


def test_a_request_of_its_own_gives_way_to_a_newer_version_until_people_decide(
    stage: Stage, catalogue: cast.Catalogue, git: SmallGitLab, people: cast.People
) -> None:
    Environment.objects.update(required_approvals=2)
    looked_at(stage)
    first = Promotion.objects.get()
    version(catalogue, git, "1.2.0")
    looked_at(stage)
    first.refresh_from_db()
    second = Promotion.objects.get(status=S.REQUESTED)
    assert (first.status, second.version.tag) == (S.SUPERSEDED, "1.2.0")
    operations.approve(second, by=people.approver, change_hash=second.change_hash)
    version(catalogue, git, "1.3.0")
    assert looked_at(stage).version == second.version
    second.refresh_from_db()
    assert second.status == S.REQUESTED


def test_a_person_s_open_promotion_is_never_replaced(
    stage: Stage, catalogue: cast.Catalogue, git: SmallGitLab, people: cast.People
) -> None:
    Environment.objects.update(required_approvals=1)
    fresh = Stage.objects.get(pk=stage.pk)
    asked = operations.request_promotion(fresh, catalogue.newer, by=people.requester, reason="today")
    version(catalogue, git, "1.2.0")
    row = looked_at(stage)
    assert row.message == f"Promotion #{asked.pk} of 1.1.0 by Rin Sato is open: waiting for approval."
    assert Promotion.objects.count() == 1


def test_a_gitlab_that_does_not_answer_is_asked_again_later(stage: Stage, git: SmallGitLab) -> None:
    git.is_down = True
    row = looked_at(stage)
    assert row.state == AutomationState.WAITING
    assert not Promotion.objects.exists()
    assert row.rests_until is not None
    assert row.rests_until > timezone.now()
    git.is_down = False
    automation.look_at(stage.pk)
    assert not Promotion.objects.exists()
    Automation.objects.update(rests_until=None)
    automation.look_at(stage.pk)
    assert Promotion.objects.count() == 1


def test_nothing_is_asked_for_before_git_was_read(stage: Stage) -> None:
    StageState.objects.filter(stage=stage).update(desired_seen_at=None)
    assert looked_at(stage).message == "What Git asks for has not been read yet."
    StageState.objects.filter(stage=stage).update(desired_seen_at=timezone.now(), desired_problem="Torn")
    assert looked_at(stage).message == "Torn"
    assert not Promotion.objects.exists()


def test_each_such_stage_is_queued_for_a_look_once(stage: Stage, catalogue: cast.Catalogue) -> None:
    from procrastinate.contrib.django.models import ProcrastinateJob

    assert automation.sweep() == 1
    assert automation.sweep() == 1
    jobs = ProcrastinateJob.objects.filter(task_name="promotions.look_at_stage")
    assert [job.args for job in jobs] == [{"stage_id": stage.pk}]


def test_a_defect_of_ours_is_told_on_the_card_and_not_run_into_again_at_once(stage: Stage) -> None:
    stage.newest = {"by": "nonsense"}
    stage.save()
    jobs.look_at_stage(stage_id=stage.pk)
    row = Automation.objects.get(stage=stage)
    assert "Slipway failed while it looked for a newer version: ValueError." in row.message
    assert row.rests_until is not None
    assert row.rests_until > timezone.now()


def test_a_pin_withdraws_what_nobody_has_decided_on_and_it_comes_back_afterwards(
    stage: Stage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    Environment.objects.update(required_approvals=1)
    looked_at(stage)
    first = Promotion.objects.get()
    pins.pin(stage, catalogue.old, by=people.requester, reason="The fair is on")
    assert looked_at(stage).state == AutomationState.HELD
    first.refresh_from_db()
    assert first.status == S.SUPERSEDED
    assert first.message.startswith("Slipway withdrew it: pinned to 1.0.0 by Rin Sato")
    pins.unpin(stage, by=people.requester, reason="Over")
    looked_at(stage)
    assert Promotion.objects.get(status=S.REQUESTED).version == catalogue.newer


@pytest.mark.usefixtures("transactional_db")
def test_a_pin_at_the_moment_of_the_request_leaves_nothing_waiting(
    stage: Stage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    Environment.objects.update(required_approvals=1)
    hold = partial(pins.pin, stage, catalogue.old, by=people.requester, reason="The fair is on")
    at_once(partial(automation.look_at, stage.pk), hold)
    assert looked_at(stage).state == AutomationState.HELD
    assert not Promotion.objects.filter(status=S.REQUESTED).exists()


@pytest.mark.usefixtures("transactional_db")
def test_a_person_s_request_at_the_same_moment_is_not_replaced(
    stage: Stage, catalogue: cast.Catalogue, git: SmallGitLab, people: cast.People
) -> None:
    Environment.objects.update(required_approvals=1)
    version(catalogue, git, "1.2.0")
    fresh = Stage.objects.get(pk=stage.pk)
    ask = partial(
        operations.request_promotion, fresh, catalogue.newer, by=people.requester, reason="I want this one"
    )
    at_once(partial(automation.look_at, stage.pk), ask)
    (waiting,) = Promotion.objects.filter(status=S.REQUESTED)
    assert waiting.requested_by == people.requester
    others = Promotion.objects.exclude(pk=waiting.pk)
    assert {each.requested_by_name for each in others} <= {"Slipway"}


def test_slipway_is_refused_what_people_hold_back_even_when_it_asks(
    stage: Stage, catalogue: cast.Catalogue, people: cast.People
) -> None:
    """The gate under the Stage's lock: what was set after the look counts."""
    pins.pin(stage, catalogue.old, by=people.requester, reason="The fair is on")
    account = automation.account()
    assert [r.gate for r in refusals(Act.REQUEST, gather(stage, catalogue.newer, account))] == ["automation"]
    assert refusals(Act.REQUEST, gather(stage, catalogue.newer, people.requester)) == []
    with pytest.raises(Refused, match="pinned to 1"):
        operations.request_promotion(
            Stage.objects.get(pk=stage.pk), catalogue.newer, by=account, reason="automatic"
        )
