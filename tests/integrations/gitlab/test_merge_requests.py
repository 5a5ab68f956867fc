"""Merge requests against the reference's samples and its table of statuses (gitlab-api.md)."""

from __future__ import annotations

import pytest

from integrations.errors import Conflict, NotFound, Rejected, Unauthorized
from integrations.gitlab import GitLabClient, NotMergeable
from tests.integrations.gitlab.test_repository import answer_of
from tests.integrations.loopback import Answer, Loopback, fixture

REQUESTS = "/api/v4/projects/gitlab%2Fapp/merge_requests"
SHA = "8888888888888888888888888888888888888888"


def sample(**changes: object) -> dict[str, object]:
    data = fixture("gitlab/api-mr-get.json")
    assert isinstance(data, dict)
    return data | changes


def test_a_merge_request_is_opened(server: Loopback, gitlab: GitLabClient) -> None:
    server.on("POST", REQUESTS, Answer(fixture("gitlab/api-mr-create.201.derived.json"), status=201))
    request = gitlab.create_merge_request(
        "gitlab/app", source_branch="dev", target_branch="main", title="t", description="d", squash=False
    )
    assert request.state == "opened"
    assert request.is_being_checked
    body = server.requests[0].json()
    assert (body["source_branch"], body["squash"], body["remove_source_branch"]) == ("dev", False, False)


def test_a_second_merge_request_for_the_same_branches_is_a_conflict(
    server: Loopback, gitlab: GitLabClient
) -> None:
    server.on("POST", REQUESTS, answer_of("mr.create: one already open for the branch pair"))
    with pytest.raises(Conflict, match="!14"):
        gitlab.create_merge_request(
            "gitlab/app", source_branch="a", target_branch="b", title="", description=""
        )


def test_open_merge_requests_are_found_by_their_branches(server: Loopback, gitlab: GitLabClient) -> None:
    server.on("GET", REQUESTS, Answer(fixture("gitlab/api-mr-list.json")))
    found = gitlab.find_merge_requests("gitlab/app", source_branch="dev", target_branch="main")
    assert found
    assert all(request.iid for request in found)
    query = server.requests[0].query
    assert (query["source_branch"], query["target_branch"], query["state"]) == ("dev", "main", "opened")


def test_merging_sends_the_head_and_the_message_for_both_kinds_of_commit(
    server: Loopback, gitlab: GitLabClient
) -> None:
    server.on("PUT", f"{REQUESTS}/7/merge", Answer(fixture("gitlab/api-mr-merge.200.derived.json")))
    merged = gitlab.merge("gitlab/app", 7, sha=SHA, squash_message="m\n\nPromotion-Id: 7")
    assert merged.state == "merged"
    assert merged.merged_sha
    assert merged.merged_at is not None
    body = server.requests[0].json()
    assert body["sha"] == SHA
    assert body["squash_commit_message"] == "m\n\nPromotion-Id: 7"
    assert "merge_commit_message" not in body
    assert "auto_merge" not in body


def test_armed_is_not_merged(server: Loopback, gitlab: GitLabClient) -> None:
    """gitlab-api.md: 200 with state opened means that auto-merge is armed."""
    server.on("PUT", f"{REQUESTS}/7/merge", Answer(sample(state="opened", merge_when_pipeline_succeeds=True)))
    armed = gitlab.merge("gitlab/app", 7, sha=SHA, auto_merge=True)
    assert (armed.state, armed.auto_merge) == ("opened", True)
    assert server.requests[0].json()["auto_merge"] is True


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("mr.merge: user may not merge", Unauthorized),
        ("mr.merge: conflict / merge failed", Rejected),
        ("mr.merge: sha given does not match head", Conflict),
        ("project not visible or absent", NotFound),
    ],
)
def test_a_refused_merge_is_an_error_of_the_right_kind(
    case: str, kind: type[Exception], server: Loopback, gitlab: GitLabClient
) -> None:
    server.on("PUT", f"{REQUESTS}/7/merge", answer_of(case))
    with pytest.raises(kind) as caught:
        gitlab.merge("gitlab/app", 7, sha=SHA)
    assert type(caught.value) is kind


def test_405_is_explained_by_the_merge_request_itself(server: Loopback, gitlab: GitLabClient) -> None:
    server.on(
        "PUT", f"{REQUESTS}/7/merge", answer_of("mr.merge: draft, closed, failing checks, not mergeable")
    )
    server.on("GET", f"{REQUESTS}/7", Answer(sample(state="opened", detailed_merge_status="not_approved")))
    with pytest.raises(NotMergeable, match="cannot merge !7 now: not_approved") as caught:
        gitlab.merge("gitlab/app", 7, sha=SHA)
    assert (caught.value.detailed_status, caught.value.state) == ("not_approved", "opened")


def test_405_stays_a_refusal_when_the_reason_cannot_be_read(server: Loopback, gitlab: GitLabClient) -> None:
    server.on("PUT", f"{REQUESTS}/7/merge", Answer({"message": "405"}, status=405))
    with pytest.raises(NotMergeable, match="no reason given"):
        gitlab.merge("gitlab/app", 7, sha=SHA)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"merge_commit_sha": "m", "squash_commit_sha": "s", "sha": "h"}, "m"),
        ({"merge_commit_sha": None, "squash_commit_sha": "s", "sha": "h"}, "s"),
        ({"merge_commit_sha": None, "squash_commit_sha": None, "sha": "h"}, "h"),
    ],
)
def test_the_merged_commit_is_found_for_every_merge_method(
    fields: dict[str, object], expected: str, server: Loopback, gitlab: GitLabClient
) -> None:
    """gitlab-webhooks.md, "merge_request"."""
    server.on("GET", f"{REQUESTS}/7", Answer(sample(**fields)))
    assert gitlab.merge_request("gitlab/app", 7).merged_sha == expected


def test_the_merge_requests_of_a_commit_are_listed(server: Loopback, gitlab: GitLabClient) -> None:
    path = "/api/v4/projects/gitlab%2Fapp/repository/commits/abc/merge_requests"
    server.on("GET", path, Answer(fixture("gitlab/api-mr-list.json")))
    assert gitlab.commit_merge_requests("gitlab/app", "abc")
