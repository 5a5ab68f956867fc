"""Hostile and broken input is refused with file, line and cause, in bounded time and memory.

Holds to reference measurements.md, "YAML edits", and to the limits in `parse` and `tree`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from promotions.manifests import (
    AliasRefused,
    DirectoryTree,
    ManifestError,
    MemoryTree,
    NotFound,
    Style,
    Target,
    Unparsable,
    Unsafe,
    apply_edit,
    compute_change,
    find_references,
    insert_key,
)
from promotions.manifests.parse import parse
from promotions.manifests.tree import MAX_FILE_BYTES

IMAGE = "registry.example.com/app"
NEW = Target("2.0", None, Style.TAG)
POD = b"""kind: Pod
apiVersion: v1
spec:
  containers:
    - name: app
      image: registry.example.com/app:1.0
"""


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    # The processor's time: what else the machine does must not decide.
    started = time.process_time()
    yield
    assert time.process_time() - started < 5, "refusing took too long"


def refused(files: dict[str, bytes], kind: type[ManifestError], *, root: str = "a.yaml") -> ManifestError:
    with pytest.raises(kind) as caught:
        find_references(MemoryTree(files), IMAGE, root=root)
    return caught.value


def test_an_alias_bomb_in_a_manifest_is_refused() -> None:
    lines = ["kind: Pod", "apiVersion: v1", "a0: &a0 [registry.example.com/app:1, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    refused({"a.yaml": "\n".join(lines).encode()}, Unsafe)


def test_an_alias_bomb_in_values_is_refused() -> None:
    lines = ["image: registry.example.com/app:1", "a0: &a0 {x: 1, y: 2, z: 3, u: 4, v: 5}"]
    lines += [f"a{n}: &a{n} {{{', '.join(f'k{i}: *a{n - 1}' for i in range(9))}}}" for n in range(1, 12)]
    refused({"a.yaml": "\n".join(lines).encode()}, Unsafe)


def test_a_merge_key_bomb_is_unfolded_in_bounded_time() -> None:
    lines = ["a0: &a0 {image: registry.example.com/app:1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 14)]
    references = find_references(MemoryTree({"a.yaml": "\n".join(lines).encode()}), IMAGE, root="a.yaml")
    assert [each.key_path for each in references] == [f"a{n}.image" for n in range(14)]


def test_an_alias_inside_its_own_anchor_is_refused() -> None:
    error = refused({"a.yaml": b"image: registry.example.com/app:1\nloop: &loop [*loop]\n"}, Unsafe)
    assert error.line == 2


def test_fifty_megabytes_are_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a.yaml").open("wb") as file:
        file.truncate(50 * 1024 * 1024)
    with pytest.raises(Unsafe, match="bytes, more than"):
        find_references(DirectoryTree(tmp_path), IMAGE, root="a.yaml")


def test_a_file_just_over_the_limit_is_refused() -> None:
    refused({"a.yaml": b"# " + b"x" * MAX_FILE_BYTES}, Unsafe)


def test_a_million_values_are_refused() -> None:
    refused({"a.yaml": b"- a\n" * 1_000_000}, Unsafe)


@pytest.mark.parametrize("deep", [b"[" * 200_000, b"{a: " * 100_000, b"- " * 100_000])
def test_deep_nesting_is_refused(deep: bytes) -> None:
    refused({"a.yaml": deep}, Unsafe)


def test_deep_block_nesting_is_refused() -> None:
    refused({"a.yaml": b"".join(b" " * n + b"k:\n" for n in range(500))}, Unsafe)


def test_invalid_utf8_is_refused_with_its_line() -> None:
    error = refused({"a.yaml": POD + b"# \xff\xfe\n"}, Unparsable)
    assert (error.file, error.line) == ("a.yaml", 7)
    assert str(error) == "a.yaml, line 7: is not valid UTF-8 text"


def test_utf16_is_refused() -> None:
    refused({"a.yaml": POD.decode().encode("utf-16")}, Unparsable)


def test_control_characters_are_refused() -> None:
    refused({"a.yaml": POD + b"x: \x01\n"}, Unparsable)


def test_tabs_for_indentation_are_refused_with_the_reason() -> None:
    error = refused({"a.yaml": POD + b"extra:\n\tkey: 1\n"}, Unparsable)
    assert "tabs may not indent YAML" in str(error)
    assert error.line == 8


def test_a_template_is_refused_with_its_line() -> None:
    data = b"{{- if .Values.x }}\n" + POD + b"{{- end }}\n"
    error = refused({"a.yaml": data}, Unparsable)
    assert error.line == 1
    assert "template" in error.cause


@pytest.mark.parametrize("tag", ["{{ .Values.tag }}", "${TAG}", "$(TAG)", "%VERSION%", "<tag>"])
def test_a_variable_in_place_of_the_tag_is_refused(tag: str) -> None:
    data = POD.replace(b"app:1.0", f"app:{tag}".encode())
    error = refused({"a.yaml": data}, Unparsable)
    assert error.line == 6


def test_a_template_that_no_overlay_uses_does_no_harm() -> None:
    files = {
        "base/kustomization.yaml": b"resources: [pod.yaml]\n",
        "base/pod.yaml": POD.replace(b"app:1.0", b"app:${TAG}").replace(
            b"spec:", b"metadata: {name: p}\nspec:"
        ),
        "prod/kustomization.yaml": b"resources: [../base]\n"
        b"images: [{name: registry.example.com/app, newTag: '1'}]\n",
    }
    assert [each.file for each in find_references(MemoryTree(files), IMAGE, root="prod")] == [
        "prod/kustomization.yaml"
    ]


def test_a_key_written_twice_is_refused_with_both_lines() -> None:
    error = refused(
        {"a.yaml": b"image: registry.example.com/app:1\nb: 1\nimage: registry.example.com/app:2\n"},
        Unparsable,
    )
    assert error.line == 3
    assert "first in line 1" in error.cause


def test_an_undefined_alias_is_refused() -> None:
    refused({"a.yaml": b"image: registry.example.com/app:1\nb: *nowhere\n"}, Unparsable)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "..", "a\\b", "x/../../y"])
def test_paths_out_of_the_repository_are_refused(name: str) -> None:
    files = {
        "prod/kustomization.yaml": f"resources:\n  - ok.yaml\n  - '{name}'\n".encode(),
        "prod/ok.yaml": POD,
    }
    if name in {"..", "x/../../y"}:
        files = {key.removeprefix("prod/"): data for key, data in files.items()}
        error = refused(files, Unsafe, root="")
    else:
        error = refused(files, Unsafe, root="prod")
    assert error.line == 3


def test_a_root_out_of_the_repository_is_refused() -> None:
    refused({"a.yaml": POD}, Unsafe, root="../a.yaml")


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_bytes(POD)
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "a.yaml").symlink_to(outside)
    with pytest.raises(Unsafe, match="symbolic link"):
        find_references(DirectoryTree(folder), IMAGE, root="a.yaml")


def test_a_link_to_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.yaml").write_bytes(POD)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(Unsafe, match="symbolic link"):
        DirectoryTree(tmp_path).read("link/a.yaml")


def test_a_link_in_a_git_tree_is_refused() -> None:
    tree = MemoryTree({"a.yaml": b"/etc/passwd"}, symlinks=["a.yaml"])
    with pytest.raises(Unsafe, match="symbolic link"):
        find_references(tree, IMAGE, root="a.yaml")


def test_a_named_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(Unsafe, match="regular file"):
        DirectoryTree(tmp_path).read("a.yaml")


def test_kustomizations_in_a_circle_are_refused() -> None:
    files = {"a/kustomization.yaml": b"resources: [../b]\n", "b/kustomization.yaml": b"resources: [../a]\n"}
    assert "circle" in str(refused(files, Unsafe, root="a"))


def test_a_missing_resource_is_named_with_its_line() -> None:
    error = refused({"a/kustomization.yaml": b"resources:\n  - gone.yaml\n"}, NotFound, root="a")
    assert str(error) == "a/kustomization.yaml, line 2: names the resource 'gone.yaml', which does not exist"


@pytest.mark.parametrize(
    "tag", ["1.0\nevil: true", "1.0 # x", "a b", "", "-x", "1" * 200, '1"', "{a}", "*a", "&a", "latest\r"]
)
def test_a_tag_that_no_registry_accepts_is_never_written(tag: str) -> None:
    tree = MemoryTree({"a.yaml": POD})
    references = find_references(tree, IMAGE, root="a.yaml")
    with pytest.raises(Unsafe):
        compute_change(tree, references, IMAGE, Target(tag, None, Style.TAG))


@pytest.mark.parametrize(
    "digest", ["sha256:xyz", "md5:" + "a" * 64, "sha256:" + "A" * 64, "sha256:" + "a" * 63]
)
def test_a_malformed_digest_is_never_written(digest: str) -> None:
    tree = MemoryTree({"a.yaml": POD})
    references = find_references(tree, IMAGE, root="a.yaml")
    with pytest.raises(Unsafe):
        compute_change(tree, references, IMAGE, Target(None, digest, Style.DIGEST))


@pytest.mark.parametrize(
    "written",
    [
        ">-\n  registry.example.com/app:1.0",
        "|\n  registry.example.com/app:1.0",
        '"registry.example.com/\\x61pp:1.0"',
        '"registry.example.com/\\\n  app:1.0"',
    ],
)
def test_a_scalar_that_is_not_written_in_one_piece_is_refused(written: str) -> None:
    with pytest.raises(Unsafe):
        apply_edit(f"image: {written}\n".encode(), "image", "registry.example.com/app:2.0", file="a.yaml")


def test_a_value_that_would_break_its_quotes_is_refused() -> None:
    with pytest.raises(ManifestError):
        apply_edit(b"a: 'x'\nb: 1\n", "a", "it's\n")


def test_an_alias_into_another_image_is_refused() -> None:
    data = (
        b"web:\n  image: {repository: registry.example.com/app, tag: &tag 1.0}\n"
        b"other:\n  image: {repository: registry.example.com/other, tag: *tag}\n"
    )
    tree = MemoryTree({"values.yaml": data})
    references = find_references(tree, IMAGE, root="values.yaml")
    with pytest.raises(AliasRefused) as caught:
        compute_change(tree, references, IMAGE, NEW)
    assert caught.value.line == 2
    assert "other.image.tag" in str(caught.value)


def test_an_alias_that_stands_as_a_key_is_refused() -> None:
    data = b"image: &image registry.example.com/app:1.0\nseen:\n  *image : true\n"
    tree = MemoryTree({"values.yaml": data})
    references = find_references(tree, IMAGE, root="values.yaml")
    with pytest.raises(AliasRefused):
        compute_change(tree, references, IMAGE, NEW)


def test_one_of_two_uses_of_an_alias_is_refused() -> None:
    data = b"a: {image: &i registry.example.com/app:1.0}\nb: {image: *i}\n"
    tree = MemoryTree({"values.yaml": data})
    references = find_references(tree, IMAGE, root="values.yaml")
    assert len(references) == 2
    with pytest.raises(AliasRefused):
        compute_change(tree, references[:1], IMAGE, NEW)
    assert compute_change(tree, references, IMAGE, NEW).files["values.yaml"] == data.replace(b":1.0", b":2.0")


def test_an_empty_file_and_an_empty_document_are_no_error() -> None:
    assert parse(b"").documents == []
    assert find_references(MemoryTree({"a.yaml": b"---\n---\n"}), IMAGE, root="a.yaml") == []


def test_a_file_with_bare_carriage_returns_is_edited_and_gets_no_key() -> None:
    """YAML takes a bare CR for a line end and Git does not: a new line would not be one for both."""
    data = b"image:\r  tag: v1\rother: 1\r"
    assert apply_edit(data, "image.tag", "v2") == data.replace(b"v1", b"v2")
    with pytest.raises(ManifestError):
        insert_key(data, "image.digest", "x")
