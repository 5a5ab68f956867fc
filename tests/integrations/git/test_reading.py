"""Reading a repository: tips, folders, files, history."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from integrations.errors import NotFound, Rejected
from integrations.git import Mirror, Remote
from tests.gitserver import HttpServer
from tests.integrations.git.conftest import FILES, PROD, Project, write


def blobs_here(project: Project) -> int:
    """How many files' contents the local copy holds."""
    command = ["git", f"--git-dir={project.copy}", "cat-file", "--batch-all-objects", "--batch-check"]
    listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return sum(" blob " in line for line in listed.splitlines())


def test_files_folders_and_modes_are_read_at_a_commit(everywhere: Project) -> None:
    mirror = everywhere.mirror()
    tip = mirror.tip("main")
    assert tip == everywhere.bare.tip()
    assert [(e.path, e.type, e.mode) for e in mirror.entries(tip)] == [
        ("README.md", "blob", "100644"),
        ("base", "tree", "040000"),
        ("bin", "tree", "040000"),
        ("overlays", "tree", "040000"),
    ]
    assert [(e.path, e.name, e.mode) for e in mirror.entries(tip, "bin")] == [
        ("bin/run.sh", "run.sh", "100755")
    ]
    below = mirror.entries(tip, "overlays", recursive=True)
    assert [e.path for e in below] == ["overlays/prod", PROD]
    assert mirror.read_many(tip, list(FILES)) == {path: text.encode() for path, text in FILES.items()}


def test_only_the_files_that_are_read_are_fetched(project: Project) -> None:
    """Reference measurements.md, "Git": the mirror is blobless."""
    mirror = project.mirror()
    tip = mirror.tip("main")
    mirror.entries(tip, recursive=True)
    assert blobs_here(project) == 0
    assert mirror.read(tip, PROD) == FILES[PROD].encode()
    assert blobs_here(project) == 1
    write(mirror, tip, {PROD: b"image: app:1.1.0\n"})
    assert blobs_here(project) == 2


def test_several_files_come_in_one_fetch_and_then_from_here(project: Project, well: HttpServer) -> None:
    mirror = project.mirror()
    tip = mirror.tip("main")
    well.requests.clear()
    mirror.read_many(tip, list(FILES))
    assert len([each for each in well.requests if each.startswith("POST")]) == 1
    well.requests.clear()
    mirror.read_many(tip, list(FILES))
    assert well.requests == []


@pytest.mark.parametrize("path", ["overlays/prod/ünïcode – mit Leerzeichen.yml", 'a "quoted" \ttab.yml'])
def test_any_name_can_be_read_and_written(project: Project, path: str) -> None:
    project.bare.commit({path.replace('"', '\\"').replace("\t", "\\t"): "a: 1\n"})
    mirror = project.mirror()
    tip = mirror.tip("main")
    assert mirror.read(tip, path) == b"a: 1\n"
    made = write(mirror, tip, {path: b"a: 2\n"})
    assert made.paths == (path,)
    assert project.bare.show(path) == "a: 2\n"


def test_what_does_not_exist_is_not_found(project: Project) -> None:
    mirror = project.mirror()
    tip = mirror.tip("main")
    for act in (
        lambda: mirror.tip("nowhere"),
        lambda: mirror.read(tip, "overlays/none.yml"),
        lambda: mirror.read(tip, "none/none.yml"),
        lambda: mirror.read(tip, "overlays"),
        lambda: mirror.entries(tip, "none"),
        lambda: mirror.entries(tip, "README.md"),
        lambda: mirror.entries("f" * 40),
        lambda: mirror.entries("main"),
        lambda: mirror.commits("f" * 40, tip),
    ):
        with pytest.raises(NotFound):
            act()


def test_a_deleted_branch_is_not_found_and_a_folder_may_take_its_name(project: Project) -> None:
    mirror = project.mirror()
    project.bare.git("branch", "feature", "main")
    mirror.tip("feature")
    project.bare.git("branch", "-D", "feature")
    with pytest.raises(NotFound):
        mirror.tip("feature")
    project.bare.git("branch", "feature/two", "main")
    assert mirror.tip("feature/two") == project.bare.tip()


def test_a_rewritten_branch_is_followed(project: Project) -> None:
    mirror = project.mirror()
    old = mirror.tip("main")
    project.bare.git("update-ref", "-d", "refs/heads/main")
    new = project.bare.commit({"other": "1"}, "Fresh start")
    assert mirror.tip("main") == new
    assert not mirror.is_ancestor(old, new)


def test_commits_tell_who_changed_what_newest_first(project: Project) -> None:
    mirror = project.mirror()
    base = mirror.tip("main")
    project.bare.commit({"README.md": "changed", "new file": "1"}, "By hand")
    ours = write(mirror, mirror.tip("main"), {PROD: b"image: app:1.1.0\n"})
    found = mirror.commits(base, mirror.tip("main"))
    assert [(c.title, c.paths) for c in found] == [
        ("Promote app to 1.1.0", (PROD,)),
        ("By hand", ("README.md", "new file")),
    ]
    assert found[0] == ours
    assert (found[0].author_name, found[0].committer_email) == ("Ada Ödegård", "slipway@example.com")
    assert found[0].authored_at.utcoffset() == timedelta(0)
    assert found[1].author_name == "Stranger"


