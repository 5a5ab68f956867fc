"""The Change: what is found, chosen, refused and written, and what its hash covers."""

from __future__ import annotations

import pytest

from promotions.manifests import (
    Ambiguous,
    Edit,
    Kind,
    ManifestError,
    MemoryTree,
    NotFound,
    Order,
    Style,
    Target,
    Unparsable,
    VerificationFailed,
    apply_edit,
    choose,
    compute_change,
    compute_release,
    current_version,
    disagreement,
    find_references,
)
from promotions.manifests.images import normalise

IMAGE = "registry.example.com/shop/web"
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
VALUES = f"image:\n  repository: {IMAGE}\n  tag: 1.0.0\n".encode()


def tag(version: str) -> Target:
    return Target(version, None, Style.TAG)


def pods(*images: str) -> bytes:
    documents = (
        f"apiVersion: v1\nkind: Pod\nmetadata: {{name: p{number}}}\nspec:\n"
        f"  containers:\n    - name: web\n      image: {image}\n"
        for number, image in enumerate(images)
    )
    return "---\n".join(documents).encode()


def test_the_change_names_file_key_old_and_new() -> None:
    tree = MemoryTree({"values.yaml": VALUES})
    change = compute_change(tree, find_references(tree, IMAGE, root="values.yaml"), IMAGE, tag("1.1.0"))
    assert change.edits == (Edit("values.yaml", "image.tag", "1.0.0", "1.1.0"),)
    assert change.files == {"values.yaml": VALUES.replace(b"1.0.0", b"1.1.0")}
    assert change.diff == (
        "--- a/values.yaml\n+++ b/values.yaml\n@@ -1,3 +1,3 @@\n image:\n"
        f"   repository: {IMAGE}\n-  tag: 1.0.0\n+  tag: 1.1.0\n"
    )


def test_the_hash_does_not_depend_on_the_surroundings() -> None:
    near = MemoryTree({"values.yaml": VALUES})
    moved = MemoryTree({"values.yaml": b"# moved\nreplicas: 3\n" + VALUES, "other.yaml": b"a: 1\n"})
    hashes = {
        compute_change(tree, find_references(tree, IMAGE, root="values.yaml"), IMAGE, tag("1.1.0")).hash
        for tree in (near, moved)
    }
    assert len(hashes) == 1


def test_the_hash_differs_when_the_old_value_does() -> None:
    hashes = set()
    for old in (b"1.0.0", b"1.0.5"):
        tree = MemoryTree({"values.yaml": VALUES.replace(b"1.0.0", old)})
        references = find_references(tree, IMAGE, root="values.yaml")
        hashes.add(compute_change(tree, references, IMAGE, tag("1.1.0")).hash)
    assert len(hashes) == 2


def test_the_same_key_in_two_documents_is_not_the_same_change() -> None:
    tree = MemoryTree({"a.yaml": pods(f"{IMAGE}:1", f"{IMAGE}:1")})
    references = find_references(tree, IMAGE, root="a.yaml")
    first, second = (compute_change(tree, [each], IMAGE, tag("2")) for each in references)
    assert [first.edits[0].key, second.edits[0].key] == [
        "Pod/p0:spec.containers[name=web].image",
        "Pod/p1:spec.containers[name=web].image",
    ]
    assert first.hash != second.hash


def test_documents_without_names_are_told_apart_by_number() -> None:
    tree = MemoryTree({"a.yaml": b"image: nginx:1\n---\nimage: nginx:1\n"})
    change = compute_change(tree, find_references(tree, "nginx", root="a.yaml"), "nginx", tag("2"))
    assert [edit.key for edit in change.edits] == ["#0:image", "#1:image"]


@pytest.mark.parametrize("empty", [b"null", b"~", b'""', b""])
def test_an_empty_tag_is_no_version_and_can_be_filled(empty: bytes) -> None:
    tree = MemoryTree({"values.yaml": VALUES.replace(b"1.0.0", empty)})
    references = find_references(tree, IMAGE, root="values.yaml")
    assert current_version(references) == (None, None, True)
    data = compute_change(tree, references, IMAGE, tag("1.1.0")).files["values.yaml"]
    assert data.replace(b'"', b"").rstrip().endswith(b"tag: 1.1.0")


