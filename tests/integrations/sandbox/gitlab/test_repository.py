"""Held to reference gitlab-api.md: files, tree, compare, branches, tags, tokens, rate limits."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from typing import Any

import gitlab
import httpx
import pytest

from integrations.sandbox import invented
from integrations.sandbox.server import InThread
from tests.integrations.sandbox.gitlab.conftest import MANIFEST, PROD, SOURCE, Api, fixture

PROD_URL = "/repository/files/overlays%2Fprod%2Fdeployment.yml"


def test_a_file_comes_with_the_commit_to_lock_on(api: Api) -> None:
    """Section "Files": base64 content, commit_id is the head, last_commit_id the file's own."""
    api.commit("dev", "README.md", "later\n")
    body = api.get(PROD_URL, params={"ref": "dev"}).json()
    content = base64.b64decode(body["content"])
    assert fixture("api-files-get").keys() <= body.keys()
    assert b"image: harbor.centre.com/k8s/flask-k8s-example:1.0.0\n" in content
    assert body["content_sha256"] == hashlib.sha256(content).hexdigest()
    assert body["commit_id"] == api.tip("dev")
    assert body["last_commit_id"] != body["commit_id"]


def test_head_says_the_same_in_headers(api: Api) -> None:
    """Section "Files": HEAD gives X-Gitlab-* headers."""
    body = api.get(PROD_URL, params={"ref": "main"}).json()
    headers = api.head(PROD_URL, params={"ref": "main"}).headers
    assert headers["x-gitlab-last-commit-id"] == body["last_commit_id"]
    assert headers["x-gitlab-blob-id"] == body["blob_id"]
    assert headers["x-gitlab-content-sha256"] == body["content_sha256"]


def test_an_absent_file_is_a_404_with_its_text(api: Api) -> None:
    """api-errors.json, "file absent on ref"."""
    answer = api.get("/repository/files/nothing.yml", params={"ref": "main"})
    assert (answer.status_code, answer.json()) == (404, {"message": "404 File Not Found"})


def test_a_name_in_another_encoding_hides_no_other_file(api: Api, box: InThread) -> None:
    """Git asks of a file's name no encoding; one of Latin-1 must not keep the tree from being listed."""
    folder = box.world.git.repository(MANIFEST)  # type: ignore[attr-defined]
    stream = (
        b"commit refs/heads/latin\ncommitter Ann <ann@example.com> 0 +0000\ndata 1\nx\n"
        b"from refs/heads/main^0\nM 100644 inline caf\xe9.yml\ndata 1\nx\n"
    )
    subprocess.run(["git", "-C", str(folder), "fast-import", "--quiet"], input=stream, check=True)
    names = [row["path"] for row in api.get("/repository/tree", params={"ref": "latin"}).json()]
    assert "caf\ufffd.yml" in names
    assert "overlays" in names


def test_the_files_api_answers_only_path_and_branch(api: Api) -> None:
    """Section "Files": the PUT reply does not tell the new commit."""
    body = {"branch": "dev", "commit_message": "x", "content": "a: 1\n"}
    assert api.put(PROD_URL, json=body).json() == {"file_path": PROD, "branch": "dev"}
    assert api.get(f"{PROD_URL}/raw", params={"ref": "dev"}).text == "a: 1\n"


def test_the_tree_pages_by_keyset_through_link(api: Api) -> None:
    """Section "Tree": the next page is known by rel="next" alone."""
    answer = api.get("/repository/tree", params={"recursive": True, "pagination": "keyset", "per_page": 4})
    rows = list(answer.json())
    while "next" in answer.links:
        answer = api.get(answer.links["next"]["url"])
        rows += answer.json()
    assert len({row["path"] for row in rows}) == len(rows)
    assert PROD in {row["path"] for row in rows}


def test_a_missing_folder_is_a_tree_not_found(api: Api) -> None:
    """Section "Tree": 404 Tree Not Found."""
    answer = api.get("/repository/tree", params={"path": "nowhere"})
    assert (answer.status_code, answer.json()["message"]) == (404, "404 Tree Not Found")


def test_compare_is_empty_towards_an_ancestor(source: Api) -> None:
    """Section "compare": a rollback has an empty changelog unless the ends are swapped."""
    source.commit("dev", "note.txt", "x\n", action="create")
    forth = source.get("/repository/compare", params={"from": "main", "to": "dev"}).json()
    back = source.get("/repository/compare", params={"from": "dev", "to": "main"}).json()
    assert fixture("api-compare").keys() <= forth.keys()
    assert [row["title"] for row in forth["commits"]] == ["Change note.txt"]
    assert [row["new_path"] for row in forth["diffs"]] == ["note.txt"]
    assert (back["commits"], back["diffs"], back["commit"]) == ([], [], None)


def test_a_branch_is_made_once(api: Api) -> None:
    """Section "Branches and tags": 400 Branch already exists; DELETE 204."""
    assert api.post("/repository/branches", params={"branch": "a/b", "ref": "main"}).status_code == 201
    again = api.post("/repository/branches", params={"branch": "a/b", "ref": "main"})
    assert (again.status_code, again.json()["message"]) == (400, "Branch already exists")
    assert api.get("/repository/branches/a%2Fb").json()["protected"] is False
    assert api.delete("/repository/branches/a%2Fb").status_code == 204
    assert api.get("/repository/branches/a%2Fb").status_code == 404