def test_a_merge_shows_what_it_brought(project: Project) -> None:
    mirror = project.mirror()
    base = mirror.tip("main")
    side = project.bare.commit({"side": "1"}, "Side", branch="side")
    other = project.bare.git("commit-tree", "-p", base, "-p", side, "-m", "Merge", f"{side}^{{tree}}")
    project.bare.git("update-ref", "refs/heads/main", other)
    merged = mirror.commit(mirror.tip("main"))
    assert merged.parent_ids == (base, side)
    assert "side" in merged.paths


def test_ancestors_are_told_from_strangers(project: Project) -> None:
    mirror = project.mirror()
    base = mirror.tip("main")
    project.bare.commit({"README.md": "2"})
    tip = mirror.tip("main")
    assert mirror.is_ancestor(base, tip)
    assert mirror.is_ancestor(tip, tip)
    assert not mirror.is_ancestor(tip, base)


def test_a_trailer_finds_our_commit_whoever_wrote_after_it(project: Project) -> None:
    mirror = project.mirror()
    base = mirror.tip("main")
    ours = write(mirror, base, {PROD: b"image: app:1.1.0\n"})
    project.bare.commit({"README.md": "2"}, "By hand")
    found = mirror.find_commit_by_trailer("main", base, "promotion-id", "7")
    assert found is not None
    assert found.id == ours.id
    assert mirror.find_commit_by_trailer("main", ours.id, "Promotion-Id", "7") is None
    assert mirror.find_commit_by_trailer("main", base, "Promotion-Id", "77") is None


@pytest.mark.parametrize(
    "message",
    [
        "Look\n\nPromotion-Id: 7\n\nThat line above is only quoted in the text.\n",
        "Look at Promotion-Id: 7",
        "Look\n\nPromotion-Id: 77\n",
        "Look\n\n> Promotion-Id: 7 was there,\nand so was more text\nand more\nand more of it.\n",
        "Look\n\nOther: Promotion-Id: 7\n",
    ],
)
def test_a_trailer_quoted_in_a_message_is_not_ours(project: Project, message: str) -> None:
    mirror = project.mirror()
    base = mirror.tip("main")
    project.bare.commit({"README.md": "2"}, message)
    assert mirror.find_commit_by_trailer("main", base, "Promotion-Id", "7") is None


def test_one_commit_may_carry_several_promotions(project: Project) -> None:
    mirror = project.mirror()
    base = mirror.tip("main")
    ours = write(mirror, base, {PROD: b"2"}, message="Two\n\nPromotion-Id: 7\nPromotion-Id: 8\n")
    assert ours.trailer("Promotion-Id") == ("7", "8")
    for value in ("7", "8"):
        found = mirror.find_commit_by_trailer("main", base, "Promotion-Id", value)
        assert found is not None
        assert found.id == ours.id


def test_the_trailer_is_found_where_the_base_is_gone(project: Project) -> None:
    mirror = project.mirror()
    ours = write(mirror, mirror.tip("main"), {PROD: b"2"})
    found = mirror.find_commit_by_trailer("main", "f" * 40, "Promotion-Id", "7")
    assert found is not None
    assert found.id == ours.id


def test_a_server_that_refuses_filters_is_fetched_in_full(project: Project) -> None:
    project.bare.git("config", "uploadpackfilter.allow", "false")
    mirror = project.mirror()
    tip = mirror.tip("main")
    assert mirror.read(tip, PROD) == FILES[PROD].encode()
    assert blobs_here(project) == len(FILES)


def test_a_server_without_filters_is_fetched_in_full(project: Project) -> None:
    project.bare.git("config", "uploadpack.allowFilter", "false")
    mirror = project.mirror()
    assert mirror.read(mirror.tip("main"), PROD) == FILES[PROD].encode()
    assert blobs_here(project) == len(FILES)


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% /tmp/owned",
        "file:///srv/git/app.git",
        "/srv/git/app.git",
        "-oProxyCommand=touch /tmp/owned",
        "ssh://-oProxyCommand=touch/app",
        "git@host:-u/app",
        "git://example.com/app.git",
        "https://user:secret@example.com/app.git",
        "https://example.com/a b\n.git",
        "",
    ],
)
def test_addresses_that_could_do_harm_are_refused(url: str) -> None:
    with pytest.raises(Rejected) as refused:
        Remote(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["https://h/a.git", "http://h:80/a", "ssh://git@h:22/a/b.git", "git@h.example:a/b.git", "h:/a"]
)
def test_the_usual_addresses_are_taken(url: str) -> None:
    assert Remote(url).is_ssh == (not url.startswith("http"))


@pytest.mark.parametrize("name", ["-x", "a..b", "a b", "a:b", "+a^", "a.lock", "/a", "a/", "", "@{1}", "x\n"])
def test_names_that_no_branch_may_have_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Rejected):
        Mirror(tmp_path, Remote("https://127.0.0.1:1/app.git")).tip(name)


def test_a_file_address_works_where_it_is_allowed(project: Project) -> None:
    remote = Remote(f"file://{project.bare.path}", allow_file=True)
    assert Mirror(project.cache, remote).tip("main") == project.bare.tip()
