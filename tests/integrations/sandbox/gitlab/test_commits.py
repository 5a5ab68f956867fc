"""Held to reference gitlab-api.md, section "Commits", and the texts of api-errors.json."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from integrations.sandbox.server import InThread
from tests.integrations.sandbox.gitlab.conftest import PROD, Api, fixture


def test_a_commit_answers_201_with_the_fields_of_the_fixture(api: Api) -> None:
    """Section "Commits": POST gives the new commit, its parent is the head it was built on."""
    head = api.tip("dev")
    answer = api.commit("dev", "new.txt", "hello\n", action="create")
    assert answer.status_code == 201
    assert fixture("api-commits-create.201").keys() <= answer.json().keys()
    assert answer.json()["parent_ids"] == [head]
    assert answer.json()["stats"] == {"additions": 1, "deletions": 0, "total": 1}
    assert api.tip("dev") == answer.json()["id"]


def test_author_is_the_one_given_and_committer_the_tokens_user(api: Api) -> None:
    """Section "Commits": author_name and author_email."""
    more = {"author_name": "Priya Nair", "author_email": "priya@centre.com"}
    body = api.commit("dev", "new.txt", "x", action="create", **more).json()
    assert (body["author_name"], body["author_email"]) == ("Priya Nair", "priya@centre.com")
    assert body["committer_name"] == "Slipway"


def test_all_actions_land_in_one_commit(api: Api) -> None:
    """Section "Commits": create, update, delete, move, chmod together."""
    actions = [
        {"action": "create", "file_path": "bin/run", "content": "ZWNobw==", "encoding": "base64"},
        {"action": "chmod", "file_path": "bin/run", "execute_filemode": True},
        {"action": "update", "file_path": "README.md", "content": "new\n"},
        {"action": "delete", "file_path": "base/service.yml"},
        {"action": "move", "previous_path": "base/deployment.yml", "file_path": "base/workload.yml"},
    ]
    before = api.tip("dev")
    body = {"branch": "dev", "commit_message": "Many things", "actions": actions}
    commit = api.post("/repository/commits", json=body).json()
    rows = api.get("/repository/tree", params={"recursive": True, "ref": "dev", "per_page": 100}).json()
    modes = {row["path"]: row["mode"] for row in rows if row["type"] == "blob"}
    assert commit["parent_ids"] == [before]
    assert modes["bin/run"] == "100755"
    assert "base/workload.yml" in modes
    assert not {"base/service.yml", "base/deployment.yml"} & modes.keys()
    assert api.get("/repository/files/bin%2Frun/raw", params={"ref": "dev"}).text == "echo"


def test_one_bad_action_leaves_the_branch_as_it_was(api: Api) -> None:
    """Section "Commits": all or none."""
    before = api.tip("dev")
    actions = [
        {"action": "create", "file_path": "good.txt", "content": "x"},
        {"action": "update", "file_path": "missing.txt", "content": "x"},
    ]
    answer = api.post(
        "/repository/commits", json={"branch": "dev", "commit_message": "x", "actions": actions}
    )
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("A file with this name doesn't exist")
    assert api.tip("dev") == before


@pytest.mark.parametrize(
    ("action", "path", "text"),
    [
        ("create", "README.md", "A file with this name already exists"),
        ("create", "base", "A directory with this name already exists"),
        ("update", "nothing.txt", "A file with this name doesn't exist"),
        ("delete", "nothing.txt", "A file with this name doesn't exist"),
        ("create", "../outside", "Path cannot include directory traversal"),
    ],
)
def test_a_refused_action_says_why(api: Api, action: str, path: str, text: str) -> None:
    """Section "Commits": the 400 texts from Gitaly."""
    answer = api.commit("dev", path, "x", action=action)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(text)


def test_missing_parameters_are_named_under_error(api: Api) -> None:
    """api-errors.json, "commits.create: missing required parameter": the key is error."""
    answer = api.post("/repository/commits", json={})
    assert answer.status_code == 400
    assert answer.json() == {"error": "branch is missing, commit_message is missing, actions is missing"}


def test_a_stale_last_commit_id_is_a_400_that_names_the_path(api: Api) -> None:
    """Section "Commits", optimistic lock: 400, not 409."""
    stale = api.tip("dev")
    assert api.commit("dev", PROD, "a: 1\n").status_code == 201
    answer = api.commit("dev", PROD, "a: 2\n", last_commit_id=stale)
    assert answer.status_code == 400
    assert answer.json()["message"] == f"The file has changed since you started editing it: {PROD}"


def test_the_files_api_words_the_lost_lock_differently(api: Api) -> None:
    """Section "Commits": match the substring both texts share."""
    stale = api.tip("dev")
    api.commit("dev", PROD, "a: 1\n")
    body = {"branch": "dev", "commit_message": "x", "content": "a: 2\n", "last_commit_id": stale}
    answer = api.put("/repository/files/overlays%2Fprod%2Fdeployment.yml", json=body)
    assert answer.status_code == 400
    assert "has changed since you started editing it" in answer.json()["message"]
    assert answer.json()["message"].startswith("You are attempting to update a file")


def test_another_files_commit_is_no_conflict(api: Api) -> None:
    """Section "Commits": any ancestor will do, the branch head one read from included."""
    head = api.tip("dev")
    api.commit("dev", "README.md", "new\n")
    assert api.commit("dev", PROD, "a: 1\n", last_commit_id=head).status_code == 201


@pytest.mark.parametrize("given", ["0" * 40, "not-an-id", "deadbeef"])
def test_the_lock_fails_open_for_an_id_it_does_not_know(api: Api, given: str) -> None:
    """Section "Commits": an unknown or malformed id is not a conflict."""
    api.commit("dev", PROD, "a: 1\n")
    assert api.commit("dev", PROD, "a: 2\n", last_commit_id=given).status_code == 201


def test_the_lock_looks_at_the_start_branch(api: Api) -> None:
    """Section "Commits": with start_branch the comparison is made there."""
    stale = api.tip("dev")
    api.commit("dev", PROD, "a: 1\n")
    more = {"start_branch": "dev", "last_commit_id": stale}
    assert api.commit("mine", PROD, "a: 2\n", **more).status_code == 400
    assert api.commit("mine", PROD, "a: 2\n", start_branch="main", last_commit_id=stale).status_code == 201


def test_an_unknown_branch_needs_a_start(api: Api) -> None:
    """api-errors.json, "branch does not exist and no start_branch/start_sha"."""
    answer = api.commit("nowhere", "README.md", "x")
    assert answer.status_code == 400
    assert answer.json()["message"] == "You can only create or edit files when you are on a branch"


def test_a_start_branch_with_an_existing_branch_is_refused(api: Api) -> None:
    """Section "Commits": the text about switching to that branch."""
    answer = api.commit("dev", "README.md", "x", start_branch="main")
    text = "A branch called 'dev' already exists. Switch to that branch in order to make changes"
    assert (answer.status_code, answer.json()["message"]) == (400, text)


def test_a_developer_may_not_push_into_a_protected_branch(person: Api) -> None:
    """api-errors.json, "protected branch, no push right": 400, not 403."""
    answer = person.commit("main", "README.md", "x")
    assert (answer.status_code, answer.json()["message"]) == (
        400,
        "You are not allowed to push into this branch",
    )
    assert person.commit("dev", "README.md", "x").status_code == 201


def test_the_same_content_again_makes_an_empty_commit(api: Api) -> None:
    """Section "Commits": a no-op update still creates a commit."""
    content = api.get("/repository/files/README.md/raw", params={"ref": "dev"}).text
    answer = api.commit("dev", "README.md", content)
    assert answer.status_code == 201
    assert api.get(f"/repository/commits/{answer.json()['id']}/diff").json() == []


def test_trailers_are_parsed_where_asked_for(api: Api) -> None:
    """Section "Commits", retry rule: ?trailers=true finds our own commit again."""
    message = "Bring 1.1.0 to production\n\nPromotion-Id: 7\nApproved-by: A\nApproved-by: B\n"
    api.commit("dev", "README.md", "x\n", commit_message=message)
    row = api.get("/repository/commits", params={"ref_name": "main..dev", "trailers": True}).json()[0]
    assert row["trailers"]["Promotion-Id"] == "7"
    assert row["extended_trailers"]["Approved-by"] == ["A", "B"]


def test_commit_lists_have_pages_but_no_totals(source: Api) -> None:
    """Section "Commits": no x-total headers on commit lists."""
    answer = source.get("/repository/commits", params={"per_page": 2, "ref_name": "main"})
    assert len(answer.json()) == 2
    assert answer.headers["x-next-page"] == "2"
    assert "x-total" not in answer.headers
    rest = source.get(answer.links["next"]["url"]).json()
    assert not {row["id"] for row in rest} & {row["id"] for row in answer.json()}


def test_commit_lists_can_be_narrowed_by_path_and_first_parent(source: Api) -> None:
    """Section "Commits": path and first_parent."""
    rows = source.get("/repository/commits", params={"path": "Dockerfile", "ref_name": "dev"}).json()
    assert {row["title"] for row in rows} == {"Build an image"}
    rows = source.get("/repository/commits", params={"first_parent": True, "ref_name": "main"}).json()
    assert "Build an image" not in {row["title"] for row in rows}


def test_refs_name_the_branches_and_tags_that_hold_a_commit(source: Api) -> None:
    """Section "Commits": .../commits/:sha/refs?type=."""
    sha = source.tip("main")
    rows = source.get(f"/repository/commits/{sha}/refs", params={"type": "all"}).json()
    assert {"type": "tag", "name": "v1.0.0"} in rows
    assert {"type": "branch", "name": "dev"} in rows
    assert source.get("/repository/commits/0000/refs").status_code == 404


def test_a_stranger_may_slip_in_between_check_and_write(box: InThread, api: Api) -> None:
    """Section "Commits": after a 201 the parent tells whether another commit slipped in."""
    head = api.tip("dev")
    box.world.faults["commit_race"] = 1
    answer = api.commit("dev", PROD, "a: 1\n", last_commit_id=head)
    assert answer.status_code == 201
    assert answer.json()["parent_ids"] != [head]
    assert api.commit("dev", PROD, "a: 2\n").json()["parent_ids"] == [answer.json()["id"]]


def test_a_push_during_the_write_makes_the_ref_update_fail(box: InThread, api: Api) -> None:
    """Section "Commits": 400 "Could not update refs/heads/...", and only the stranger's commit landed."""
    head = api.tip("dev")
    box.world.faults["commit_race"] = {"count": 1, "mode": "refuse"}
    answer = api.commit("dev", PROD, "a: 1\n")
    text = "Could not update refs/heads/dev. Please refresh and try again."
    assert (answer.status_code, answer.json()["message"]) == (400, text)
    rows = api.get("/repository/commits", params={"ref_name": f"{head}..dev"}).json()
    assert [row["author_name"] for row in rows] == ["Tomás Silva"]


def test_simultaneous_commits_never_lose_one_another(api: Api) -> None:
    """Section "Commits": the ref moves by compare and swap; a loser is told so."""
    before = api.tip("dev")
    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(api.commit, "dev", f"notes/{n}.md", "x\n", action="create") for n in range(12)]
    made = [job.result().json()["id"] for job in jobs if job.result().status_code == 201]
    rows = api.get("/repository/commits", params={"ref_name": f"{before}..dev", "per_page": 100}).json()
    assert made
    assert sorted(made) == sorted(row["id"] for row in rows)
    refused = [job.result().json()["message"] for job in jobs if job.result().status_code == 400]
    assert all(text.startswith("Could not update refs/heads/dev") for text in refused)
