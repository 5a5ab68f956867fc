"""What people want holds automatic promotion: pins, roll-backs, rejections, requests of their own."""

from __future__ import annotations

from functools import partial

import pytest
from django.utils import timezone

from promotions import automation, engine, operations, pins
from promotions.choices import AutomationState, PromotionStatus
from promotions.models import (
    AuditEntry,
    Environment,
    ImageVersion,
    Pin,
    Promotion,
    Stage,
)
from promotions.policy import Act, Refused, gather, refusals
from promotions.policy.access import system_account
from promotions.workflow import StaleState
from tests import cast
from tests.workflow.automatic import arrived, looked_at, sees, stage, version
from tests.workflow.conftest import at_once
from tests.workflow.small_gitlab import SmallGitLab

S = PromotionStatus
__all__ = ["stage"]


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
    account = system_account()
    assert [r.gate for r in refusals(Act.REQUEST, gather(stage, catalogue.newer, account))] == ["automation"]
    assert refusals(Act.REQUEST, gather(stage, catalogue.newer, people.requester)) == []
    with pytest.raises(Refused, match="pinned to 1"):
        operations.request_promotion(
            Stage.objects.get(pk=stage.pk), catalogue.newer, by=account, reason="automatic"
        )