def test_an_equal_value_gives_no_edit() -> None:
    tree = MemoryTree({"values.yaml": VALUES})
    change = compute_change(tree, find_references(tree, IMAGE, root="values.yaml"), IMAGE, tag("1.0.0"))
    assert (change.edits, dict(change.files), change.diff) == ((), {}, "")


def test_an_equal_text_that_yaml_reads_as_a_number_gets_its_quotes() -> None:
    tree = MemoryTree({"values.yaml": VALUES.replace(b"1.0.0", b"1.10")})
    change = compute_change(tree, find_references(tree, IMAGE, root="values.yaml"), IMAGE, tag("1.10"))
    assert b'tag: "1.10"' in change.files["values.yaml"]


def test_references_found_before_the_tip_moved_still_lead_there() -> None:
    references = find_references(MemoryTree({"values.yaml": VALUES}), IMAGE, root="values.yaml")
    moved = MemoryTree({"values.yaml": b"a: 1\n" + VALUES.replace(b"1.0.0", b"1.0.7")})
    change = compute_change(moved, references, IMAGE, tag("1.1.0"))
    assert change.edits[0].old == "1.0.7"


def test_a_place_that_names_another_image_by_now_is_refused() -> None:
    references = find_references(MemoryTree({"a.yaml": pods(f"{IMAGE}:1")}), IMAGE, root="a.yaml")
    with pytest.raises(NotFound, match="by now"):
        compute_change(MemoryTree({"a.yaml": pods("nginx:1")}), references, IMAGE, tag("2"))


def test_a_place_that_is_gone_is_refused() -> None:
    references = find_references(MemoryTree({"values.yaml": VALUES}), IMAGE, root="values.yaml")
    with pytest.raises(NotFound, match=r"image\.tag"):
        compute_change(MemoryTree({"values.yaml": b"image: {}\n"}), references, IMAGE, tag("2"))


def test_references_of_another_image_are_refused() -> None:
    tree = MemoryTree({"values.yaml": VALUES})
    references = find_references(tree, IMAGE, root="values.yaml")
    with pytest.raises(ManifestError, match="not nginx"):
        compute_change(tree, references, "nginx", tag("2"))


def test_no_place_at_all_is_refused_with_the_image() -> None:
    with pytest.raises(NotFound, match=IMAGE):
        compute_change(MemoryTree({}), [], IMAGE, tag("2"))


def test_an_image_that_nothing_names_is_found_nowhere() -> None:
    assert find_references(MemoryTree({"values.yaml": VALUES}), "nginx", root="values.yaml") == []


def test_a_root_that_does_not_exist_is_refused() -> None:
    with pytest.raises(NotFound):
        find_references(MemoryTree({"values.yaml": VALUES}), IMAGE, root="prod")


def test_several_places_are_an_answer_with_candidates() -> None:
    tree = MemoryTree({"a.yaml": pods(f"{IMAGE}:1", f"{IMAGE}:1", f"{IMAGE}:1")})
    references = find_references(tree, IMAGE, root="a.yaml")
    with pytest.raises(Ambiguous, match="3 places decide") as caught:
        choose(references)
    assert caught.value.candidates == tuple(references)
    assert choose(references, [references[1].place]) == [references[1]]
    assert choose(references, ["*"]) == references


def test_a_chosen_place_that_is_gone_is_refused() -> None:
    references = find_references(MemoryTree({"values.yaml": VALUES}), IMAGE, root="values.yaml")
    with pytest.raises(NotFound, match="any more"):
        choose(references, ["values.yaml:web.tag"])


def test_a_place_can_be_given_back_as_a_named_path() -> None:
    tree = MemoryTree({"a.yaml": pods("nginx:1", f"{IMAGE}:1")})
    (found,) = find_references(tree, IMAGE, root="a.yaml")
    assert found.place == "a.yaml#1:spec.containers[name=web].image"
    again = find_references(tree, IMAGE, root="a.yaml", extra_paths=[found.place])
    assert again == [found]


def test_a_tag_and_the_digest_beside_it_are_one_place_to_choose() -> None:
    tree = MemoryTree({"values.yaml": VALUES + f"  digest: {A}\n".encode()})
    references = choose(find_references(tree, IMAGE, root="values.yaml"))
    assert [each.kind for each in references] == [Kind.HELM_TAG, Kind.HELM_DIGEST]
    assert current_version(references) == ("1.0.0", A, True)


