"""Manifest repositories read over HTTP: what a search sees, and how much it asks for.

Reference gitlab-api.md, "Files, tree, compare": 100 entries a page, a file's mode in no answer but a list.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from integrations import git
from integrations.gitlab import GitLabClient
from integrations.gitlab.types import RepositoryFile, TreeEntry
from integrations.sandbox.invented import GITLAB_TOKEN
from integrations.sandbox.server import InThread, Options
from promotions.manifests import MemoryTree, Tree, Unsafe, find_references
from promotions.manifests.tree import folder_index, read_file
from promotions.repositories.git_tree import GitTree
from promotions.repositories.gitlab_tree import GitLabTree
from tests.gitserver import TOKEN, USER, Bare, http_server

PROJECT = "gitlab/flask-k8s-manifest"
WORKLOAD = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    spec:
      containers:
      - name: web
        image: {}:1.0
"""
APP: dict[str, str] = {
    "app/base/deployment.yml": WORKLOAD.format("registry/app"),
    "app/base/kustomization.yml": "resources:\n- deployment.yml\n",
    "app/overlays/prod/kustomization.yml": "resources:\n- ../../base\npatches:\n- path: patch.yml\n",
    "app/overlays/prod/patch.yml": "# prod\n" + WORKLOAD.format("registry/app"),
    "README.md": "hello\n",
}
# More than the 100 entries that GitLab puts on a page.
CROWD = {f"many/app{number:03}.yml": WORKLOAD.format(f"registry/app{number}") for number in range(150)}
_numbers = itertools.count()


class Counting(GitLabClient):
    """Notes what is asked: folders with a final slash, doubled where GitLab goes below; * for all pages."""

    asked: list[str]

    def tree(
        self, project: str, ref: str, path: str = "", *, recursive: bool = True, limit: int | None = None
    ) -> list[TreeEntry]:
        self.asked.append(f"{path}{'//' if recursive else '/'}{'' if limit else '*'}")
        return super().tree(project, ref, path, recursive=recursive, limit=limit)

    def read_file(self, project: str, path: str, ref: str) -> RepositoryFile:
        self.asked.append(path)
        return super().read_file(project, path, ref)


@dataclass
class Project:
    """A branch in the sandbox, read through GitLab's API as by a process that has seen nothing of it."""

    bare: Bare
    client: Counting
    url: str
    cache: Path
    branch: str = field(default_factory=lambda: f"case{next(_numbers)}")

    def commit(self, files: dict[str, str], *, modes: dict[str, str] | None = None) -> str:
        return self.bare.commit(files, branch=self.branch, modes=modes)

    def tree(self, commit: str, root: str) -> GitLabTree:
        self.client.asked = []
        # The branch stands for another GitLab: nothing is shared with what other tests remembered.
        return GitLabTree(self.client, PROJECT, commit, root, source=f"{self.url}/{self.branch}")

    def plain(self, commit: str, root: str) -> GitTree:
        mirror = git.Mirror(self.cache, git.Remote(f"{self.url}/{PROJECT}.git", "oauth2", GITLAB_TOKEN))
        assert mirror.tip(self.branch) == commit
        return GitTree(mirror, commit, root)

    @property
    def asked(self) -> list[str]:
        return self.client.asked


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InThread]:
    with InThread(Options(tmp_path_factory.mktemp("sandbox"))) as running:
        yield running


@pytest.fixture
def project(box: InThread, tmp_path: Path) -> Iterator[Project]:
    client = Counting(box.urls["gitlab"], GITLAB_TOKEN)
    bare = Bare(box.world.data_dir / "repositories" / f"{PROJECT}.git")
    yield Project(bare, client, box.urls["gitlab"], tmp_path / "mirrors")
    client.close()


def found(tree: Tree, root: str, image: str = "registry/app") -> list[str]:
    return [reference.place for reference in find_references(tree, image, root=root)]


def test_an_overlay_is_found_with_one_list_a_folder_and_each_file_once(project: Project) -> None:
    commit = project.commit(APP)
    root = "app/overlays/prod"
    (place,) = found(project.tree(commit, root), root)
    assert place.startswith("app/overlays/prod/patch.yml:")
    assert project.asked == [
        "app/overlays/prod//",
        "app/overlays/prod/kustomization.yml",
        "app/",
        "app/base/",
        "app/base/kustomization.yml",
        "app/base/deployment.yml",
        "app/overlays/prod/patch.yml",
    ]


def test_the_next_look_at_a_commit_asks_nothing_and_a_later_commit_only_what_changed(
    project: Project,
) -> None:
    root, patch = "app/overlays/prod", "app/overlays/prod/patch.yml"
    before = found(project.tree(project.commit(APP), root), root)
    assert found(project.tree(project.bare.tip(project.branch), root), root) == before
    assert project.asked == []
    later = project.commit({patch: APP[patch] + "# by hand\n", "elsewhere.md": "new\n"})
    assert found(project.tree(later, root), root) == before
    # The base is known by the id that the list above it gives.
    assert project.asked == [f"{root}//", "app/", patch]


