"""Merge requests in every kind of project (reference gitlab-api.md, "Merge requests")."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from integrations.sandbox import invented
from integrations.sandbox.server import InThread
from promotions import engine
from promotions.choices import PromotionStatus, WriteMode
from promotions.models import Promotion, Stage
from tests.system import wait_for
from tests.writers.conftest import box
from tests.writers.farm import PROJECT, Farm, make, path_of

__all__ = ["box"]
pytestmark = pytest.mark.usefixtures("transactional_db")
S = PromotionStatus
Json = dict[str, Any]


@pytest.fixture
def farm(box: InThread, tmp_path: Path) -> Farm:
    return make(box, tmp_path, 3, mode=WriteMode.OWN_BRANCH)


@pytest.fixture
def project(farm: Farm) -> Json:
    """The simulated project's settings."""
    (found,) = farm.box.world.git.state.projects.values()  # type: ignore[attr-defined]
    return found  # type: ignore[no-any-return]


@pytest.fixture
def person(farm: Farm) -> Iterator[httpx.Client]:
    """GitLab's API as a colleague uses it."""
    headers = {"PRIVATE-TOKEN": invented.GITLAB_PERSON_TOKEN}
    base = f"{farm.box.urls['gitlab']}/api/v4/projects/{PROJECT.replace('/', '%2F')}"
    with httpx.Client(base_url=base, headers=headers, timeout=20, trust_env=False, verify=False) as client:
        yield client


def follow(promotion: Promotion, until: Callable[[Promotion], bool]) -> Promotion:
    """Look again and again, as workers do, until the promotion is as wanted."""

    def look() -> Promotion:
        engine.advance(promotion.pk)
        promotion.refresh_from_db()
        return promotion

    return wait_for(look, until, seconds=30, what=f"{promotion.pk}: {promotion.message}")


def ended(promotion: Promotion) -> Promotion:
    return follow(promotion, lambda seen: not seen.is_open)


def says(words: str) -> Callable[[Promotion], bool]:
    return lambda seen: words in seen.message


def opened(promotion: Promotion) -> Promotion:
    return follow(promotion, lambda seen: seen.merge_request_iid is not None)


def held(promotion: Promotion, project: Json) -> Promotion:
    """Its merge request is open and lacks an approval, until `release`."""
    project["approvals_before_merge"] = 1
    return follow(promotion, says("lacks approvals in GitLab"))


def release(project: Json) -> None:
    project["approvals_before_merge"] = 0


def test_a_squash_keeps_the_trailers_and_the_merged_commit_is_the_one_on_the_branch(
    farm: Farm, project: Json
) -> None:
    project["squash_option"] = "always"
    done = ended(farm.ask(farm.stages[0]))
    assert done.status == S.SUCCEEDED, done.message
    assert farm.trailers() == {str(done.key): 1}
    assert done.target_commit == farm.git("rev-parse", "main").strip()
    assert done.written_commit not in farm.git("rev-list", "main")


@pytest.mark.parametrize("method", ["ff", "rebase_merge"])
def test_a_branch_that_must_be_on_the_tip_is_rebased_and_its_new_commit_is_known_again(
    farm: Farm, project: Json, method: str
) -> None:
    project["merge_method"] = method
    first, second = (farm.ask(stage) for stage in farm.stages[:2])
    for promotion in (first, second):
        held(promotion, project)
    release(project)
    before = second.written_commit
    for promotion in (first, second):
        assert ended(promotion).status == S.SUCCEEDED, promotion.message
    assert second.written_commit != before
    assert farm.trailers() == {str(first.key): 1, str(second.key): 1}
    if method == "ff":
        assert farm.git("rev-list", "--merges", "main") == ""


def test_approvals_in_gitlab_are_waited_for_with_their_reason(
    farm: Farm, project: Json, person: httpx.Client
) -> None:
    project["approvals_before_merge"] = 1
    asked = follow(farm.ask(farm.stages[0]), says("lacks approvals in GitLab"))
    iid = asked.merge_request_iid
    assert asked.message.startswith(f"GitLab does not let !{iid} be merged yet")
    person.post(f"/merge_requests/{iid}/approve").raise_for_status()
    assert ended(asked).status == S.SUCCEEDED


