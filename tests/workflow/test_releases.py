"""A Release: atomic in one repository, wave by wave, stopped by the first failure (design.md section 1)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from integrations.sandbox.server import InThread
from promotions import engine, governing, operations, releases
from promotions.choices import PromotionKind, PromotionStatus, Role, WriteMode
from promotions.models import (
    Environment,
    FreezeWindow,
    ImageVersion,
    Promotion,
    Release,
    RoleGrant,
    Stage,
    StageState,
)
from promotions.policy import Refused
from promotions.releases import Item
from promotions.workflow import StaleState
from tests.system import wait_for
from tests.writers.conftest import box
from tests.writers.farm import Farm, drive_all, make, path_of

__all__ = ["box"]
pytestmark = pytest.mark.usefixtures("transactional_db")
S = PromotionStatus


@pytest.fixture
def farm(box: InThread, tmp_path: Path) -> Farm:
    return make(box, tmp_path, 3)


@pytest.fixture
def approver() -> User:
    user = User.objects.create_user("approver", first_name="Ada")
    RoleGrant.objects.create(user=user, role=Role.APPROVER)
    return user


def items(farm: Farm, *waves: int) -> list[Item]:
    """Version 1.1.0 for every Stage, in these waves."""
    found = []
    for stage, wave in zip(farm.stages, waves or (1,) * len(farm.stages), strict=False):
        fresh = Stage.objects.select_related("environment", "application", "image").get(pk=stage.pk)
        found.append(Item(fresh, ImageVersion.objects.get(image=stage.image, tag="1.1.0"), wave))
    return found


def ask(farm: Farm, *waves: int, pause: int = 0) -> Release:
    return releases.request_release(
        items(farm, *waves), name="November", reason="all at once", by=farm.person, pause=pause
    )


def members(release: Release) -> list[Promotion]:
    return list(release.promotions.order_by("pk"))


def look(release: Release) -> list[Promotion]:
    """Look once at each, as workers do."""
    for each in members(release):
        engine.advance(each.pk)
    return members(release)


def until(release: Release, wanted: Callable[[list[Promotion]], bool]) -> list[Promotion]:
    return wait_for(lambda: look(release), wanted, seconds=30, what="the release")


def ended(release: Release) -> list[Promotion]:
    return until(release, lambda seen: not any(each.is_open for each in seen))


def needs_approval(count: int = 1) -> None:
    Environment.objects.update(required_approvals=count)


def commits(farm: Farm) -> list[str]:
    return farm.git("log", "--format=%s", "main").splitlines()


@pytest.mark.parametrize("mode", [WriteMode.DIRECT, WriteMode.OWN_BRANCH, WriteMode.TEAM_BRANCH])
def test_one_repository_gets_one_commit_with_every_file(
    box: InThread, tmp_path: Path, mode: WriteMode
) -> None:
    farm = make(box, tmp_path, 3, mode=mode)
    before = len(farm.git("rev-list", "--no-merges", "main").splitlines())
    done = ended(ask(farm))
    assert {each.status for each in done} == {S.SUCCEEDED}, [each.message for each in done]
    assert len({each.target_commit for each in done}) == 1
    ours = farm.git("log", "--no-merges", "-1", "--format=%H", "--grep=Release-Id").strip()
    assert sorted(farm.git("show", "--format=", "--name-only", ours).split()) == [
        path_of(name) for name in farm.names
    ]
    assert len(farm.git("rev-list", "--no-merges", "main").splitlines()) == before + 1
    assert farm.git("log", "-1", "--format=%s", ours).strip() == "Release November"
    assert all(":1.1.0" in farm.file(name) for name in farm.names)


def test_workers_that_run_at_once_write_it_once(farm: Farm) -> None:
    release = ask(farm)
    drive_all(members(release))
    assert {each.status for each in members(release)} == {S.SUCCEEDED}
    assert farm.trailers() == {str(members(release)[0].key): 1}


def test_waves_go_one_after_the_other_and_the_later_one_waits_for_health(farm: Farm) -> None:
    release = ask(farm, 1, 2, 2)
    StageState.objects.create(stage=farm.stages[0], health_status="Degraded")
    until(release, lambda seen: seen[0].status == S.SUCCEEDED)
    second = look(release)[1]
    assert second.status == S.APPROVED
    assert "when app-00 / Prod is healthy again: it is Degraded" in second.message
    assert commits(farm)[0] == "Promote app-00 in prod to 1.1.0"
    StageState.objects.update(health_status="Healthy")
    done = ended(release)
    assert {each.status for each in done} == {S.SUCCEEDED}
    assert commits(farm)[0] == "Release November"
    assert done[1].target_commit == done[2].target_commit != done[0].target_commit


def test_between_two_waves_there_is_a_pause(farm: Farm) -> None:
    release = ask(farm, 1, 1, 2, pause=30)
    until(release, lambda seen: seen[0].status == seen[1].status == S.SUCCEEDED)
    waiting = look(release)[2]
    assert waiting.status == S.APPROVED
    assert f"Release #{release.pk} pauses between two waves until" in waiting.message
    ago = timezone.now() - timedelta(minutes=31)
    release.promotions.filter(wave=1).update(finished_at=ago)
    assert ended(release)[2].status == S.SUCCEEDED


def test_a_second_branch_waits_for_the_first_and_a_failure_stops_it_until_it_is_tried_again(
    farm: Farm,
) -> None:
    Stage.objects.filter(pk=farm.stages[2].pk).update(manifest_branch="dev")
    farm.stages[2].refresh_from_db()
    # The first commit can't be written: one of its images has left the registry.
    repositories = farm.box.world.images.storage.repositories  # type: ignore[attr-defined]
    kept = repositories.pop("many/app-01")
    release = ask(farm)
    seen = until(release, lambda seen: not seen[0].is_open)
    assert [each.status for each in look(release)] == [S.ERRORED, S.APPROVED, S.APPROVED]
    assert f"#{seen[1].pk} goes into the same commit: The registry has not had 1.1.0" in seen[0].message
    assert all(
        f"Release #{release.pk} has stopped: #{seen[0].pk}" in each.message for each in look(release)[1:]
    )
    assert "Release November" not in commits(farm)
    repositories["many/app-01"] = kept
    releases.retry(release, by=farm.person)
    assert {each.status for each in ended(release)} == {S.SUCCEEDED}
    assert seen[2].stage.manifest_branch == "dev"
    assert ":1.1.0" in farm.file("app-02", "dev")
    assert ":1.0.0" in farm.file("app-02")


def test_it_begins_when_all_of_it_is_approved_and_an_approval_covers_the_whole(
    farm: Farm, approver: User
) -> None:
    needs_approval()
    release = ask(farm)
    assert {each.status for each in look(release)} == {S.REQUESTED}
    with pytest.raises(StaleState, match="no longer the one you saw"):
        releases.approve(release, by=approver, change_hash="0" * 64)
    RoleGrant.objects.create(user=farm.person, role=Role.APPROVER)
    with pytest.raises(Refused, match="requests a promotion can't approve"):
        releases.approve(release, by=farm.person, change_hash=release.change_hash)
    releases.approve(release, by=approver, change_hash=release.change_hash, comment="Go")
    releases.approve(release, by=approver, change_hash=release.change_hash)
    done = ended(release)
    assert {each.status for each in done} == {S.SUCCEEDED}
    assert [each.approvals.get().comment for each in done] == ["Go"] * 3
    assert "Approved-by: Ada" in farm.git("log", "-1", "--format=%B", "main")


def test_when_one_part_changed_its_approval_falls_and_all_wait_for_it(farm: Farm, approver: User) -> None:
    needs_approval()
    release = ask(farm)
    releases.approve(release, by=approver, change_hash=release.change_hash)
    farm.commit_by_hand("app-02", "1.0.0", "0.9.0")
    seen = until(release, lambda seen: seen[2].status == S.REQUESTED)
    first = look(release)[0]
    assert first.status == S.RUNNING
    assert not first.written_commit
    assert "this is not approved yet: #" in first.message
    assert "0.9.0" in seen[2].diff
    releases.approve(release, by=approver, change_hash=release.change_hash)
    assert {each.status for each in ended(release)} == {S.SUCCEEDED}
    assert ":1.1.0" in farm.file("app-02")


def test_a_lock_on_one_of_its_stages_holds_the_whole_commit(farm: Farm, approver: User) -> None:
    release = ask(farm)
    lock = governing.lock(
        application=farm.stages[2].application, environment=None, by=approver, reason="An incident"
    )
    seen = until(release, lambda seen: "An incident" in seen[0].message)
    assert f"Promotion #{seen[2].pk} goes into the same commit: Ada locked" in seen[0].message
    assert "Release November" not in commits(farm)
    governing.lift(lock, by=approver, reason="Over")
    assert {each.status for each in ended(release)} == {S.SUCCEEDED}


def test_an_exception_lets_all_of_it_go_during_a_freeze(farm: Farm, approver: User) -> None:
    FreezeWindow.objects.create(slug="fair", reason="The fair", starts="0 0 * * *", lasts=24 * 60)
    release = ask(farm)
    seen = until(release, lambda seen: "The fair" in seen[2].message)
    assert {each.status for each in seen} == {S.APPROVED}
    whole = release.change_hash
    with pytest.raises(Refused, match="is not an approver"):
        releases.except_from_freeze(release, by=farm.person, change_hash=whole, reason="Now")
    releases.except_from_freeze(release, by=approver, change_hash=whole, reason="A security hole")
    assert {each.status for each in ended(release)} == {S.SUCCEEDED}
    with pytest.raises(Refused, match="held by a freeze"):
        releases.except_from_freeze(release, by=approver, change_hash=whole, reason="Again")


def test_its_promotions_are_acted_on_together_only(farm: Farm, approver: User) -> None:
    needs_approval()
    release = ask(farm)
    one = members(release)[1]
    acts: list[Callable[[], object]] = [
        lambda: operations.approve(one, by=approver, change_hash=one.change_hash),
        lambda: operations.reject(one, by=approver, change_hash=one.change_hash, comment="No"),
        lambda: operations.abort(one, by=farm.person, reason="No"),
        lambda: operations.retry(one, by=farm.person),
    ]
    for act in acts:
        with pytest.raises(Refused, match="goes with November"):
            act()
    older = ImageVersion.objects.get(image=one.stage.image, tag="1.0.0")
    with pytest.raises(StaleState, match="is part of November"):
        operations.request_promotion(one.stage, older, by=farm.person, reason="Mine")
    releases.abort(release, by=farm.person, reason="Not today")
    assert {each.status for each in members(release)} == {S.ABORTED}
    assert "Not today" in members(release)[0].message


def test_a_rejection_ends_all_of_it(farm: Farm, approver: User) -> None:
    needs_approval(2)
    release = ask(farm)
    with pytest.raises(Refused, match="is not an approver"):
        releases.reject(release, by=farm.person, change_hash=release.change_hash, comment="No")
    releases.reject(release, by=approver, change_hash=release.change_hash, comment="Too big")
    assert {each.status for each in members(release)} == {S.REJECTED}
    with pytest.raises(Refused, match="Nothing of November"):
        releases.approve(release, by=approver, change_hash=release.change_hash)


def test_a_release_is_taken_back_by_one_commit(farm: Farm) -> None:
    for stage in farm.stages:
        version = ImageVersion.objects.get(image=stage.image, tag="1.0.0")
        StageState.objects.create(stage=stage, desired_version=version, health_status="Healthy")
    release = ask(farm)
    ended(release)
    back = releases.roll_back(release, by=farm.person, reason="It loses data")
    assert (back.kind, back.rollback_of) == (PromotionKind.ROLLBACK, release)
    assert {each.status for each in ended(back)} == {S.SUCCEEDED}
    assert all(":1.0.0" in farm.file(name) for name in farm.names)
    assert commits(farm)[0] == "Roll back Roll back November"


def test_a_refusal_for_one_stage_refuses_all_and_names_it(farm: Farm, approver: User) -> None:
    governing.block(items(farm)[1].version, by=approver, reason="Loses data")
    with pytest.raises(Refused, match=r"app-01 / Prod: Ada marked 1\.1\.0 as bad"):
        ask(farm)
    with pytest.raises(Refused, match="stands in the release twice"):
        releases.request_release(items(farm)[:1] * 2, name="Twice", reason="x", by=farm.person)
    with pytest.raises(Refused, match="at least one version"):
        releases.request_release([], name="Empty", reason="x", by=farm.person)
    assert not Promotion.objects.exists()
    assert not Release.objects.exists()


def test_the_preview_shows_the_whole_commit_and_binds_the_request(farm: Farm) -> None:
    seen = releases.preview(items(farm), farm.person)
    (part,) = seen.parts
    assert part.diff.count("+          image:") == 3
    with pytest.raises(StaleState, match="since you saw this release"):
        releases.request_release(items(farm), name="November", reason="x", by=farm.person, seen_hash="0" * 64)
    farm.commit_by_hand("app-01", "kept by hand", "kept by two hands")
    release = releases.request_release(
        items(farm), name="November", reason="x", by=farm.person, seen_hash=seen.hash
    )
    assert release.change_hash == seen.hash