def test_places_that_disagree_are_told_in_a_sentence() -> None:
    tree = MemoryTree({"a.yaml": pods(f"{IMAGE}:1", f"{IMAGE}@{A}")})
    references = find_references(tree, IMAGE, root="a.yaml")
    assert current_version(references) == ("1", None, False)
    assert disagreement(references) == (
        f"The places of {IMAGE} disagree: a.yaml:spec.containers[name=web].image says 1; "
        f"a.yaml#1:spec.containers[name=web].image says {A}."
    )
    assert disagreement(references[:1]) == ""


def test_a_pinning_digest_is_not_left_behind_a_new_tag() -> None:
    tree = MemoryTree({"values.yaml": VALUES + f"  digest: {A}\n".encode()})
    references = find_references(tree, IMAGE, root="values.yaml")
    with pytest.raises(ManifestError, match="pins a digest"):
        compute_change(tree, references, IMAGE, tag("2.0.0"))


def test_tag_and_digest_change_together() -> None:
    tree = MemoryTree({"values.yaml": VALUES + f"  digest: {A}\n".encode()})
    references = find_references(tree, IMAGE, root="values.yaml")
    change = compute_change(tree, references, IMAGE, Target("1.1.0", B, Style.TAG_AND_DIGEST))
    assert [(edit.key, edit.new) for edit in change.edits] == [("image.digest", B), ("image.tag", "1.1.0")]


@pytest.mark.parametrize(
    ("style", "written"),
    [(Style.TAG, f"{IMAGE}:2"), (Style.DIGEST, f"{IMAGE}@{B}"), (Style.TAG_AND_DIGEST, f"{IMAGE}:2@{B}")],
)
@pytest.mark.parametrize("old", [f"{IMAGE}:1", f"{IMAGE}@{A}", f"{IMAGE}:1@{A}", IMAGE])
def test_a_whole_reference_takes_each_style(old: str, style: Style, written: str) -> None:
    tree = MemoryTree({"a.yaml": pods(old)})
    references = find_references(tree, IMAGE, root="a.yaml")
    change = compute_change(tree, references, IMAGE, Target("2", B, style))
    assert change.edits[0].new == written


def test_a_digest_into_a_place_for_tags_alone_is_refused() -> None:
    tree = MemoryTree({"values.yaml": VALUES})
    references = find_references(tree, IMAGE, root="values.yaml")
    with pytest.raises(ManifestError, match="no digest beside it"):
        compute_change(tree, references, IMAGE, Target("2", B, Style.DIGEST))


def test_a_stage_that_prescribes_app_version_does_not_touch_tags() -> None:
    tree = MemoryTree({"values.yaml": VALUES})
    references = find_references(tree, IMAGE, root="values.yaml")
    with pytest.raises(ManifestError, match="appVersion"):
        compute_change(tree, references, IMAGE, Target("2", None, Style.APP_VERSION))


@pytest.mark.parametrize("style", [Style.DIGEST, Style.TAG_AND_DIGEST])
def test_a_missing_digest_is_told(style: Style) -> None:
    tree = MemoryTree({"values.yaml": VALUES})
    references = find_references(tree, IMAGE, root="values.yaml")
    with pytest.raises(ManifestError, match="prescribes a digest"):
        compute_change(tree, references, IMAGE, Target("2", None, style))


def test_a_release_changes_several_images_and_files_at_once() -> None:
    tree = MemoryTree({"values.yaml": VALUES, "b.yaml": pods("nginx:1.25", f"{IMAGE}:1")})
    change = compute_release(
        tree,
        [
            Order(find_references(tree, "nginx", root="b.yaml"), "nginx", tag("1.26")),
            Order(find_references(tree, IMAGE, root="b.yaml"), IMAGE, tag("2.0.0")),
            Order(find_references(tree, IMAGE, root="values.yaml"), IMAGE, tag("2.0.0")),
        ],
    )
    assert [(edit.file, edit.new) for edit in change.edits] == [
        ("b.yaml", "nginx:1.26"),
        ("b.yaml", f"{IMAGE}:2.0.0"),
        ("values.yaml", "2.0.0"),
    ]
    assert change.diff.count("--- a/") == 2


