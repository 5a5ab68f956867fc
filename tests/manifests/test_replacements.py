"""Kustomize's `replacements:` and `vars:`: what they overwrite at build is never what is edited."""

from __future__ import annotations

import pytest

from promotions.manifests import (
    Change,
    ManifestError,
    MemoryTree,
    Reference,
    Style,
    Target,
    Unparsable,
    choose,
    compute_change,
    find_references,
)

IMAGE = "registry.example.com/shop/web"
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
POD = b"""apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - name: web
      image: registry.example.com/shop/web:placeholder
"""
CONFIG = f"""apiVersion: v1
kind: ConfigMap
metadata: {{name: versions}}
data:
  tag: v1 # of the shop
  digest: {A}
  whole: {IMAGE}:v1
  app.version: v1
""".encode()
FIELD = "spec.containers.[name=web].image"


def replacement(field: str, options: str = "", *, target: str = FIELD, source: str = "") -> bytes:
    chosen = source or f"source: {{kind: ConfigMap, name: versions, fieldPath: {field}}}"
    return f"""resources: [pod.yaml, config.yaml]
replacements:
- {chosen}
  targets:
  - select: {{kind: Pod}}
    fieldPaths: ["{target}"]
{options}""".encode()


COLON, AT = ("    options: {delimiter: '%s', index: 1}\n" % mark for mark in ":@")  # noqa: UP031


def tree(kustomization: bytes, **more: bytes) -> MemoryTree:
    files = {"kustomization.yaml": kustomization, "pod.yaml": POD, "config.yaml": CONFIG}
    return MemoryTree({**files, **{name.replace("__", "/") + ".yaml": data for name, data in more.items()}})


def places(files: MemoryTree, root: str = "") -> list[str]:
    return [each.place for each in find_references(files, IMAGE, root=root)]


def changed(files: MemoryTree, style: Style = Style.TAG, root: str = "") -> Change:
    references: list[Reference] = choose(find_references(files, IMAGE, root=root))
    return compute_change(files, references, IMAGE, Target("v2", B, style))


def test_a_whole_image_is_edited_at_the_source_of_its_replacement() -> None:
    change = changed(tree(replacement("data.whole")))
    assert dict(change.files) == {"config.yaml": CONFIG.replace(b"web:v1", b"web:v2")}


def test_a_replaced_tag_is_edited_at_its_source() -> None:
    change = changed(tree(replacement("data.tag", COLON)))
    assert dict(change.files) == {"config.yaml": CONFIG.replace(b"tag: v1", b"tag: v2")}


def test_a_tag_that_gets_its_digest_in_the_source_is_written_as_one() -> None:
    change = changed(tree(replacement("data.tag", COLON)), Style.TAG_AND_DIGEST)
    assert [edit.new for edit in change.edits] == [f"v2@{B}"]


def test_a_replaced_digest_is_edited_at_its_source() -> None:
    pod = POD.replace(b":placeholder", f"@{B}".encode())
    files = tree(replacement("data.digest", AT), pod=pod)
    assert [edit.key for edit in changed(files, Style.DIGEST).edits] == ["data.digest"]


def test_a_tag_in_the_pod_and_a_replaced_digest_are_one_version() -> None:
    pod = POD.replace(b"placeholder", f"v1@{B}".encode())
    files = tree(replacement("data.digest", AT), pod=pod)
    references = choose(find_references(files, IMAGE))
    assert [(each.file, each.part.value) for each in references] == [
        ("pod.yaml", "image"),
        ("config.yaml", "digest"),
    ]


def test_a_key_with_a_dot_is_followed() -> None:
    assert places(tree(replacement("data.app\\.version", COLON))) == ['config.yaml:data["app.version"]']


@pytest.mark.parametrize("target", ["spec.containers.0.image", "spec.containers.*.image", FIELD])
def test_every_way_to_name_the_container_is_followed(target: str) -> None:
    assert places(tree(replacement("data.tag", COLON, target=target))) == ["config.yaml:data.tag"]


def test_a_literal_of_a_generator_is_edited_behind_its_name() -> None:
    generator = b'configMapGenerator:\n- name: versions\n  literals:\n  - OTHER=1\n  - "tag=v1" # c\n'
    kustomization = replacement("data.tag", COLON).replace(b", config.yaml", b"") + generator
    change = changed(tree(kustomization))
    assert change.files["kustomization.yaml"] == kustomization.replace(b'"tag=v1"', b'"tag=v2"')
    (edit,) = change.edits
    assert (edit.key, edit.old, edit.new) == (
        "configMapGenerator[name=versions].literals[1]", "tag=v1", "tag=v2",
    )  # fmt: skip


