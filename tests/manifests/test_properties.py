"""Property tests: for generated documents, an edit changes the intended value and nothing else."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from promotions.manifests import (
    MemoryTree,
    Style,
    Target,
    apply_edit,
    compute_change,
    find_references,
    insert_key,
    remove_key,
)
from promotions.manifests.diff import unified_diff
from promotions.manifests.keypath import locate, render, walk
from promotions.manifests.parse import parse
from promotions.manifests.scalars import needs_quotes

REPOSITORY = "registry.example.com/team/app"
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)
DIGESTS = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)
# Words with everything that makes YAML hard, but no line breaks: those have tests of their own.
TEXTS = st.text(st.characters(exclude_categories=["C", "Z"], max_codepoint=0x1FAFF), max_size=12)
KEYS = st.text(st.characters(exclude_categories=["C", "Z"], max_codepoint=0x3000), min_size=1, max_size=8)
LEAVES = st.one_of(TEXTS, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False))
DATA = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
QUOTES = st.sampled_from(["", "'", '"'])


def pod(containers: list[dict[str, Any]], noise: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "noise": noise, "spec": {"containers": containers}}


def dumped(data: Any, flow: bool | None, indent: int) -> bytes:
    return yaml.safe_dump(
        data, allow_unicode=True, default_flow_style=flow, indent=indent, width=10_000
    ).encode()


@st.composite
def manifests(draw: st.DrawFn) -> tuple[bytes, str]:
    """A Pod as YAML or JSON in some style, with the image among other containers, and its tag."""
    tag = draw(TAGS)
    names = draw(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=4, unique=True))
    containers = [{"name": name, "image": f"docker.io/other/{name}:1", "env": draw(DATA)} for name in names]
    draw(st.sampled_from(containers))["image"] = f"{REPOSITORY}:{tag}"
    data = pod(containers, draw(DATA))
    if draw(st.booleans()):
        return json.dumps(
            data, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 2]))
        ).encode(), tag
    return dumped(data, draw(st.sampled_from([None, False, True])), draw(st.sampled_from([2, 4]))), tag


def changed(data: Any, old: str, new: str) -> Any:
    """The data with every image `old` replaced, by way of Python objects alone."""
    if isinstance(data, dict):
        return {key: new if value == old else changed(value, old, new) for key, value in data.items()}
    return [changed(item, old, new) for item in data] if isinstance(data, list) else data


@settings(deadline=None, max_examples=150)
@given(manifests(), TAGS)
def test_an_edit_changes_the_image_and_nothing_else(manifest: tuple[bytes, str], new_tag: str) -> None:
    before, tag = manifest
    tree = MemoryTree({"a.yaml": before})
    references = find_references(tree, REPOSITORY, root="a.yaml")
    assert [each.tag for each in references] == [tag]
    change = compute_change(tree, references, REPOSITORY, Target(new_tag, None, Style.TAG))
    after = change.files.get("a.yaml", before)
    intended = changed(yaml.safe_load(before), f"{REPOSITORY}:{tag}", f"{REPOSITORY}:{new_tag}")
    assert yaml.safe_load(after) == intended


@settings(deadline=None, max_examples=150)
@given(manifests(), TAGS)
def test_editing_back_restores_every_byte(manifest: tuple[bytes, str], new_tag: str) -> None:
    before, tag = manifest
    references = find_references(MemoryTree({"a.yaml": before}), REPOSITORY, root="a.yaml")
    key = references[0].key_path
    there = apply_edit(before, key, f"{REPOSITORY}:{new_tag}")
    assert apply_edit(there, key, f"{REPOSITORY}:{tag}") == before


@settings(deadline=None, max_examples=150)
@given(manifests(), TAGS, st.sampled_from([b"", b"\xef\xbb\xbf"]), st.booleans())
def test_bytes_outside_the_span_are_identical(
    manifest: tuple[bytes, str], new_tag: str, bom: bytes, crlf: bool
) -> None:
    before, tag = manifest
    before = bom + (before.replace(b"\n", b"\r\n") if crlf else before)
    references = find_references(MemoryTree({"a.yaml": before}), REPOSITORY, root="a.yaml")
    after = apply_edit(before, references[0].key_path, f"{REPOSITORY}:{new_tag}")
    old, new = f"{REPOSITORY}:{tag}".encode(), f"{REPOSITORY}:{new_tag}".encode()
    assert before.count(old) >= 1
    starts = [at for at in range(len(before)) if before.startswith(old, at)]
    assert after in [before[:at] + new + before[at + len(old) :] for at in starts]


@settings(deadline=None, max_examples=200)
@given(
    QUOTES, TAGS, TAGS, st.sampled_from(["tag: {}", "{{tag: {}, b: 1}}", "- x\n- tag: {} # c", "tag:   {}  "])
)
def test_a_tag_stays_a_string_in_every_style(quote: str, old: str, new: str, frame: str) -> None:
    before = frame.format(f"{quote}{old}{quote}").encode()
    key = "[1].tag" if frame.startswith("-") else "tag"
    after = apply_edit(before, key, new)
    loaded = yaml.safe_load(after)
    assert (loaded[1] if isinstance(loaded, list) else loaded)["tag"] == new
    assert (quote + new + quote).encode() in after


@given(TAGS)
def test_a_bare_tag_is_one_that_yaml_reads_as_text(tag: str) -> None:
    if not needs_quotes(tag):
        assert yaml.safe_load(f"a: {tag}") == {"a": tag}


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(TAGS, DIGESTS), min_size=1, max_size=4), TAGS, DIGESTS)
def test_kustomize_images_change_in_one_entry(pairs: list[tuple[str, str]], tag: str, digest: str) -> None:
    entries = [
        {"name": f"registry.example.com/app{n}", "newTag": old, "digest": pinned}
        for n, (old, pinned) in enumerate(pairs)
    ]
    document = {"resources": ["https://example.com/base"], "images": entries}
    tree = MemoryTree({"kustomization.yaml": dumped(document, None, 2)})
    image = "registry.example.com/app0"
    references = find_references(tree, image)
    change = compute_change(tree, references, image, Target(tag, digest, Style.TAG_AND_DIGEST))
    entries[0] |= {"newTag": tag, "digest": digest}
    data = change.files.get("kustomization.yaml", tree.read("kustomization.yaml"))
    assert yaml.safe_load(data) == document


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(KEYS, DATA, max_size=4), TAGS, TAGS, st.booleans())
def test_helm_values_change_in_the_tag_alone(noise: dict[str, Any], old: str, new: str, flow: bool) -> None:
    values = {**noise, "web-app": {"image": {"repository": REPOSITORY, "tag": old}}}
    tree = MemoryTree({"values.yaml": dumped(values, flow, 2)})
    references = find_references(tree, REPOSITORY, root="values.yaml")
    change = compute_change(tree, references, REPOSITORY, Target(new, None, Style.TAG))
    values["web-app"]["image"]["tag"] = new
    assert yaml.safe_load(change.files.get("values.yaml", tree.read("values.yaml"))) == values


@settings(deadline=None, max_examples=150)
@given(DATA)
def test_every_key_path_leads_back_to_its_scalar(data: Any) -> None:
    parsed = parse(dumped(data, None, 2))
    for path, scalar in walk(parsed.documents[0].root):
        assert locate(parsed, 0, render(path)) is scalar


@settings(deadline=None, max_examples=100)
@given(st.lists(TEXTS.map("- {}".format), min_size=1, max_size=30), st.data())
def test_a_diff_tells_every_changed_line(lines: list[str], data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(lines) - 1))
    other = [*lines]
    other[number] += "x"
    diff = unified_diff("f", "\n".join(lines).encode(), "\n".join(other).encode())
    said = [line for line in diff.split("\n")[2:] if line[:1] in {"-", "+"}]
    assert said == [f"-{lines[number]}", f"+{other[number]}"]


@st.composite
def entries(draw: st.DrawFn) -> tuple[bytes, str]:
    """An `images:` entry in any style with or without the key `digest`'s neighbours, and its key path."""
    extra = draw(
        st.dictionaries(KEYS.filter(lambda key: key not in {"digest", "newTag"}), LEAVES, max_size=3)
    )
    items = [*extra.items(), ("newTag", draw(TAGS))]
    entry = dict(draw(st.permutations(items)))
    flow, indent = draw(st.sampled_from([None, False, True])), draw(st.sampled_from([2, 4]))
    if draw(st.booleans()):
        text = json.dumps({"images": [entry, 1]}, ensure_ascii=False, indent=draw(st.sampled_from([None, 2])))
    else:
        text = dumped({"images": [entry, 1]}, flow, indent).decode()
    if draw(st.booleans()):
        # Comments behind values, wherever the line holds a plain tag and nothing else.
        text = (
            text.replace("\n", draw(st.sampled_from([" # c\td\n", "\n# between\n"])))
            if flow is False
            else text
        )
    text = text.removesuffix("\n") if draw(st.booleans()) else text
    text = text.replace("\n", "\r\n") if draw(st.booleans()) else text
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode(), "images[0].digest"


@settings(deadline=None, max_examples=300)
@given(entries(), DIGESTS)
def test_a_key_that_was_added_and_removed_again_leaves_every_byte(
    entry: tuple[bytes, str], digest: str
) -> None:
    before, key = entry
    intended = yaml.safe_load(before)
    there = insert_key(before, key, digest)
    intended["images"][0]["digest"] = digest
    assert yaml.safe_load(there) == intended
    assert len(there) > len(before) + len(digest)
    assert remove_key(there, key) == before