def pipeline(farm: Farm, project: Json, promotion: Promotion, status: str) -> Json:
    """A pipeline on the merge request's head."""
    pipelines = farm.box.world.git.pipelines  # type: ignore[attr-defined]
    head = promotion.written_commit
    row = pipelines.last_of(project, head)
    if row is None:
        branch = next(
            str(request["source_branch"])
            for request in project["merge_requests"].values()
            if request["iid"] == promotion.merge_request_iid
        )
        (user, *_others) = farm.box.world.git.state.users.values()  # type: ignore[attr-defined]
        row = farm.box.call(pipelines.create(project, branch, user, stages=["test"]))
    farm.box.call(pipelines.set_status(project, row, status))
    return dict(row)


def test_a_running_pipeline_is_left_to_gitlab_s_auto_merge(farm: Farm, project: Json) -> None:
    project["only_allow_merge_if_pipeline_succeeds"] = True
    asked = opened(farm.ask(farm.stages[0]))
    follow(asked, says("its pipeline has to succeed"))
    pipeline(farm, project, asked, "running")
    follow(asked, says("merges !1 when its checks have passed"))
    pipeline(farm, project, asked, "success")
    assert ended(asked).status == S.SUCCEEDED


def test_an_auto_merge_that_somebody_cancelled_is_not_set_again(
    farm: Farm, project: Json, person: httpx.Client
) -> None:
    project["only_allow_merge_if_pipeline_succeeds"] = True
    asked = opened(farm.ask(farm.stages[0]))
    pipeline(farm, project, asked, "running")
    follow(asked, says("merges !1 when its checks have passed"))
    person.post("/merge_requests/1/cancel_merge_when_pipeline_succeeds").raise_for_status()
    follow(asked, says("Somebody cancelled the auto-merge of !1"))
    assert asked.status == S.RUNNING


def test_a_failed_pipeline_is_named(farm: Farm, project: Json) -> None:
    project["only_allow_merge_if_pipeline_succeeds"] = True
    asked = opened(farm.ask(farm.stages[0]))
    pipeline(farm, project, asked, "failed")
    follow(asked, says("its pipeline has to succeed: run it again in GitLab (it is failed)"))


def test_on_a_merge_train_gitlab_merges_in_its_turn(farm: Farm, project: Json) -> None:
    project["merge_trains_enabled"] = True
    asked = follow(farm.ask(farm.stages[0]), says("merges !1 when its checks have passed"))
    assert ended(asked).status == S.SUCCEEDED
    assert farm.trailers() == {str(asked.key): 1}


def edit_on_main(farm: Farm, person: httpx.Client, content: str) -> None:
    action = {"action": "update", "file_path": path_of("app-00"), "content": content}
    body = {"branch": "main", "commit_message": "By hand", "actions": [action]}
    person.post("/repository/commits", json=body).raise_for_status()


def test_a_conflict_is_answered_by_the_same_edit_on_the_new_tip(
    farm: Farm, project: Json, person: httpx.Client
) -> None:
    asked = held(farm.ask(farm.stages[0]), project)
    edit_on_main(farm, person, farm.file("app-00") + "# right below the image\n")
    release(project)
    done = ended(asked)
    assert done.status == S.SUCCEEDED, done.message
    assert (done.branch_round, done.attempt) == (2, 2)
    states = [request["state"] for request in project["merge_requests"].values()]
    assert states == ["closed", "merged"]
    # GitLab removes the merged one in its own time; the first one went when it was closed.
    branches = ("for-each-ref", "--format=%(refname:short)", "refs/heads/slipway")
    wait_for(lambda: farm.git(*branches), lambda left: left == "", what="the branches' removal")
    assert farm.trailers() == {str(done.key): 1}
    assert "many/app-00:1.1.0" in farm.file("app-00")
    assert "# right below the image" in farm.file("app-00")


def test_a_conflict_over_the_value_itself_asks_for_approval_again(
    farm: Farm, project: Json, person: httpx.Client
) -> None:
    asked = held(farm.ask(farm.stages[0]), project)
    edit_on_main(farm, person, farm.file("app-00").replace(":1.0.0", ":0.9.0"))
    release(project)
    follow(asked, lambda seen: seen.status == S.REQUESTED)
    assert asked.edits[0]["old"].endswith(":0.9.0")
    assert [request["state"] for request in project["merge_requests"].values()] == ["closed"]