def test_a_whole_image_in_a_literal_is_edited_behind_its_name() -> None:
    generator = f"configMapGenerator:\n- name: versions\n  literals: [whole={IMAGE}:v1]\n".encode()
    change = changed(tree(replacement("data.whole").replace(b", config.yaml", b"") + generator))
    assert change.edits[0].new == f"whole={IMAGE}:v2"


def test_an_overlay_that_merges_a_literal_decides() -> None:
    base = b"resources: [pod.yaml]\nconfigMapGenerator:\n- {name: versions, literals: [tag=v1]}\n"
    overlay = replacement("data.tag", COLON).replace(b"pod.yaml, config.yaml", b"../base") + (
        b"configMapGenerator:\n- {name: versions, behavior: merge, literals: [tag=v1.5]}\n"
    )
    files = MemoryTree(
        {"base/kustomization.yaml": base, "base/pod.yaml": POD, "prod/kustomization.yaml": overlay}
    )
    assert places(files, "prod") == ["prod/kustomization.yaml:configMapGenerator[name=versions].literals[0]"]


def test_a_patch_over_the_source_decides() -> None:
    patch = b"patches:\n- patch: |\n    apiVersion: v1\n    kind: ConfigMap\n    metadata: {name: versions}\n    data:\n      tag: v1.5\n"  # noqa: E501
    (place,) = places(tree(replacement("data.tag", COLON) + patch))
    assert place == "kustomization.yaml:patches[0].patch|data.tag"


def test_a_json_patch_over_the_source_decides() -> None:
    patch = (
        b"patches:\n- target: {kind: ConfigMap}\n"
        b"  patch: |\n    - {op: replace, path: /data/tag, value: v1.5}\n"
    )
    (place,) = places(tree(replacement("data.tag", COLON) + patch))
    assert place == "kustomization.yaml:patches[0].patch|[path=/data/tag].value"


def test_an_image_copied_from_another_resource_is_decided_there() -> None:
    source = f"source: {{kind: CronJob, name: job, fieldPath: '{FIELD}'}}"
    job = POD.replace(b"Pod", b"CronJob").replace(b"name: web}", b"name: job}").replace(b"placeholder", b"v1")
    kustomization = replacement("", source=source).replace(b"config.yaml", b"job.yaml")
    assert places(tree(kustomization, job=job)) == ["job.yaml:spec.containers[name=web].image"]
    images = f"images: [{{name: {IMAGE}, newTag: v1}}]\n".encode()
    assert places(tree(kustomization + images, job=job)) == [
        f"kustomization.yaml:images[name={IMAGE}].newTag"
    ]


def test_images_of_the_same_kustomization_are_overwritten_and_not_edited() -> None:
    """Kustomize replaces after `images:`."""
    images = f"images: [{{name: {IMAGE}, newTag: v7}}]\n".encode()
    assert places(tree(replacement("data.whole") + images)) == ["config.yaml:data.whole"]


def test_images_of_an_overlay_further_out_decide() -> None:
    overlay = f"resources: ['..']\nimages: [{{name: {IMAGE}, newTag: v7}}]\n".encode()
    files = tree(replacement("data.tag", COLON), prod__kustomization=overlay)
    assert places(files, "prod") == [f"prod/kustomization.yaml:images[name={IMAGE}].newTag"]


def test_a_replaced_registry_leaves_the_version_where_it_is() -> None:
    pod = POD.replace(b"registry.example.com", b"REGISTRY")
    config = CONFIG.replace(b"tag: v1", b"registry: registry.example.com")
    options = "    options: {delimiter: /, index: 0}\n"
    files = tree(replacement("data.registry", options), pod=pod, config=config)
    assert places(files) == ["pod.yaml:spec.containers[name=web].image"]


def test_a_file_of_replacements_is_followed() -> None:
    inline = replacement("data.tag", COLON).decode()
    head, _, body = inline.partition("replacements:\n")
    files = tree((head + "replacements: [{path: all.yaml}]\n").encode(), all=body.encode())
    assert places(files) == ["config.yaml:data.tag"]


def test_a_rejected_target_keeps_its_own_image() -> None:
    options = COLON + "    reject: [{name: web}]\n"
    assert places(tree(replacement("data.tag", options))) == ["pod.yaml:spec.containers[name=web].image"]


PIECE = "source: {kind: ConfigMap, fieldPath: data.whole, options: {delimiter: ':'}}"
SHOP = "    options: {delimiter: shop, index: 1}\n"
TAGGED = replacement("data.tag", COLON)
REFUSED = {
    "a source that is not there": (TAGGED.replace(b"versions", b"other"), "not in this repository"),
    "a field that is not there": (replacement("data.missing", COLON), "no single value"),
    "a fixed value": (replacement("", source="sourceValue: v1", options=COLON), "fixed value 'v1'"),
    "a piece of a value": (replacement("", COLON, source=PIECE), "piece of a value"),
    "the middle of the image": (replacement("data.tag", SHOP), "middle"),
    "a remote base": (TAGGED.replace(b"pod.yaml", b"https://example.com/x"), "not here"),
}


