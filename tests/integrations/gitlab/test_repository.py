"""Projects, branches, files and commits against the reference's samples (gitlab-api.md)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from integrations.errors import Conflict, NotFound, Rejected, Unauthorized, Unavailable
from integrations.gitlab import GitLabClient
from integrations.gitlab.types import FileUpdate
from tests.integrations.loopback import Answer, Loopback, fixture

REPOSITORY = "/api/v4/projects/gitlab%2Fapp/repository"
SHA = "ed899a2f4b50b4370feeea94676502b42383c746"
PARENT = "ae1d9fb46aa2b07ee9836d49862ec4e2c46fbbba"


def errors() -> dict[str, dict[str, object]]:
    entries = fixture("gitlab/api-errors.json")
    assert isinstance(entries, list)
    return {entry["case"]: entry for entry in entries}


def answer_of(case: str) -> Answer:
    entry = errors()[case]
    text = entry.get("body_text")
    body = text.encode() if isinstance(text, str) else entry.get("body", b"")
    headers = entry.get("headers", {})
    status = entry["status"]
    assert isinstance(headers, dict)
    assert isinstance(status, int)
    return Answer(body, status=status, headers=headers)


def write(gitlab: GitLabClient) -> None:
    gitlab.create_commit(
        "gitlab/app",
        branch="main",
        message="m",
        files=[FileUpdate("a.yml", b"x", SHA)],
        author_name="Ann",
        author_email="ann@example.com",
    )


def test_a_project_is_read_by_its_full_path(server: Loopback, gitlab: GitLabClient) -> None:
    server.on("GET", "/api/v4/projects/diaspora%2Fdiaspora", Answer(fixture("gitlab/api-project.json")))
    project = gitlab.project("diaspora/diaspora")
    assert (project.id, project.path, project.default_branch) == (178504, "diaspora/diaspora", "master")
    assert server.requests[0].headers["private-token"] == "glpat-very-secret-token"
    assert server.requests[0].headers["user-agent"] == "slipway"


def test_a_branch_tells_its_tip_and_whether_we_may_push(server: Loopback, gitlab: GitLabClient) -> None:
    server.on("GET", f"{REPOSITORY}/branches/feature%2Fx", Answer(fixture("gitlab/api-branch-get.json")))
    branch = gitlab.branch("gitlab/app", "feature/x")
    assert branch.commit_id == "7b5c3cc8be40ee161ae89a06bba6229da1032a0c"
    assert branch.protected
    assert branch.can_push


def test_a_tree_is_read_over_all_pages_of_its_link_headers(server: Loopback, gitlab: GitLabClient) -> None:
    """gitlab-api.md, "Files, tree, compare": keyset pages; the link may name GitLab's external host."""
    link = {"Link": f'<https://gitlab.invalid{REPOSITORY}/tree?page_token=abc>; rel="next"'}
    first_page = [{"path": "a", "type": "blob", "id": "1", "mode": "100644"}]
    server.on(
        "GET", f"{REPOSITORY}/tree", Answer(first_page, headers=link), Answer(fixture("gitlab/api-tree.json"))
    )
    entries = gitlab.tree("gitlab/app", "main", "lib")
    assert len(entries) == 21
    assert {entry.type for entry in entries} == {"blob", "tree"}
    first, second = server.requests
    assert first.query["recursive"] == "true"
    assert first.query["pagination"] == "keyset"
    assert first.query["per_page"] == "100"
    assert second.query == {"page_token": "abc"}


def test_a_file_is_read_as_bytes_with_the_commit_for_the_lock(server: Loopback, gitlab: GitLabClient) -> None:
    content = b"\xff\xfe not text \r\n"
    sample = fixture("gitlab/api-files-get.json")
    assert isinstance(sample, dict)
    body = sample | {"content": base64.b64encode(content).decode()}
    server.on("GET", f"{REPOSITORY}/files/app%2Fmodels%2Fkey.rb", Answer(body))
    file = gitlab.read_file("gitlab/app", "app/models/key.rb", SHA)
    assert file.content == content
    assert file.last_commit_id == "570e7b2abdd848b95f2f578043fc23bd6f6fd24d"
    assert server.requests[0].query == {"ref": SHA}


def test_a_file_that_arrives_damaged_is_no_file(server: Loopback, gitlab: GitLabClient) -> None:
    """The published sample's content is cut off in the middle of its base64."""
    server.on("GET", f"{REPOSITORY}/files/.*", Answer(fixture("gitlab/api-files-get.json")))
    with pytest.raises(Unavailable, match="cannot be decoded"):
        gitlab.read_file("gitlab/app", "key.rb", SHA)


