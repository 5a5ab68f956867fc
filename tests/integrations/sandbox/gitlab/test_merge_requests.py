"""Held to reference gitlab-api.md, section "Merge requests"."""

from __future__ import annotations

from typing import Any

import gitlab
import httpx
import pytest

from integrations.sandbox.server import InThread
from tests.integrations.sandbox.gitlab.conftest import MANIFEST, PROD, Api, fixture, until


def opened(api: Api, source: str = "dev", **more: Any) -> dict[str, Any]:
    """Open a merge request from `source` to main."""
    body = {"source_branch": source, "target_branch": "main", "title": "Bring it"} | more
    answer = api.post("/merge_requests", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def changed(api: Api, branch: str = "dev", content: str = "a: 1\n") -> str:
    """Commit a change to the production overlay and return the commit's id."""
    return str(api.commit(branch, PROD, content).json()["id"])


def status(api: Api, iid: int) -> str:
    """Return detailed_merge_status."""
    return str(api.get(f"/merge_requests/{iid}").json()["detailed_merge_status"])


def settled(api: Api, iid: int) -> str:
    """Wait until GitLab has made up its mind, and return it."""
    until(lambda: status(api, iid) not in ("preparing", "checking", "unchecked"))
    return status(api, iid)


def merge(api: Api, iid: int, **body: Any) -> httpx.Response:
    """Ask for a merge."""
    return api.put(f"/merge_requests/{iid}/merge", json=body)


def test_a_fresh_merge_request_is_prepared_and_checked_before_it_is_mergeable(api: Api) -> None:
    """Fresh ones are preparing or checking for seconds; merging meanwhile is a 405."""
    head = changed(api)
    mr = opened(api)
    assert fixture("api-mr-get").keys() - {"time_stats", "task_completion_status"} <= mr.keys()
    assert mr["detailed_merge_status"] == "preparing"
    assert mr["sha"] == head
    assert merge(api, mr["iid"], sha=head).status_code == 405
    assert settled(api, mr["iid"]) == "mergeable"


def test_a_second_one_for_the_same_branches_names_the_first(api: Api) -> None:
    """409 "Another open merge request already exists for this source branch": adopt that one."""
    changed(api)
    mr = opened(api)
    body = {"source_branch": "dev", "target_branch": "main", "title": "Again"}
    answer = api.post("/merge_requests", json=body)
    text = f"Another open merge request already exists for this source branch: !{mr['iid']}"
    assert (answer.status_code, answer.json()) == (409, {"message": [text]})


def test_a_merge_makes_a_merge_commit_and_leaves_dev_alone(api: Api) -> None:
    """200 merged: read merge_commit_sha; its parents are target and source."""
    target, head = api.tip("main"), changed(api)
    mr = opened(api)
    settled(api, mr["iid"])
    body = merge(api, mr["iid"], sha=head).json()
    assert body["state"] == "merged"
    commit = api.get(f"/repository/commits/{body['merge_commit_sha']}").json()
    assert commit["parent_ids"] == [target, head]
    assert commit["title"] == "Merge branch 'dev' into 'main'"
    assert commit["message"].endswith(f"See merge request {MANIFEST}!{mr['iid']}")
    assert api.tip("main") == commit["id"]
    assert api.tip("dev") == head
    found = api.get(f"/repository/commits/{head}/merge_requests").json()
    assert [row["iid"] for row in found] == [mr["iid"]]


def test_the_source_branch_is_removed_where_asked(api: Api) -> None:
    """should_remove_source_branch."""
    changed_on = api.commit("mine", PROD, "a: 1\n", start_branch="main").json()["id"]
    mr = opened(api, "mine")
    settled(api, mr["iid"])
    answer = merge(api, mr["iid"], sha=changed_on, should_remove_source_branch=True)
    assert answer.status_code == 200
    assert api.get("/repository/branches/mine").status_code == 404


def test_a_stale_sha_is_a_409(api: Api) -> None:
    """409 "SHA does not match HEAD of source branch: <sha>"."""
    old = changed(api)
    mr = opened(api)
    new = changed(api, content="a: 2\n")
    settled(api, mr["iid"])
    until(lambda: status(api, mr["iid"]) == "mergeable")
    answer = merge(api, mr["iid"], sha=old)
    text = f"SHA does not match HEAD of source branch: {new}"
    assert (answer.status_code, answer.json()["message"]) == (409, text)


def test_who_may_not_merge_gets_a_401(api: Api, person: Api) -> None:
    """401, not 403, and before anything else is looked at."""
    changed(api)
    mr = opened(api)
    answer = merge(person, mr["iid"])
    assert (answer.status_code, answer.json()) == (401, {"message": "401 Unauthorized"})


def test_drafts_and_closed_ones_are_not_merged(api: Api) -> None:
    """405 for a draft and for a closed one; close and reopen through state_event."""
    changed(api)
    iid = opened(api, title="Draft: Bring it")["iid"]
    assert settled(api, iid) == "draft_status"
    assert merge(api, iid).status_code == 405
    api.put(f"/merge_requests/{iid}", json={"title": "Bring it", "state_event": "close"})
    assert status(api, iid) == "not_open"
    assert merge(api, iid).status_code == 405
    assert api.put(f"/merge_requests/{iid}", json={"state_event": "reopen"}).json()["state"] == "opened"
    assert settled(api, iid) == "mergeable"


def test_conflicts_are_computed_from_the_branches(api: Api) -> None:
    """422 "Branch cannot be merged", has_conflicts."""
    changed(api, "dev", "a: 1\n")
    changed(api, "main", "a: 2\n")
    iid = opened(api)["iid"]
    assert settled(api, iid) == "conflict"
    assert api.get(f"/merge_requests/{iid}").json()["has_conflicts"] is True
    answer = merge(api, iid)
    assert (answer.status_code, answer.json()["message"]) == (422, "Branch cannot be merged")


def test_a_squash_is_not_the_branch_head(api: Api) -> None:
    """With squash, squash_commit_sha is read; the message is the given one."""
    base = api.tip("main")
    changed(api, content="a: 1\n")
    head = changed(api, content="a: 2\n")
    iid = opened(api, squash=True)["iid"]
    settled(api, iid)
    body = merge(api, iid, sha=head, squash_commit_message="One thing\n\nPromotion-Id: 7").json()
    squash = api.get(f"/repository/commits/{body['squash_commit_sha']}").json()
    assert squash["parent_ids"] == [base]
    assert squash["trailers"] == {"Promotion-Id": "7"}
    assert api.get(f"/repository/commits/{body['merge_commit_sha']}").json()["parent_ids"] == [
        base,
        squash["id"],
    ]


def test_a_fast_forward_project_has_no_merge_commit_and_wants_a_rebase(api: Api) -> None:
    """merge_method ff: need_rebase, PUT rebase 202, then merge_commit_sha stays null."""
    api.put("", json={"merge_method": "ff"})
    changed(api, "dev")
    api.commit("main", "README.md", "moved on\n")
    iid = opened(api)["iid"]
    assert settled(api, iid) == "need_rebase"
    assert merge(api, iid).status_code == 422
    assert api.put(f"/merge_requests/{iid}/rebase").status_code == 202
    until(lambda: status(api, iid) == "mergeable")
    body = merge(api, iid).json()
    assert (body["state"], body["merge_commit_sha"]) == ("merged", None)
    assert api.tip("main") == api.tip("dev") == body["sha"]


def test_approvals_hold_a_merge_back_until_given(api: Api, person: Api) -> None:
    """Section "Merge requests", approvals: 409 on a stale sha; the author is barred."""
    api.put("", json={"approvals_before_merge": 1})
    head = changed(api)
    iid = opened(api)["iid"]
    assert settled(api, iid) == "not_approved"
    assert api.post(f"/merge_requests/{iid}/approve").status_code == 401
    assert person.post(f"/merge_requests/{iid}/approve", json={"sha": "0" * 40}).status_code == 409
    assert person.post(f"/merge_requests/{iid}/approve", json={"sha": head}).status_code == 201
    assert api.get(f"/merge_requests/{iid}/approvals").json()["approved"] is True
    assert settled(api, iid) == "mergeable"


def test_auto_merge_answers_200_while_still_open_and_merges_later(box: InThread, api: Api) -> None:
    """200 with state opened means armed; it merges when the pipeline has succeeded."""
    api.put("", json={"only_allow_merge_if_pipeline_succeeds": True})
    head = changed(api)
    number = api.post("/pipeline", json={"ref": "dev"}).json()["id"]
    iid = opened(api)["iid"]
    assert settled(api, iid) == "ci_still_running"
    assert merge(api, iid, sha=head).status_code == 405
    body = merge(api, iid, sha=head, auto_merge=True).json()
    assert (body["state"], body["merge_when_pipeline_succeeds"]) == ("opened", True)
    host: Any = box.world.git
    project = host.state.project(MANIFEST)
    row = next(row for row in project["pipelines"] if row["id"] == number)
    box.call(host.pipelines.set_status(project, row, "success"))
    until(lambda: api.get(f"/merge_requests/{iid}").json()["state"] == "merged")


def test_auto_merge_can_be_cancelled(api: Api) -> None:
    """POST cancel_merge_when_pipeline_succeeds."""
    api.put("", json={"only_allow_merge_if_pipeline_succeeds": True})
    changed(api)
    iid = opened(api)["iid"]
    settled(api, iid)
    merge(api, iid, auto_merge=True)
    answer = api.post(f"/merge_requests/{iid}/cancel_merge_when_pipeline_succeeds")
    assert (answer.status_code, answer.json()["merge_when_pipeline_succeeds"]) == (201, False)


def test_a_branch_merged_outside_closes_its_merge_request_as_merged(api: Api) -> None:
    """Section "Merge requests": the head reached the target by another way."""
    head = changed(api)
    iid = opened(api)["iid"]
    api.post("/repository/branches", params={"branch": "by-hand", "ref": head})
    other = opened(api, "by-hand")["iid"]
    assert settled(api, other) == "mergeable"
    assert merge(api, other).status_code == 200
    until(lambda: api.get(f"/merge_requests/{iid}").json()["state"] == "merged")


def test_an_unknown_merge_request_is_a_404(api: Api) -> None:
    """404 "MR unknown"."""
    assert merge(api, 99).status_code == 404


def test_python_gitlab_opens_and_merges(python_gitlab: gitlab.Gitlab) -> None:
    """The client library's own calls, and its exception for 405."""
    project = python_gitlab.projects.get(MANIFEST)
    project.commits.create(
        {
            "branch": "dev",
            "commit_message": "x",
            "actions": [{"action": "update", "file_path": PROD, "content": "a: 1\n"}],
        }
    )
    mr = project.mergerequests.create({"source_branch": "dev", "target_branch": "main", "title": "Bring it"})
    with pytest.raises(gitlab.exceptions.GitlabMRClosedError) as caught:
        mr.merge(sha=mr.sha)
    assert caught.value.response_code == 405
    until(lambda: project.mergerequests.get(mr.iid).detailed_merge_status == "mergeable")
    mr.merge(sha=mr.sha)
    assert project.mergerequests.get(mr.iid).state == "merged"
    assert project.mergerequests.list(state="opened", get_all=True) == []
    assert len(mr.commits()) == 1