@pytest.mark.parametrize(("kustomization", "cause"), REFUSED.values(), ids=REFUSED)
def test_a_source_that_cannot_be_edited_is_refused_with_its_line(kustomization: bytes, cause: str) -> None:
    with pytest.raises(ManifestError, match=cause) as caught:
        places(tree(kustomization))
    said = str(caught.value)
    assert said.startswith("kustomization.yaml, line 6: sets spec.containers.[name=web].image")
    assert said.endswith("name the key that decides")


def test_a_key_that_the_catalogue_names_stands_in_for_what_cannot_be_followed() -> None:
    files = tree(replacement("", source="source: {kind: Secret, name: x}", options=COLON))
    found = find_references(files, IMAGE, extra_paths=["config.yaml:data.tag"])
    assert [each.place for each in found] == ["config.yaml:data.tag"]


def test_a_value_that_decides_another_image_as_well_is_refused() -> None:
    other = b"    - {name: worker, image: registry.example.com/shop/worker:x}\n"
    kustomization = replacement("data.tag", COLON, target="spec.containers.*.image")
    with pytest.raises(ManifestError, match=r"config\.yaml, line 5: data\.tag decides .*/worker, too"):
        places(tree(kustomization, pod=POD + other))


def test_a_replacement_elsewhere_does_no_harm() -> None:
    kustomization = replacement("data.missing", target="spec.hostname")
    assert places(tree(kustomization)) == ["pod.yaml:spec.containers[name=web].image"]


VARS = b"""resources: [pod.yaml, config.yaml]
configurations: [vars.yaml]
vars:
- name: TAG
  objref: {kind: ConfigMap, name: versions, apiVersion: v1}
  fieldref: {fieldpath: data.tag}
- name: IMAGE
  objref: {kind: ConfigMap, name: versions, apiVersion: v1}
  fieldref: {fieldpath: data.whole}
"""


def with_vars(image: str, kustomization: bytes = VARS) -> MemoryTree:
    pod = POD.replace(b"registry.example.com/shop/web:placeholder", image.encode())
    return tree(kustomization, pod=pod, vars=b"varReference:\n- path: spec/containers/image\n")


@pytest.mark.parametrize(
    ("image", "place"),
    [(f"{IMAGE}:$(TAG)", "config.yaml:data.tag"), ("$(IMAGE)", "config.yaml:data.whole")],
)
def test_a_variable_is_edited_where_it_gets_its_value(image: str, place: str) -> None:
    assert places(with_vars(image)) == [place]
    assert "pod.yaml" not in changed(with_vars(image)).files


def test_a_variable_of_a_base_is_resolved_for_the_overlay() -> None:
    files = with_vars(f"{IMAGE}:$(TAG)")
    overlay = MemoryTree(
        {
            **{
                name: files.read(name)
                for name in ("kustomization.yaml", "pod.yaml", "config.yaml", "vars.yaml")
            },
            "prod/kustomization.yaml": b"resources: ['..']\nnamePrefix: prod-\n",
        }
    )
    assert places(overlay, "prod") == ["config.yaml:data.tag"]


def test_images_over_a_variable_decide() -> None:
    images = VARS + f"images: [{{name: {IMAGE}, newTag: v7}}]\n".encode()
    assert places(with_vars(f"{IMAGE}:$(TAG)", images)) == [f"kustomization.yaml:images[name={IMAGE}].newTag"]


@pytest.mark.parametrize(
    ("image", "kustomization", "cause"),
    [
        (f"{IMAGE}:v$(TAG)", VARS, "only a piece"),
        (f"{IMAGE}:$(TAG)", VARS.replace(b"data.tag", b"data.missing"), "no single value"),
        (f"{IMAGE}:$(TAG)", VARS.replace(b"versions", b"other"), "not in this repository"),
    ],
)
def test_a_variable_that_cannot_be_followed_is_refused(image: str, kustomization: bytes, cause: str) -> None:
    with pytest.raises(ManifestError, match=cause) as caught:
        places(with_vars(image, kustomization))
    assert (caught.value.file, caught.value.line) == ("kustomization.yaml", 4)


def test_an_unknown_variable_is_told_where_it_stands() -> None:
    with pytest.raises(Unparsable, match=r"pod\.yaml, line 7: .*template or variable"):
        places(with_vars(f"{IMAGE}:$(UNKNOWN)"))