def test_a_commit_carries_bytes_lock_and_author(server: Loopback, gitlab: GitLabClient) -> None:
    server.on(
        "POST", f"{REPOSITORY}/commits", Answer(fixture("gitlab/api-commits-create.201.json"), status=201)
    )
    content = "a: é\r\n".encode()
    commit = gitlab.create_commit(
        "gitlab/app",
        branch="promote/1",
        message="Promote\n\nPromotion-Id: 7",
        files=[FileUpdate("overlays/prod/x.yml", content, PARENT)],
        author_name="Ann",
        author_email="ann@example.com",
        start_sha=PARENT,
    )
    assert (commit.id, commit.parent_ids) == (SHA, (PARENT,))
    assert commit.committed_at == datetime(2016, 9, 20, 16, 26, 24, tzinfo=UTC)
    body = server.requests[0].json()
    assert body["start_sha"] == PARENT
    assert "start_branch" not in body
    assert "force" not in body
    assert body["actions"] == [
        {
            "action": "update",
            "file_path": "overlays/prod/x.yml",
            "content": base64.b64encode(content).decode(),
            "encoding": "base64",
            "last_commit_id": PARENT,
        }
    ]


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("files.update: stale last_commit_id", Conflict),
        ("commits.create: stale last_commit_id", Conflict),
        ("commits.create: branch ref moved during the operation", Conflict),
        ("commits.create: action update/delete/chmod, path absent", Rejected),
        ("commits.create: missing required parameter", Rejected),
        ("commits.create: branch does not exist and no start_branch/start_sha", Rejected),
        ("commits.create: protected branch, no push right", Rejected),
        ("bad or expired token", Unauthorized),
        ("token lacks scope", Unauthorized),
        ("project not visible or absent", NotFound),
    ],
)
def test_a_refused_commit_is_an_error_of_the_right_kind(
    case: str, kind: type[Exception], server: Loopback, gitlab: GitLabClient
) -> None:
    """gitlab-api.md, "Commits" and fixtures/gitlab/api-errors.json."""
    server.on("POST", f"{REPOSITORY}/commits", answer_of(case))
    with pytest.raises(kind) as caught:
        write(gitlab)
    assert type(caught.value) is kind
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_write_is_never_repeated(
    status: int, server: Loopback, gitlab: GitLabClient, pauses: list[float]
) -> None:
    """gitlab-api.md, "Pagination and rate limits": python-gitlab would repeat POSTs."""
    server.on(
        "POST",
        f"{REPOSITORY}/commits",
        Answer({"message": "sorry"}, status=status, headers={"Retry-After": "0"}),
    )
    with pytest.raises(Unavailable):
        write(gitlab)
    assert len(server.requests) == 1
    assert pauses == []


def test_a_read_is_repeated_until_gitlab_recovers(
    server: Loopback, gitlab: GitLabClient, pauses: list[float]
) -> None:
    sample = fixture("gitlab/api-commit-get.json")
    broken = Answer(b"<html>bad gateway</html>", status=502, headers={"Content-Type": "text/html"})
    server.on("GET", f"{REPOSITORY}/commits/.*", broken, Answer({"message": "x"}, status=500), Answer(sample))
    assert gitlab.commit("gitlab/app", "main").author_name == "randx"
    assert len(pauses) == 2


@pytest.mark.parametrize("case", ["rate limit, rack level", "rate limit, application level"])
def test_a_long_retry_after_is_reported_and_not_slept(
    case: str, server: Loopback, gitlab: GitLabClient, pauses: list[float]
) -> None:
    """gitlab-api.md: python-gitlab would block the worker for as long as Retry-After says."""
    server.on("GET", f"{REPOSITORY}/commits/.*", answer_of(case))
    with pytest.raises(Unavailable) as caught:
        gitlab.commit("gitlab/app", "main")
    assert caught.value.retry_after in (30.0, 600.0)
    assert pauses == []


