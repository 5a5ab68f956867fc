"""Keys that come and go where a Stage prescribes another half of a version than the one that stands."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from promotions.manifests import (
    AliasRefused,
    Change,
    Edit,
    ManifestError,
    MemoryTree,
    NotFound,
    Style,
    Target,
    Unsafe,
    choose,
    compute_change,
    current_version,
    disagreement,
    find_references,
    insert_key,
    remove_key,
)

IMAGE = "registry.example.com/shop/web"
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
TAG, DIGEST, BOTH = Style.TAG, Style.DIGEST, Style.TAG_AND_DIGEST
HEAD = "kind: Kustomization\nresources: [https://example.com/base]\n"


def changed(files: dict[str, bytes], style: Style, *, root: str = "", extra: tuple[str, ...] = ()) -> Change:
    tree = MemoryTree(files)
    references = choose(find_references(tree, IMAGE, root=root, extra_paths=extra), extra)
    return compute_change(tree, references, IMAGE, Target("2.0", B, style))


def kustomized(entry: str, style: Style) -> str:
    data = (HEAD + entry).encode()
    return (
        changed({"kustomization.yaml": data}, style).files["kustomization.yaml"].decode().removeprefix(HEAD)
    )


BLOCK = f"images:\n  - name: {IMAGE}\n"
CASES = {
    "a digest comes below the tag": (
        BOTH,
        f"{BLOCK}    newTag: '1.0'\n",
        f"{BLOCK}    newTag: '2.0'\n    digest: '{B}'\n",
    ),
    "a tag comes below the digest": (
        BOTH,
        f"{BLOCK}    digest: {A}\n",
        f'{BLOCK}    digest: {B}\n    newTag: "2.0"\n',
    ),
    "both change": (
        BOTH,
        f"{BLOCK}    newTag: v1\n    digest: {A}\n",
        f'{BLOCK}    newTag: "2.0"\n    digest: {B}\n',
    ),
    "a digest beside a tag goes": (
        TAG,
        f"{BLOCK}    digest: {A}\n    newTag: v1\n",
        f'{BLOCK}    newTag: "2.0"\n',
    ),
    "a tag beside a digest goes": (
        DIGEST,
        f"{BLOCK}    newTag: v1\n    digest: {A}\n",
        f"{BLOCK}    digest: {B}\n",
    ),
    "a digest takes the tag's place": (
        DIGEST,
        f"{BLOCK}    newTag: v1 # by hand\n",
        f"{BLOCK}    digest: {B} # by hand\n",
    ),
    "a tag takes the digest's place": (TAG, f"{BLOCK}    digest: {A}\n", f'{BLOCK}    newTag: "2.0"\n'),
    "both written into newTag stay there": (
        BOTH,
        f"{BLOCK}    newTag: v1@{A}\n",
        f"{BLOCK}    newTag: 2.0@{B}\n",
    ),
    "comments stay where they are": (
        BOTH,
        f"{BLOCK}    # before\n    newTag: v1 # by,\twith a tab\n    # after\n# end\n",
        f'{BLOCK}    # before\n    newTag: "2.0" # by,\twith a tab\n    digest: {B}\n    # after\n# end\n',
    ),
    "the tag stands behind the dash": (
        BOTH,
        f"images:\n- newTag: v1   # first\n  name: {IMAGE}\n",
        f'images:\n- newTag: "2.0"   # first\n  digest: {B}\n  name: {IMAGE}\n',
    ),
    "the digest behind the dash goes": (
        TAG,
        f"images:\n-   digest: {A}\n    newTag: v1\n    name: {IMAGE}\n",
        f'images:\n-   newTag: "2.0"\n    name: {IMAGE}\n',
    ),
    "flow style on one line": (
        BOTH,
        f"images: [{{name: {IMAGE}, newTag: v1}}] # one\n",
        f'images: [{{name: {IMAGE}, digest: {B}, newTag: "2.0"}}] # one\n',
    ),
    "flow style without blanks, as JSON": (
        BOTH,
        f'images: [{{"name":"{IMAGE}","newTag":"v1"}}]\n',
        f'images: [{{"name":"{IMAGE}","digest":"{B}","newTag":"2.0"}}]\n',
    ),
    "flow style over several lines": (
        BOTH,
        f"images:\n- {{\n    name: {IMAGE},\n    newTag: v1, # c\n  }}\n",
        f'images:\n- {{\n    name: {IMAGE},\n    digest: {B},\n    newTag: "2.0", # c\n  }}\n',
    ),
    "a digest goes from flow style": (
        TAG,
        f"images: [{{name: {IMAGE}, digest: {A}, newTag: v1}}]\n",
        f'images: [{{name: {IMAGE}, newTag: "2.0"}}]\n',
    ),
    "the last digest goes from flow style": (
        TAG,
        f"images: [{{name: {IMAGE}, newTag: v1 , digest: {A} }}]\n",
        f'images: [{{name: {IMAGE}, newTag: "2.0" }}]\n',
    ),
    "the last digest goes from flow style over several lines": (
        TAG,
        f"images:\n- {{name: {IMAGE},\n   newTag: v1,\n   digest: {A}}}\n# end\n",
        f'images:\n- {{name: {IMAGE},\n   newTag: "2.0"}}\n# end\n',
    ),
    "quoted keys keep their quotes": (
        DIGEST,
        f"images:\n  - 'name': {IMAGE}\n    'newTag': 'v1'\n",
        f"images:\n  - 'name': {IMAGE}\n    'digest': '{B}'\n",
    ),
    "two entries, one meant": (
        BOTH,
        f"{BLOCK}    newTag: v1\n  - name: other\n    newTag: v1\n",
        f'{BLOCK}    newTag: "2.0"\n    digest: {B}\n  - name: other\n    newTag: v1\n',
    ),
}


@pytest.mark.parametrize(("style", "before", "after"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("how", ["unix", "crlf", "bom", "no newline"])
def test_a_kustomize_entry_gets_the_keys_that_are_prescribed(
    style: Style, before: str, after: str, how: str, tmp_path: Path
) -> None:
    def written(text: str) -> bytes:
        text = HEAD + text
        text = text.removesuffix("\n") if how == "no newline" else text
        data = (text.replace("\n", "\r\n") if how == "crlf" else text).encode()
        return b"\xef\xbb\xbf" + data if how == "bom" else data

    change = changed({"kustomization.yaml": written(before)}, style)
    assert change.files["kustomization.yaml"] == written(after)
    (tmp_path / "kustomization.yaml").write_bytes(written(before))
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=change.diff.encode(), check=True)
    assert (tmp_path / "kustomization.yaml").read_bytes() == written(after)


@pytest.mark.parametrize(("style", "before", "after"), CASES.values(), ids=CASES)
def test_the_same_version_again_changes_nothing(style: Style, before: str, after: str) -> None:
    assert changed({"kustomization.yaml": (HEAD + after).encode()}, style).edits == ()


def test_the_edits_say_which_key_came_and_which_went() -> None:
    entry = f"images[name={IMAGE}]"
    files = {"kustomization.yaml": f"{HEAD}{BLOCK}    newTag: v1\n".encode()}
    assert changed(files, BOTH).edits == (
        Edit("kustomization.yaml", f"{entry}.digest", None, B),
        Edit("kustomization.yaml", f"{entry}.newTag", "v1", "2.0"),
    )
    assert changed(files, DIGEST).edits == (
        Edit("kustomization.yaml", f"{entry}.digest", None, B),
        Edit("kustomization.yaml", f"{entry}.newTag", "v1", None),
    )


def test_an_added_key_and_an_empty_one_are_two_changes() -> None:
    empty, none = (
        changed(
            {"values.yaml": values + f'  tag: "1"\n{more}'.encode()}, BOTH, root="values.yaml", extra=extra
        )
        for values, more, extra in (
            (f"image:\n  repository: {IMAGE}\n".encode(), '  digest: ""\n', ()),
            (
                f"image:\n  repository: {IMAGE}\n".encode(),
                "",
                ("values.yaml:image.digest", "values.yaml:image.tag"),
            ),
        )
    )
    assert [edit.old for edit in (empty.edits[0], none.edits[0])] == ["", None]
    assert empty.hash != none.hash


REFUSED = {
    "a comment that would be lost": (
        TAG,
        f"{BLOCK}    newTag: v1\n    digest: {A} # pinned by ops\n",
        "comment on its line",
    ),
    "a comment in flow style": (
        TAG,
        f"images: [{{name: {IMAGE}, newTag: v1 # c\n    , digest: {A} # d\n    }}]\n",
        "comment or more around",
    ),
    "something else below the dash": (
        TAG,
        f"images:\n  - digest: {A}\n    # why\n    newTag: v1\n    name: {IMAGE}\n",
        "behind a dash",
    ),
    "a version in newName and a digest": (
        TAG,
        f"{BLOCK}    newName: a/b:1\n    digest: {A}\n",
        "keep one of them",
    ),
    "an empty key of that name": (BOTH, f"{BLOCK}    newTag: v1\n    digest:\n", "already"),
}


@pytest.mark.parametrize(("style", "entry", "cause"), REFUSED.values(), ids=REFUSED)
def test_a_key_that_cannot_change_for_sure_is_refused(style: Style, entry: str, cause: str) -> None:
    image = "a/b" if "a/b" in entry else IMAGE
    tree = MemoryTree({"kustomization.yaml": (HEAD + entry).encode()})
    with pytest.raises(ManifestError, match=cause) as caught:
        compute_change(tree, find_references(tree, image), image, Target("2.0", B, style))
    assert caught.value.file == "kustomization.yaml"
    assert caught.value.line is not None


def test_a_mapping_that_an_alias_shares_gets_no_key() -> None:
    text = f"x-web: &web {{name: {IMAGE}, newTag: v1}}\nimages:\n- *web\n"
    with pytest.raises(AliasRefused, match="shares the mapping"):
        kustomized(text, BOTH)


def test_a_value_from_an_alias_keeps_its_key() -> None:
    with pytest.raises(AliasRefused, match="comes from an alias"):
        kustomized(f"x-tag: &tag v1\n{BLOCK}    newTag: *tag\n", DIGEST)


def test_a_mapping_merged_elsewhere_gets_no_key() -> None:
    text = f"images:\n- &web\n  name: {IMAGE}\n  newTag: v1\n- <<: *web\n  name: other\n  newTag: v2\n"
    with pytest.raises(AliasRefused, match="shares the mapping"):
        kustomized(text, BOTH)


CHART = {"Chart.yaml": b"apiVersion: v2\nname: web\nversion: 1.0.0\n"}
DEFAULTS = f"image:\n  repository: {IMAGE}\n  tag: ''\n  digest: ''\n".encode()


def test_an_environment_gets_the_digest_that_its_chart_reads() -> None:
    """The chart's own empty `digest` is every environment's, so it stays empty."""
    files = {
        **CHART,
        "values.yaml": DEFAULTS,
        "values-prod.yaml": b'image:\n  tag: "1.0" # now\nreplicas: 2\n',
    }
    change = changed(files, BOTH, root="values-prod.yaml")
    assert change.files == {
        "values-prod.yaml": f'image:\n  tag: "2.0" # now\n  digest: "{B}"\nreplicas: 2\n'.encode()
    }
    assert dict(changed({**files, **change.files}, BOTH, root="values-prod.yaml").files) == {}


def test_an_environment_overrides_the_digest_that_its_chart_pins() -> None:
    files = {**CHART, "values.yaml": DEFAULTS.replace(b"digest: ''", f"digest: {A}".encode())}
    files["values-prod.yaml"] = b"image: {tag: v1}\n"
    change = changed(files, DIGEST, root="values-prod.yaml")
    assert change.files == {"values-prod.yaml": f'image: {{digest: {B}, tag: "2.0"}}\n'.encode()}
    with pytest.raises(ManifestError, match="pins a digest"):
        changed(files, TAG, root="values-prod.yaml")


@pytest.mark.parametrize("style", [DIGEST, BOTH])
def test_a_chart_that_is_not_known_to_read_a_digest_gets_none(style: Style) -> None:
    files = {**CHART, "values.yaml": f"image:\n  repository: {IMAGE}\n  tag: v1\n".encode()}
    with pytest.raises(ManifestError, match="no digest beside it"):
        changed(files, style, root="values.yaml")


def test_a_chart_that_gets_both_in_its_tag_goes_on_so() -> None:
    files = {**CHART, "values.yaml": f"image:\n  repository: {IMAGE}\n  tag: v1@{A}\n".encode()}
    assert changed(files, BOTH, root="values.yaml").edits[0].new == f"2.0@{B}"


def test_a_digest_that_the_catalogue_names_is_added() -> None:
    files = {"values.yaml": f"image:\n  repository: {IMAGE}\n  tag: v1".encode()}
    extra = ("values.yaml:image.digest", "values.yaml:image.tag")
    change = changed(files, BOTH, root="values.yaml", extra=extra)
    assert yaml.safe_load(change.files["values.yaml"]) == {
        "image": {"repository": IMAGE, "tag": "2.0", "digest": B}
    }
    assert dict(changed(files, TAG, root="values.yaml", extra=extra).files)["values.yaml"].endswith(
        b'tag: "2.0"'
    )


def test_a_named_key_that_is_not_there_yet_is_no_version_and_no_disagreement() -> None:
    tree = MemoryTree({"values.yaml": f"image:\n  repository: {IMAGE}\n  tag: v1\n".encode()})
    found = find_references(tree, IMAGE, root="values.yaml", extra_paths=["values.yaml:image.digest"])
    assert [(each.key_path, each.absent) for each in found] == [("image.tag", False), ("image.digest", True)]
    assert current_version(found) == ("v1", None, True)
    assert disagreement(found) == ""


def test_a_named_key_of_no_known_meaning_is_not_added() -> None:
    tree = MemoryTree({"values.yaml": f"image:\n  repository: {IMAGE}\n  tag: v1\n".encode()})
    with pytest.raises(NotFound):
        find_references(tree, IMAGE, root="values.yaml", extra_paths=["values.yaml:image.version"])


def test_a_place_found_absent_is_changed_as_a_value_once_it_is_there() -> None:
    files = {"values.yaml": f"image:\n  repository: {IMAGE}\n  tag: v1\n".encode()}
    found = find_references(
        MemoryTree(files), IMAGE, root="values.yaml", extra_paths=["values.yaml:image.digest"]
    )
    moved = MemoryTree({"values.yaml": files["values.yaml"] + f"  digest: {A}\n".encode()})
    change = compute_change(moved, found, IMAGE, Target("2.0", B, BOTH))
    assert [(edit.key, edit.old, edit.new) for edit in change.edits] == [
        ("image.digest", A, B),
        ("image.tag", "v1", "2.0"),
    ]


def test_choosing_a_tag_brings_the_digest_that_makes_one_version_with_it() -> None:
    tree = MemoryTree({"values.yaml": f"image:\n  repository: {IMAGE}\n  tag: v1\n  digest: {A}\n".encode()})
    found = find_references(tree, IMAGE, root="values.yaml")
    assert choose(found, ["values.yaml:image.tag"]) == found


def test_the_only_key_of_a_mapping_stays() -> None:
    with pytest.raises(Unsafe, match="only key"):
        remove_key(b"image:\n  tag: v1\n", "image.tag")


def test_a_key_that_stands_already_is_not_added_again() -> None:
    with pytest.raises(ManifestError, match="already"):
        insert_key(b"image:\n  tag: v1\n  digest: x\n", "image.digest", B)


def test_a_block_of_text_is_no_neighbour_for_a_new_key() -> None:
    with pytest.raises(Unsafe, match="beside"):
        insert_key(b"image:\n  note: |\n    text\n", "image.digest", B)
    assert insert_key(b"a: x\nnote: |\n  text\n", "digest", "z") == b"a: x\ndigest: z\nnote: |\n  text\n"


def test_two_documents_get_the_key_in_the_one_that_is_meant() -> None:
    data = b"tag: v1\n---\ntag: v1\n...\n"
    assert insert_key(data, "digest", "x", document=1) == b"tag: v1\n---\ntag: v1\ndigest: x\n...\n"
    assert remove_key(b"a: 1\nb: 2\ntag: v1\n", "b") == b"a: 1\ntag: v1\n"


@pytest.mark.parametrize("path", ["images.0.newTag", "images[0].newTag", f'["images"][name={IMAGE}].newTag'])
def test_a_place_may_be_named_in_another_way_than_the_search_does(path: str) -> None:
    """It is the same place all the same, with the digest beside it that would win."""
    files = {"kustomization.yaml": f"{HEAD}{BLOCK}    newTag: v1\n    digest: {A}\n".encode()}
    change = changed(files, TAG, extra=(f"kustomization.yaml:{path}",))
    assert change.files["kustomization.yaml"] == f'{HEAD}{BLOCK}    newTag: "2.0"\n'.encode()


@pytest.mark.parametrize(
    "entry",
    [
        f"{BLOCK}    newTag: v1 # c\n    # after\n",
        f"images:\n- newTag: v1\n  name: {IMAGE}\n",
        f"images: [{{name: {IMAGE}, newTag: v1}}]\n",
        f'images: [{{"name":"{IMAGE}","newTag":"v1"}}]\n',
        f"images:\n- {{\n    name: {IMAGE},\n    newTag: 'v1', # c\n  }}\n",
    ],
)
@pytest.mark.parametrize("style", [BOTH, DIGEST])
@pytest.mark.parametrize("end", ["", "# end\n"])
def test_going_back_to_the_old_version_restores_every_byte(entry: str, style: Style, end: str) -> None:
    before = {"kustomization.yaml": (HEAD + entry + end).encode()}
    tree = MemoryTree(before)
    there = compute_change(tree, find_references(tree, IMAGE), IMAGE, Target("v2", B, style))
    tree = MemoryTree(there.files)
    back = compute_change(tree, find_references(tree, IMAGE), IMAGE, Target("v1", None, TAG))
    assert dict(back.files) == before
