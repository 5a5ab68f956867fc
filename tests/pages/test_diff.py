"""The diff as a table: pure, without a database."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from promotions.present.diff import parse_diff
from tests.cast import DIFF


def test_lines_are_numbered_on_both_sides() -> None:
    (file,) = parse_diff(DIFF)
    assert file.path == "overlays/prod/deployment.yml"
    removed = next(line for line in file.lines if line.kind == "removed")
    added = next(line for line in file.lines if line.kind == "added")
    after = file.lines[file.lines.index(added) + 1]
    assert (removed.old, removed.new) == (13, None)
    assert (added.old, added.new) == (None, 13)
    assert (after.old, after.new, after.text) == (14, 14, "          ports:")


def test_what_differs_is_marked_as_whole_words() -> None:
    (file,) = parse_diff(DIFF)
    changed = [(line.kind, line.changed) for line in file.lines if line.changed]
    assert changed == [("removed", "1.0.0"), ("added", "1.1.0")]


def test_a_removed_line_of_dashes_is_not_a_file_heading() -> None:
    (file,) = parse_diff("--- a/x.yml\n+++ b/x.yml\n@@ -1,2 +1,1 @@\n--- old\n tail\n")
    assert [(line.kind, line.text) for line in file.lines[1:]] == [("removed", "-- old"), ("same", "tail")]


def test_several_files_and_a_new_one_are_told_apart() -> None:
    text = (
        "--- a/x.yml\n+++ b/x.yml\n@@ -1 +1 @@\n-a\n+b\n"
        "--- /dev/null\n+++ b/new.yml\n@@ -0,0 +1 @@\n+c\n\\ No newline at end of file\n"
    )
    one, two = parse_diff(text)
    assert (one.path, one.added, one.removed) == ("x.yml", 1, 1)
    assert (two.path, two.added, two.removed) == ("new.yml", 1, 0)
    assert two.lines[-1].kind == "note"


@given(
    st.text(st.characters(exclude_characters="\n\r"), max_size=40),
    st.text(st.characters(exclude_characters="\n\r"), max_size=40),
)
def test_cutting_out_words_never_changes_a_line(old: str, new: str) -> None:
    (file,) = parse_diff(f"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-{old}\n+{new}\n")
    assert [line.text for line in file.lines if line.kind in ("removed", "added")] == [old, new]