def test_a_release_that_wants_two_values_in_one_place_is_refused() -> None:
    tree = MemoryTree({"values.yaml": VALUES})
    references = find_references(tree, IMAGE, root="values.yaml")
    with pytest.raises(ManifestError, match="both"):
        compute_release(tree, [Order(references, IMAGE, tag("2")), Order(references, IMAGE, tag("3"))])


def test_a_rollback_restores_every_byte() -> None:
    tree = MemoryTree({"values.yaml": VALUES})
    references = find_references(tree, IMAGE, root="values.yaml")
    there = MemoryTree(compute_change(tree, references, IMAGE, tag("2.0.0")).files)
    back = compute_change(there, references, IMAGE, tag("1.0.0"))
    assert back.files["values.yaml"] == VALUES


def test_a_replacement_that_sets_an_image_is_refused_not_guessed() -> None:
    kustomization = (
        b"resources: [a.yaml]\nreplacements:\n  - source: {kind: ConfigMap}\n    targets:\n"
        b"      - select: {kind: Pod}\n        fieldPaths: [spec.containers.0.image]\n"
    )
    tree = MemoryTree({"kustomization.yaml": kustomization, "a.yaml": pods(f"{IMAGE}:1")})
    with pytest.raises(ManifestError, match="replacement"):
        find_references(tree, IMAGE)
    named = find_references(tree, IMAGE, extra_paths=["a.yaml:spec.containers[name=web].image"])
    assert [each.kind for each in named] == [Kind.NAMED]


def test_an_image_written_into_a_chart_template_is_refused_with_its_line() -> None:
    files = {"Chart.yaml": b"name: a\n", "templates/d.yaml": f"spec:\n  image: {IMAGE}:1\n".encode()}
    with pytest.raises(Unparsable) as caught:
        find_references(MemoryTree(files), IMAGE)
    assert (caught.value.file, caught.value.line) == ("templates/d.yaml", 2)


def test_a_chart_with_values_for_several_environments_is_ambiguous() -> None:
    files = {
        "Chart.yaml": b"name: a\n",
        "values.yaml": VALUES,
        "values-prod.yaml": b"image: {tag: 0.9.0}\n",
        "values-dev.yaml": b"replicas: 1\n",
    }
    references = find_references(MemoryTree(files), IMAGE)
    assert sorted(each.place for each in references) == [
        "values-prod.yaml:image.tag",
        "values.yaml:image.tag",
    ]
    with pytest.raises(Ambiguous):
        choose(references)


def test_an_edit_that_would_change_the_structure_is_not_written() -> None:
    with pytest.raises(VerificationFailed):
        apply_edit(b"a: 'x'\nb: 1\n", "a", "x', c: 'y")


def test_editing_twice_in_one_line_touches_both_values_only() -> None:
    data = f"a: {{image: {IMAGE}:1}}   # a\nb: [{{image: '{IMAGE}:1'}}, {{image: \"{IMAGE}:1\"}}]\n".encode()
    tree = MemoryTree({"x.yaml": data})
    references = find_references(tree, IMAGE, root="x.yaml")
    change = compute_change(tree, references, IMAGE, tag("22"))
    assert change.files["x.yaml"] == data.replace(b":1", b":22")


@pytest.mark.parametrize(
    ("written", "full"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1.2@" + A, "docker.io/library/nginx"),
        ("acme/app", "docker.io/acme/app"),
        ("index.docker.io/acme/app", "docker.io/acme/app"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("LOCALHOST:5000/app:1", "localhost:5000/app"),
        ("Registry.Example.com/Team/app", "registry.example.com/Team/app"),
    ],
)
def test_repositories_are_compared_in_full(written: str, full: str) -> None:
    assert normalise(written) == full


def test_twenty_thousand_files_are_searched_in_less_than_300_ms() -> None:
    import time

    files = {f"apps/a{number}/values.yaml": b"a: 1\n" for number in range(20_000)}
    files |= {"apps/web/kustomization.yaml": b"resources: [p.yaml]\n", "apps/web/p.yaml": pods(f"{IMAGE}:1")}
    tree = MemoryTree(files)
    started = time.process_time()
    compute_change(tree, find_references(tree, IMAGE, root="apps/web"), IMAGE, tag("2"))
    assert time.process_time() - started < 0.3
