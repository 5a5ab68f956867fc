"""Writing one commit: what it holds, and what happens when others write too."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from integrations.errors import Conflict, NotFound, Rejected, Unavailable
from integrations.git import Mirror
from tests.gitserver import HttpServer
from tests.integrations.git.conftest import ADA, FILES, PROD, WHEN, Project, write

NEW = {PROD: b"image: app:1.1.0 # pinned\n"}


def test_a_commit_changes_exactly_its_files(everywhere: Project) -> None:
    mirror = everywhere.mirror()
    base = mirror.tip("main")
    made = write(mirror, base, NEW)
    assert made.id == everywhere.bare.tip()
    assert made.parent_ids == (base,)
    changed = everywhere.bare.git("diff-tree", "-r", "--name-status", base, made.id)
    assert changed == f"M\t{PROD}"
    assert everywhere.bare.show(PROD) == NEW[PROD].decode()
    form = "%an <%ae> %ai / %cn <%ce> %ci"
    assert everywhere.bare.log(form=form)[0] == (
        "Ada Ödegård <ada@example.com> 2026-05-04 12:30:00 +0000"
        " / Slipway <slipway@example.com> 2026-05-04 12:30:00 +0000"
    )
    assert everywhere.bare.git("fsck", "--strict") == ""


def test_modes_stay_and_new_files_and_folders_are_plain(project: Project) -> None:
    mirror = project.mirror()
    made = write(mirror, mirror.tip("main"), {"bin/run.sh": b"2", "new/deep/file.yml": b"3", "bin/b": b""})
    modes = {entry.path: entry.mode for entry in mirror.entries(made.id, recursive=True)}
    assert modes["bin/run.sh"] == "100755"
    assert modes["new/deep/file.yml"] == modes["bin/b"] == "100644"
    assert set(FILES) < set(modes)
    assert project.bare.git("fsck", "--strict") == ""


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("link", "symbolic link"),
        ("folder-link/deployment.yml", "symbolic link"),
        ("module", "submodule"),
        ("module/file", "submodule"),
        ("base", "folder"),
        ("README.md/below", "file"),
        ("../outside", "not a path"),
        ("a/.git/config", "not a path"),
        ("/etc/passwd", "not a path"),
        ("a//b", "not a path"),
    ],
)
def test_nothing_is_written_through_links_submodules_or_out_of_the_tree(
    project: Project, path: str, why: str
) -> None:
    project.bare.commit(
        {"link": PROD, "folder-link": "overlays/prod"}, modes={"link": "120000", "folder-link": "120000"}
    )
    module = f"160000,{'a' * 40},module"
    project.bare.git("read-tree", "main")
    project.bare.git("update-index", "--add", "--cacheinfo", module)
    tree = project.bare.git("write-tree")
    commit = project.bare.git("commit-tree", "-p", "main", "-m", "module", tree)
    project.bare.git("update-ref", "refs/heads/main", commit)
    mirror = project.mirror()
    with pytest.raises(Rejected, match=why):
        write(mirror, mirror.tip("main"), {path: b"x"})
    assert project.bare.tip() == commit


def test_a_moved_tip_is_a_conflict_and_the_strangers_commit_stays(everywhere: Project) -> None:
    mirror = everywhere.mirror()
    base = mirror.tip("main")
    stranger = everywhere.bare.commit({"README.md": "by hand"}, "By hand")
    with pytest.raises(Conflict):
        write(mirror, base, NEW)
    assert everywhere.bare.tip() == stranger
    made = write(mirror, mirror.tip("main"), NEW)
    assert made.parent_ids == (stranger,)
    assert everywhere.bare.show("README.md") == "by hand"


def test_a_branch_deleted_meanwhile_is_a_conflict(project: Project) -> None:
    mirror = project.mirror()
    base = mirror.tip("main")
    project.bare.git("update-ref", "-d", "refs/heads/main")
    with pytest.raises(Conflict):
        write(mirror, base, NEW)
    assert project.bare.tip() == ""


def test_a_new_branch_starts_at_any_commit_even_when_every_branch_moved(project: Project) -> None:
    mirror = project.mirror()
    base = mirror.tip("main")
    project.bare.commit({"README.md": "moved on"}, "By hand")
    made = write(mirror, base, NEW, branch="slipway/app-prod", new_branch=True)
    assert project.bare.tip("slipway/app-prod") == made.id
    assert made.parent_ids == (base,)
    with pytest.raises(Conflict):
        write(mirror, base, {PROD: b"other"}, branch="slipway/app-prod", new_branch=True)
    assert project.bare.tip("slipway/app-prod") == made.id


def test_the_first_commit_of_an_empty_repository(project: Project) -> None:
    project.bare.git("update-ref", "-d", "refs/heads/main")
    mirror = project.mirror()
    with pytest.raises(NotFound):
        mirror.tip("main")
    made = write(mirror, None, {"a/b.yml": b"1"}, new_branch=True)
    assert made.parent_ids == ()
    assert mirror.tip("main") == made.id
    assert mirror.commit(made.id).paths == ("a/b.yml",)


def test_a_commit_that_changes_nothing_is_refused(project: Project) -> None:
    mirror = project.mirror()
    tip = mirror.tip("main")
    with pytest.raises(Rejected, match="nothing to commit"):
        write(mirror, tip, {PROD: FILES[PROD].encode()})
    with pytest.raises(Rejected, match="needs a message"):
        write(mirror, tip, NEW, message="")


def test_a_hook_refuses_with_its_own_words(everywhere: Project) -> None:
    everywhere.bare.hook("pre-receive", "echo 'GitLab: main is protected, ask Rita.' >&2; exit 1")
    mirror = everywhere.mirror()
    base = mirror.tip("main")
    with pytest.raises(Rejected, match=r"refused the change to main: GitLab: main is protected, ask Rita\.$"):
        write(mirror, base, NEW)
    assert everywhere.bare.tip() == base


def test_a_hook_that_speaks_of_rights_or_locks_still_is_a_refusal(project: Project) -> None:
    project.bare.hook("update", "echo 'You are not allowed to push: cannot lock ref, 404' >&2; exit 1")
    mirror = project.mirror()
    with pytest.raises(Rejected, match="not allowed to push"):
        write(mirror, mirror.tip("main"), NEW)


def test_a_push_whose_answer_is_lost_is_found_by_its_trailer(project: Project, well: HttpServer) -> None:
    base = project.mirror().tip("main")
    project.mirror().read(base, PROD)
    well.deaf.add("git-receive-pack")
    with pytest.raises(Unavailable):
        write(project.mirror(timeout=2), base, NEW)
    well.deaf.clear()
    found = project.mirror().find_commit_by_trailer("main", base, "Promotion-Id", "7")
    assert found is not None
    assert found.id == project.bare.tip()
    assert project.bare.log() == ["Promote app to 1.1.0", "Start"]


def test_two_processes_copies_do_not_need_to_know_each_others_commits(
    project: Project, tmp_path: Path
) -> None:
    one, other = project.mirror(), project.mirror(cache=tmp_path / "other")
    made = write(one, one.tip("main"), NEW)
    assert write(other, made.id, {PROD: b"image: app:1.2.0\n"}).parent_ids == (made.id,)


def _promote(mirror: Mirror, number: int, conflicts: list[int]) -> None:
    """One promotion as the product does it: a conflict means read again, edit again."""
    for _ in range(60):
        tip = mirror.tip("main")
        old = mirror.read(tip, f"app{number}.yml")
        try:
            message = f"Promote {number}\n\nPromotion-Id: {number}\n"
            write(mirror, tip, {f"app{number}.yml": old + b"new\n"}, message=message)
            return
        except Conflict:
            conflicts.append(number)
    raise AssertionError(f"promotion {number} never landed")


def test_every_promotion_lands_once_while_a_stranger_pushes_too(project: Project) -> None:
    """Scenario F, made small: many to one branch at the same moment, none lost, none repeated."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    project.bare.commit({f"app{number}.yml": "old\n" for number in range(6)}, "Apps")
    stranger = project.mirror(cache=project.cache.parent / "stranger")
    conflicts: list[int] = []
    over = threading.Event()

    def push_strangely() -> list[str]:
        done: list[str] = []
        while not over.is_set() and len(done) < 5:
            try:
                path = f"by-hand-{random.Random(seed).random()}-{len(done)}"
                done.append(write(stranger, stranger.tip("main"), {path: b"x"}, message="By hand").id)
            except Conflict:
                continue
        return done

    mirror = project.mirror()
    with ThreadPoolExecutor(7) as pool:
        strange = pool.submit(push_strangely)
        jobs = [pool.submit(_promote, mirror, number, conflicts) for number in range(6)]
        for job in jobs:
            job.result(90)
        over.set()
        kept = strange.result(30)
    ids = project.bare.log(form="%(trailers:key=Promotion-Id,valueonly,separator=)")
    assert sorted(filter(None, ids)) == [str(number) for number in range(6)]
    assert set(kept) <= set(project.bare.log(form="%H"))
    assert len(project.bare.log()) == 2 + 6 + len(kept)
    assert all(project.bare.show(f"app{number}.yml") == "old\nnew" + "\n" for number in range(6))


def test_the_author_may_live_in_any_time_zone(project: Project) -> None:
    mirror = project.mirror()
    made = write(mirror, mirror.tip("main"), NEW)
    assert made.authored_at == WHEN
    assert made.author_name == ADA.name