def test_commits_are_listed_with_trailers_up_to_the_limit(server: Loopback, gitlab: GitLabClient) -> None:
    listed = fixture("gitlab/api-commits-list.json")
    assert isinstance(listed, list)
    server.on("GET", f"{REPOSITORY}/commits", Answer(listed * 5))
    since = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    commits = gitlab.commits(
        "gitlab/app", ref="a..b", path="x/y.yml", since=since, limit=3, first_parent=True
    )
    assert len(commits) == 3
    assert server.requests[0].query == {
        "ref_name": "a..b",
        "path": "x/y.yml",
        "since": "2026-01-02T03:04:05Z",
        "trailers": "true",
        "first_parent": "true",
        "per_page": "3",
    }


@pytest.mark.parametrize("parsed_by_gitlab", [True, False])
def test_our_own_commit_is_found_by_its_trailer(
    parsed_by_gitlab: bool, server: Loopback, gitlab: GitLabClient
) -> None:
    """gitlab-api.md, "Retry rule"."""
    mine = {"id": SHA, "message": "Promote\n\nRequested-by: Ann\nPromotion-Id: 7\n"}
    if parsed_by_gitlab:
        mine["trailers"] = {"Promotion-Id": "7", "Requested-by": "Ann"}  # type: ignore[assignment]
    strangers = {"id": PARENT, "message": "says Promotion-Id: 7 in passing"}
    server.on("GET", f"{REPOSITORY}/commits", Answer([strangers, mine]))
    found = gitlab.find_commit_by_trailer(
        "gitlab/app", ref="main", base=PARENT, key="Promotion-Id", value="7"
    )
    assert found is not None
    assert found.id == SHA
    assert server.requests[0].query["ref_name"] == f"{PARENT}..main"
    assert (
        gitlab.find_commit_by_trailer("gitlab/app", ref="main", base="b", key="Promotion-Id", value="8")
        is None
    )


def test_a_comparison_has_the_newest_commit_first(server: Loopback, gitlab: GitLabClient) -> None:
    """gitlab-api.md, "compare": commit order is not promised."""
    day = [
        {"id": "old", "committed_date": "2026-01-01T10:00:00+02:00"},
        {"id": "same-second-1", "committed_date": "2026-01-01T09:00:00Z"},
        {"id": "same-second-2", "committed_date": "2026-01-01T09:00:00Z"},
    ]
    server.on(
        "GET", f"{REPOSITORY}/compare", Answer({"commits": day, "diffs": [], "compare_same_ref": False})
    )
    found = gitlab.compare("gitlab/app", "v1", "v2")
    assert [commit.id for commit in found.commits] == ["same-second-2", "same-second-1", "old"]
    assert server.requests[0].query == {"from": "v1", "to": "v2", "straight": "false"}


def test_a_comparison_keeps_the_diffs(server: Loopback, gitlab: GitLabClient) -> None:
    server.on("GET", f"{REPOSITORY}/compare", Answer(fixture("gitlab/api-compare.json")))
    (diff,) = gitlab.compare("gitlab/app", "v1", "v2").diffs
    assert diff.new_path == "doc/update/5.4-to-6.0.md"
    assert "+sudo -u git" in diff.diff


def test_an_ancestor_adds_nothing_to_its_descendant(server: Loopback, gitlab: GitLabClient) -> None:
    empty = Answer({"commits": [], "diffs": [], "compare_same_ref": False})
    server.on("GET", f"{REPOSITORY}/compare", empty, Answer(fixture("gitlab/api-compare.json")))
    assert gitlab.is_ancestor("gitlab/app", "old", "new")
    assert server.requests[0].query["from"] == "new"
    assert not gitlab.is_ancestor("gitlab/app", "stranger", "new")
    assert gitlab.is_ancestor("gitlab/app", "same", "same")
    assert len(server.requests) == 2


def test_tags_keep_none_for_the_date_of_a_lightweight_tag(server: Loopback, gitlab: GitLabClient) -> None:
    server.on("GET", f"{REPOSITORY}/tags", Answer(fixture("gitlab/api-tags-list.json")))
    (tag,) = gitlab.tags("gitlab/app", "^v1")
    assert (tag.name, tag.message, tag.created_at) == ("v1.0.0", "", None)
    assert tag.commit_id == "2695effb5807a22ff3d138d593fd856244e155e7"


def test_an_existing_branch_is_a_conflict(server: Loopback, gitlab: GitLabClient) -> None:
    server.on("POST", f"{REPOSITORY}/branches", Answer({"message": "Branch already exists"}, status=400))
    with pytest.raises(Conflict):
        gitlab.create_branch("gitlab/app", "x", "main")


