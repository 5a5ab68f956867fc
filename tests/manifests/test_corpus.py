"""Every manifest of the corpus changes in exactly the line that its author expects."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from promotions.manifests import compute_change
from promotions.manifests.tree import MemoryTree
from tests.manifests.corpus import Case, cases

CASES = cases()


def line_changes(before: dict[str, bytes], after: dict[str, bytes]) -> str:
    """The changed lines as `path:line`, `-old`, `+new`; computed without the product's own diff."""
    said = ""
    for path, data in sorted(after.items()):
        old, new = before[path].split(b"\n"), data.split(b"\n")
        assert len(old) == len(new)
        for number, (left, right) in enumerate(zip(old, new, strict=True), 1):
            if left != right:
                shown = [
                    each.removesuffix(b"\r").removeprefix(b"\xef\xbb\xbf").decode() for each in (left, right)
                ]
                said += f"{path}:{number}\n-{shown[0]}\n+{shown[1]}\n"
    return said


def shown(line: bytes) -> str:
    return line.removesuffix(b"\r").removeprefix(b"\xef\xbb\xbf").decode()


def test_the_corpus_has_at_least_120_cases() -> None:
    assert len(CASES) >= 120


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_exactly_the_expected_line_changes(case: Case) -> None:
    change = case.change()
    assert line_changes(case.files, dict(change.files)) == case.expected
    assert {edit.file for edit in change.edits} == set(change.files)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_places_are_of_the_expected_kind(case: Case) -> None:
    assert {each.kind.value for each in case.references()} == set(case.head["kind"].split())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_second_change_to_the_same_version_is_empty(case: Case) -> None:
    change = case.change()
    tree = MemoryTree({**case.files, **change.files})
    again = Case(case.name, case.head, {**case.files, **change.files}, "")
    assert compute_change(tree, again.references(), case.image, case.target).edits == ()


def test_git_applies_every_diff(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for number, case in enumerate(CASES):
        folder = tmp_path / str(number)
        for path, data in case.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        change = case.change()
        command = ["git", "apply", f"--directory={number}", "-"]
        subprocess.run(command, cwd=tmp_path, input=change.diff.encode(), check=True)
        for path, data in change.files.items():
            assert (folder / path).read_bytes() == data, case.name