def test_of_a_branchs_name_nothing_is_remembered_but_contents(project: Project) -> None:
    project.commit(APP)
    assert "new.yml" not in project.tree(project.branch, "app").entries("app/base")
    project.commit({"app/base/new.yml": "a: 1\n"})
    assert "new.yml" in project.tree(project.branch, "app").entries("app/base")


def test_a_stage_that_names_a_file_of_a_large_folder_lists_no_page_of_it(project: Project) -> None:
    commit = project.commit(CROWD)
    root = "many/app077.yml"
    assert len(found(project.tree(commit, root), root, "registry/app77")) == 1
    assert project.asked == [f"{root}//", root]


def test_of_a_large_folder_one_page_is_read_and_then_single_files(project: Project) -> None:
    commit = project.commit(CROWD)
    tree = project.tree(commit, "elsewhere")
    assert tree.entries("many").get("app149.yml") is False
    assert tree.entries("many").get("Chart.yaml") is None
    assert tree.read("many/app149.yml") == CROWD["many/app149.yml"].encode()
    assert project.asked == ["many/", "many/app149.yml", "many/Chart.yaml"]


def test_a_large_folder_is_listed_whole_for_who_goes_through_it(project: Project) -> None:
    commit = project.commit({**CROWD, "many/below/deep.yml": "a: 1\n"})
    for root in ("many", "", "elsewhere"):
        names = dict(project.tree(commit, root).entries("many"))
        assert names == {**{path.removeprefix("many/"): False for path in CROWD}, "below": True}


def test_a_symbolic_link_in_a_large_folder_is_seen_although_files_come_without_their_mode(
    project: Project,
) -> None:
    links = {"many/link.yml": "../secret.yml", "many/short.yml": "a: 1"}
    commit = project.commit({**CROWD, **links}, modes={"many/link.yml": "120000"})
    tree = project.tree(commit, "many/link.yml")
    with pytest.raises(Unsafe, match="symbolic link"):
        read_file(tree, "many/link.yml")
    assert read_file(tree, "many/short.yml") == b"a: 1"


def test_every_folder_is_as_git_has_it_however_it_is_read(project: Project) -> None:
    files = {**APP, **CROWD, "app/values/prod.yaml": "a: 1\n", "deep/er/still.yml": "b: 1\n"}
    commit = project.commit(files)
    expected = folder_index(files)
    for root in ("", "app", "app/overlays/prod", "README.md", "many", "nowhere"):
        for tree in (project.tree(commit, root), project.plain(commit, root)):
            seen = {folder: dict(tree.entries(folder)) for folder in [*expected, "nowhere", "README.md"]}
            assert seen == {**expected, "nowhere": {}, "README.md": {}}, (root, tree)
            assert [bool(tree.entries(each)) for each in ("app", "nowhere", "README.md")] == [
                True,
                False,
                False,
            ]
            assert len(tree.entries("many")) == len(CROWD)


@pytest.mark.parametrize("root", ["app/overlays/prod", "app", "app/base/deployment.yml", ""])
def test_a_search_finds_over_http_what_it_finds_in_memory(project: Project, root: str) -> None:
    commit = project.commit(APP)
    expected = found(MemoryTree({path: text.encode() for path, text in APP.items()}), root)
    assert expected
    assert found(project.tree(commit, root), root) == expected
    assert found(project.plain(commit, root), root) == expected


def test_plain_git_goes_through_a_large_folder_with_few_fetches(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    with http_server(tmp_path / "served") as server:
        commit = server.make("crowd").commit(CROWD)
        mirror = git.Mirror(tmp_path / "mirrors", git.Remote(server.url("crowd"), USER, TOKEN))
        assert mirror.tip("main") == commit
        before = len(server.requests)
        assert GitTree(mirror, commit, "many").read("many/app077.yml")
        once = len(server.requests) - before
        assert len(found(GitTree(mirror, commit, "many"), "many", "registry/app3")) == 1
        # One file, then 60, then the rest: three fetches for 150 files.
        assert len(server.requests) - before <= 4 * once


def test_a_file_that_is_not_there_is_told_as_such(project: Project) -> None:
    commit = project.commit({**APP, **CROWD})
    for tree in (project.tree(commit, "app"), project.plain(commit, "app")):
        for path in ("app/none.yml", "many/none.yml", "app/base", "none/none.yml"):
            with pytest.raises(KeyError):
                tree.read(path)
            assert not tree.is_symlink(path)


def test_a_place_named_with_its_file_is_found_without_going_through_its_neighbours(project: Project) -> None:
    commit = project.commit({**APP, **CROWD})
    root = "app/overlays/prod"
    place = "many/app003.yml:spec.template.spec.containers[0].image"
    tree = project.tree(commit, root)
    assert place in [
        each.place for each in find_references(tree, "registry/app3", root=root, extra_paths=[place])
    ]
    assert project.asked.count("many/") == 1