def test_a_branch_is_deleted(server: Loopback, gitlab: GitLabClient) -> None:
    server.on("DELETE", f"{REPOSITORY}/branches/a%2Fb", Answer(b"", status=204))
    gitlab.delete_branch("gitlab/app", "a/b")
    assert len(server.requests) == 1


def test_statuses_pipelines_freezes_and_diffs_are_read(server: Loopback, gitlab: GitLabClient) -> None:
    status = {"name": "unit", "status": "success", "finished_at": "2026-01-01T00:00:00Z"}
    server.on("GET", f"{REPOSITORY}/commits/{SHA}/statuses", Answer([status]))
    server.on("GET", f"{REPOSITORY}/commits/{SHA}/diff", Answer(fixture("gitlab/api-commit-diff.json")))
    server.on(
        "GET", "/api/v4/projects/gitlab%2Fapp/pipelines", Answer([{"id": 8, "status": "failed", "sha": SHA}])
    )
    server.on("GET", ".*/freeze_periods", Answer(fixture("gitlab/api-freeze-periods.json")))
    assert gitlab.commit_statuses("gitlab/app", SHA)[0].status == "success"
    assert gitlab.commit_diff("gitlab/app", SHA)[0].new_path == "doc/update/5.4-to-6.0.md"
    assert gitlab.pipelines("gitlab/app", SHA)[0].id == 8
    (freeze,) = gitlab.freeze_periods("gitlab/app")
    assert (freeze.start, freeze.end, freeze.timezone) == ("0 23 * * 5", "0 8 * * 1", "UTC")


def test_the_token_tells_when_it_expires(server: Loopback, gitlab: GitLabClient) -> None:
    server.on("GET", "/api/v4/personal_access_tokens/self", Answer({"expires_at": "2026-12-31"}), Answer({}))
    assert gitlab.token_expires_at() == datetime(2026, 12, 31, tzinfo=UTC)
    assert gitlab.token_expires_at() is None


def test_the_token_does_not_follow_a_redirect_to_another_host(
    server: Loopback, other_host: Loopback, gitlab: GitLabClient
) -> None:
    """webhook-security.md, "SSRF": requests itself only drops Authorization, not PRIVATE-TOKEN."""
    target = Answer(b"", status=302, headers={"Location": f"{other_host.url}/api/v4/stolen"})
    server.on("GET", f"{REPOSITORY}/commits/.*", target)
    with pytest.raises(Rejected, match="redirects to another host"):
        gitlab.commit("gitlab/app", "main")
    assert other_host.requests == []


def test_the_token_is_in_no_message_and_no_repr(server: Loopback, gitlab: GitLabClient) -> None:
    echo = {"message": "token glpat-very-secret-token is bad"}
    server.on("GET", f"{REPOSITORY}/commits/.*", Answer(echo, status=401))
    with pytest.raises(Unauthorized) as caught:
        gitlab.commit("gitlab/app", "main")
    assert "very-secret" not in str(caught.value) + repr(gitlab) + repr(caught.value)
    assert "token *** is bad" in caught.value.message


def test_a_login_page_instead_of_json_is_no_answer(server: Loopback, gitlab: GitLabClient) -> None:
    page = Answer(b"<html>sign in</html>", headers={"Content-Type": "text/html"})
    server.on("GET", ".*", page)
    with pytest.raises(Unavailable, match="not JSON"):
        gitlab.commit("gitlab/app", "main")
    with pytest.raises(Unavailable, match="not JSON"):
        gitlab.tags("gitlab/app")


def test_a_list_that_is_an_object_is_no_answer(server: Loopback, gitlab: GitLabClient) -> None:
    server.on("GET", ".*", Answer({"message": "surprise"}))
    with pytest.raises(Unavailable, match="not JSON"):
        gitlab.tags("gitlab/app")


def test_silence_ends_with_unavailable(server: Loopback, retry: object) -> None:
    server.on("POST", ".*", lambda exchange: exchange.stall())
    client = GitLabClient(server.url, "t", timeout=0.2)
    with pytest.raises(Unavailable, match="in time"):
        write(client)
    client.close()


def test_a_refused_connection_is_unavailable(retry: object) -> None:
    client = GitLabClient("http://127.0.0.1:9", "t", timeout=1.0)
    with pytest.raises(Unavailable):
        write(client)
    client.close()


@pytest.mark.parametrize(
    "url", ["https://user:pw@gitlab.example.com", "file:///etc/passwd", "gitlab.example.com"]
)
def test_an_address_with_credentials_or_without_a_scheme_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        GitLabClient(url, "t")