def test_tags_sort_by_version_and_know_their_commit(source: Api) -> None:
    """Section "Branches and tags": order_by=version; target is the tag object of an annotated tag."""
    for name in ("v1.10.0", "v1.9.0", "v1.10.0-rc1"):
        assert source.post("/repository/tags", json={"tag_name": name, "ref": "main"}).status_code == 201
    rows = source.get("/repository/tags", params={"order_by": "version", "search": "^v1"}).json()
    assert [row["name"] for row in rows] == ["v1.10.0", "v1.10.0-rc1", "v1.9.0", "v1.0.0"]
    annotated = rows[-1]
    assert annotated["target"] != annotated["commit"]["id"]
    assert annotated["message"] == "First release"
    again = source.post("/repository/tags", json={"tag_name": "v1.9.0", "ref": "main"})
    assert (again.status_code, again.json()["message"]) == (400, "Tag v1.9.0 already exists")


def test_tokens_decide_what_may_be_done(box: InThread) -> None:
    """api-errors.json: 401 for a bad token, 403 for a scope, 403 for a role, 404 for the anonymous."""
    with Api(box, "wrong") as api:
        assert (api.get("").status_code, api.get("").json()) == (401, {"message": "401 Unauthorized"})
    with Api(box, "") as api:
        assert (api.get("").status_code, api.get("").json()) == (404, {"message": "404 Project Not Found"})
    with Api(box, invented.GITLAB_READER_TOKEN) as api:
        answer = api.commit("dev", "README.md", "x")
        assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
        assert api.get("").status_code == 200
    with Api(box, invented.GITLAB_PERSON_TOKEN) as api:
        assert (api.get("/hooks").status_code, api.get("/hooks").json()) == (
            403,
            {"message": "403 Forbidden"},
        )


def test_a_bearer_token_does_as_well_and_describes_itself(box: InThread) -> None:
    """Section "Tokens": Authorization: Bearer; GET /personal_access_tokens/self."""
    url = f"{box.urls['gitlab']}/api/v4/personal_access_tokens/self"
    body = httpx.get(url, headers={"Authorization": f"Bearer {invented.GITLAB_TOKEN}"}, verify=False).json()
    assert body["scopes"] == ["api"]
    assert body["active"] is True
    assert "expires_at" in body


@pytest.mark.parametrize(
    ("shape", "kind", "text"),
    [("rack", "text/plain", "Retry later"), ("api", "application/json", "requested too many times")],
)
def test_both_shapes_of_429_occur(box: InThread, api: Api, shape: str, kind: str, text: str) -> None:
    """Section "Pagination and rate limits": rack's plain text and the application's JSON."""
    fault = {"vendor": "gitlab", "status": 429, "count": 1, "retry_after": 7, "shape": shape}
    box.world.faults["errors"] = [fault]
    answer = api.get("")
    assert answer.status_code == 429
    assert answer.headers["content-type"].startswith(kind)
    assert answer.headers["retry-after"] == "7"
    assert text in answer.text
    assert api.get("").status_code == 200


def test_the_answer_of_a_write_that_happened_can_be_lost(box: InThread, api: Api) -> None:
    """Section "Commits", retry rule: after a dropped connection the commit may be there."""
    before = api.tip("dev")
    fault = {"vendor": "gitlab", "status": 0, "count": 1, "match": "POST /repository/commits", "after": True}
    box.world.faults["errors"] = [fault]
    with pytest.raises(httpx.RemoteProtocolError):
        api.commit("dev", "README.md", "x\n")
    rows = api.get("/repository/commits", params={"ref_name": f"{before}..dev"}).json()
    assert [row["title"] for row in rows] == ["Change README.md"]


def test_python_gitlab_works_unchanged(python_gitlab: gitlab.Gitlab) -> None:
    """The client library walks projects, files, commits, compare, tags and hooks."""
    project = python_gitlab.projects.get(MANIFEST)
    assert b"1.0.0" in project.files.get(PROD, ref="main").decode()
    actions = [{"action": "update", "file_path": "README.md", "content": "new\n"}]
    commit = project.commits.create(
        {"branch": "dev", "commit_message": "From the library", "actions": actions}
    )
    assert project.commits.list(ref_name="main..dev", get_all=True)[0].id == commit.id
    compared: Any = project.repository_compare("main", "dev")
    assert compared["commits"][0]["id"] == commit.id
    assert project.branches.get("dev").commit["id"] == commit.id
    assert len(project.repository_tree(recursive=True, iterator=False, get_all=True)) > 8
    assert [tag.name for tag in python_gitlab.projects.get(SOURCE).tags.list(get_all=True)] == ["v1.0.0"]
    assert {hook.alert_status for hook in project.hooks.list(get_all=True)} == {"executable"}
    assert [row.path for row in python_gitlab.projects.list(get_all=True)] == [
        "flask-k8s-example",
        "flask-k8s-manifest",
    ]
    with pytest.raises(gitlab.exceptions.GitlabGetError) as caught:
        project.files.get("nothing", ref="main")
    assert caught.value.response_code == 404
    assert caught.value.error_message == "404 File Not Found"
