"""JSON6902 patches that test, copy and move images: RFC 6902 as Kustomize applies it."""

from __future__ import annotations

import pytest

from promotions.manifests import (
    Change,
    ManifestError,
    MemoryTree,
    Reference,
    Style,
    Target,
    choose,
    compute_change,
    find_references,
)

IMAGE = "registry.example.com/shop/web"
PATH = "/spec/containers/0/image"
POD = f"""apiVersion: v1
kind: Pod
metadata: {{name: web}}
spec:
  containers:
    - name: web
      image: {IMAGE}:1.0
    - name: helper
      image: docker.io/other/helper:7
""".encode()
KUSTOMIZATION = b"resources: [pod.yaml]\npatches:\n- path: patch.yaml\n  target: {kind: Pod}\n"


def files(*operations: str, kustomization: bytes = KUSTOMIZATION) -> dict[str, bytes]:
    patch = "".join(f"- {{{each}}}\n" for each in operations).encode()
    return {"kustomization.yaml": kustomization, "pod.yaml": POD, "patch.yaml": patch}


def found(*operations: str, kustomization: bytes = KUSTOMIZATION) -> list[Reference]:
    return find_references(MemoryTree(files(*operations, kustomization=kustomization)), IMAGE)


def changed(*operations: str, style: Style = Style.TAG, kustomization: bytes = KUSTOMIZATION) -> Change:
    tree = MemoryTree(files(*operations, kustomization=kustomization))
    target = Target("2.0", "sha256:" + "b" * 64, style)
    return compute_change(tree, choose(find_references(tree, IMAGE)), IMAGE, target)


def keys(change: Change) -> list[tuple[str, str]]:
    return [(edit.file, edit.key) for edit in change.edits]


def test_a_test_of_the_base_changes_together_with_the_base() -> None:
    """Kustomize does not build where a tested value is another."""
    change = changed(f"op: test, path: {PATH}, value: '{IMAGE}:1.0'")
    assert keys(change) == [
        ("patch.yaml", f"[path={PATH}].value"),
        ("pod.yaml", "spec.containers[name=web].image"),
    ]
    assert {edit.new for edit in change.edits} == {f"{IMAGE}:2.0"}


def test_a_test_behind_a_replace_changes_together_with_it() -> None:
    change = changed(
        f"op: replace, path: {PATH}, value: '{IMAGE}:1.1'", f"op: test, path: {PATH}, value: '{IMAGE}:1.1'"
    )
    assert keys(change) == [("patch.yaml", "[0].value"), ("patch.yaml", "[1].value")]


def test_a_test_before_a_replace_speaks_of_the_base_and_stays() -> None:
    """It holds as long as the base does; changed with the replace, it would break the build."""
    change = changed(
        f"op: test, path: {PATH}, value: '{IMAGE}:1.0'", f"op: replace, path: {PATH}, value: '{IMAGE}:1.1'"
    )
    assert keys(change) == [("patch.yaml", "[1].value")]


def test_a_test_of_a_whole_container_changes_in_its_image() -> None:
    value = f"{{name: web, image: '{IMAGE}:1.0'}}"
    change = changed(f"op: test, path: /spec/containers/0, value: {value}")
    assert keys(change)[0] == ("patch.yaml", "[path=/spec/containers/0].value.image")


def test_a_test_before_images_stays() -> None:
    """Kustomize applies `images:` after the patches."""
    kustomization = KUSTOMIZATION + f"images: [{{name: {IMAGE}, newTag: '1.5'}}]\n".encode()
    change = changed(f"op: test, path: {PATH}, value: '{IMAGE}:1.0'", kustomization=kustomization)
    assert [edit.file for edit in change.edits] == ["kustomization.yaml"]


def test_a_test_follows_the_images_of_the_base_below() -> None:
    base = b"resources: [../pod.yaml]\nimages: [{name: " + IMAGE.encode() + b", newTag: '1.5'}]\n"
    tree = MemoryTree(
        {
            **files(
                f"op: test, path: {PATH}, value: '{IMAGE}:1.5'",
                kustomization=KUSTOMIZATION.replace(b"pod.yaml", b"base"),
            ),
            "base/kustomization.yaml": base,
        }
    )
    references = choose(find_references(tree, IMAGE))
    change = compute_change(
        tree, references, IMAGE, Target("2.0", "sha256:" + "b" * 64, Style.TAG_AND_DIGEST)
    )
    assert [(edit.file, edit.new) for edit in change.edits] == [
        ("base/kustomization.yaml", "sha256:" + "b" * 64),
        ("base/kustomization.yaml", "2.0"),
        ("patch.yaml", f"{IMAGE}:2.0@sha256:" + "b" * 64),
    ]


def test_a_test_that_fails_already_is_told() -> None:
    with pytest.raises(ManifestError, match=r"patch\.yaml, line 1: tests for .*:0\.9, but .*:1\.0 stands"):
        found(f"op: test, path: {PATH}, value: '{IMAGE}:0.9'")


REMOTE = KUSTOMIZATION.replace(b"pod.yaml", b"https://example.com/base")


def test_a_test_alone_over_a_remote_base_is_refused() -> None:
    with pytest.raises(ManifestError, match=r"patch\.yaml, line 1: .*not in this repository"):
        found(f"op: test, path: {PATH}, value: '{IMAGE}:1.0'", kustomization=REMOTE)


def test_over_a_remote_base_images_decide_whatever_is_tested() -> None:
    kustomization = REMOTE + f"images: [{{name: {IMAGE}, newTag: '1.5'}}]\n".encode()
    (reference,) = found(f"op: test, path: {PATH}, value: '{IMAGE}:1.0'", kustomization=kustomization)
    assert reference.file == "kustomization.yaml"


@pytest.mark.parametrize("operation", ["copy", "move"])
def test_a_copied_image_is_decided_where_it_came_from(operation: str) -> None:
    (reference,) = found(f"op: {operation}, from: {PATH}, path: /spec/containers/1/image")
    assert reference.place == "pod.yaml:spec.containers[name=web].image"


def test_a_copied_container_is_decided_where_it_came_from() -> None:
    references = found("op: copy, from: /spec/containers/0, path: /spec/containers/-")
    assert [each.file for each in references] == ["pod.yaml"]


def test_an_overwritten_image_no_longer_decides() -> None:
    assert found(f"op: copy, from: /spec/containers/1/image, path: {PATH}") == []


def test_a_copy_from_a_label_is_refused_with_its_line() -> None:
    with pytest.raises(ManifestError, match=r"patch\.yaml, line 2: sets /spec/containers/0/image from /meta"):
        found("op: remove, path: /a", f"op: copy, from: /metadata/labels/image, path: {PATH}")


def test_an_added_container_is_counted_behind_the_others() -> None:
    references = found(
        f"op: add, path: /spec/containers/-, value: {{name: new, image: '{IMAGE}:3'}}",
        f"op: replace, path: /spec/containers/2/image, value: '{IMAGE}:4'",
    )
    assert [each.tag for each in references] == ["1.0", "4"]


def test_a_strategic_patch_after_a_copy_meets_the_right_container() -> None:
    kustomization = KUSTOMIZATION + (
        f"- patch: |\n    apiVersion: v1\n    kind: Pod\n    metadata: {{name: web}}\n    spec:\n"
        f"      containers:\n        - {{name: web, image: '{IMAGE}:5'}}\n"
    ).encode()  # fmt: skip
    references = found(f"op: copy, from: {PATH}, path: /spec/containers/1/image", kustomization=kustomization)
    assert [each.tag for each in references] == ["5", "1.0"]