def test_what_somebody_else_pushed_to_our_branch_is_not_merged(
    farm: Farm, project: Json, person: httpx.Client
) -> None:
    asked = held(farm.ask(farm.stages[0]), project)
    release(project)
    branch = farm.git("for-each-ref", "--format=%(refname:short)", "refs/heads/slipway").strip()
    action = {"action": "create", "file_path": "stowaway.yml", "content": "x"}
    body = {"branch": branch, "commit_message": "Along for the ride", "actions": [action]}
    person.post("/repository/commits", json=body).raise_for_status()
    follow(asked, says("merging would bring what nobody approved"))
    assert asked.status == S.RUNNING
    assert "stowaway" not in farm.git("ls-tree", "-r", "--name-only", "main")


def push(person: httpx.Client, branch: str, **more: str) -> str:
    """A colleague's commit, on a branch that is made for it where `start_branch` says so."""
    action = {"action": "create", "file_path": f"notes/{branch}.md", "content": "mine"}
    body = {"branch": branch, "commit_message": "Mine", "actions": [action], **more}
    return str(person.post("/repository/commits", json=body).raise_for_status().json()["id"])


TAKEN = "update-image-tag-1.1.0"


@pytest.fixture
def named(farm: Farm) -> Farm:
    """Branches are named by the tag, as in scenario B (reference scenarios README)."""
    Stage.objects.update(branch_name="update-image-tag-{tag}")
    farm.stages = list(Stage.objects.order_by("pk"))
    return farm


def test_a_stranger_s_branch_of_our_name_is_left_alone_and_named(
    named: Farm, project: Json, person: httpx.Client
) -> None:
    theirs = push(person, TAKEN, start_branch="main")
    done = ended(named.ask(named.stages[0]))
    assert (done.status, done.branch_round) == (S.SUCCEEDED, 2), done.message
    assert named.git("rev-parse", TAKEN).strip() == theirs
    (request,) = project["merge_requests"].values()
    assert request["source_branch"] == f"{TAKEN}-2"
    (write, *_others) = done.steps.order_by("pk")
    assert f"The branch {TAKEN} is somebody else's: its last commit is {theirs[:8]}" in write.message
    assert f"on {TAKEN}-2." in write.message
    assert "notes" not in named.git("ls-tree", "-r", "--name-only", "main")


def test_what_an_earlier_promotion_of_the_tag_left_is_told_by_its_number(
    named: Farm, project: Json, person: httpx.Client
) -> None:
    first = held(named.ask(named.stages[0]), project)
    person.put("/merge_requests/1", json={"state_event": "close"}).raise_for_status()
    assert ended(first).status == S.FAILED
    release(project)
    again = ended(named.ask(named.stages[0]))
    assert again.status == S.SUCCEEDED, again.message
    (write, *_others) = again.steps.order_by("pk")
    assert f"The branch {TAKEN} is left from promotion #{first.pk} (failed)." in write.message
    assert named.trailers() == {str(again.key): 1}
    assert named.git("rev-parse", TAKEN).strip() == first.written_commit


def test_a_branch_made_while_we_write_does_not_go_along_with_our_commit(named: Farm) -> None:
    """gitlab-api.md, "Commits": checked before the write, not atomically; the parent tells afterwards."""
    named.box.world.faults["commit_race"] = 1
    done = ended(named.ask(named.stages[0]))
    assert (done.status, done.branch_round) == (S.SUCCEEDED, 2), done.message
    (write, *_others) = done.steps.order_by("pk")
    assert "came to lie upon" in write.message
    assert named.trailers() == {str(done.key): 1}
    assert "notes" not in named.git("ls-tree", "-r", "--name-only", "main")


def test_names_are_tried_a_bounded_number_of_times(named: Farm) -> None:
    asked = named.ask(named.stages[0])
    Promotion.objects.update(branch_round=19)
    for number in (19, 20):
        named.git("update-ref", f"refs/heads/{TAKEN}-{number}", "refs/heads/main")
    done = ended(asked)
    assert done.status == S.FAILED
    assert f"The branch {TAKEN}-20 is somebody else's" in done.message
    assert "So are 19 more names like it" in done.message
