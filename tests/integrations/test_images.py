"""Image names in every form the vendors write them (registry-and-harbor.md)."""

from __future__ import annotations

import pytest

from integrations.images import ImageName, is_digest, parse_image

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("harbor.centre.com/k8s/app:1.0.0", ImageName("harbor.centre.com", "k8s/app", "1.0.0")),
        (f"harbor.centre.com/k8s/app:1.0@{DIGEST}", ImageName("harbor.centre.com", "k8s/app", "1.0", DIGEST)),
        (f"docker-pullable://reg.io:5000/a/b/c@{DIGEST}", ImageName("reg.io:5000", "a/b/c", "", DIGEST)),
        ("nginx", ImageName("docker.io", "library/nginx")),
        ("nginx:1.27", ImageName("docker.io", "library/nginx", "1.27")),
        ("org/app:dev", ImageName("docker.io", "org/app", "dev")),
        ("index.docker.io/org/app", ImageName("docker.io", "org/app")),
        ("localhost/app:1", ImageName("localhost", "app", "1")),
        ("localhost:5000/app", ImageName("localhost:5000", "app")),
        ("[::1]:5000/app:x", ImageName("[::1]:5000", "app", "x")),
        ("Harbor.Centre.COM/k8s/app", ImageName("harbor.centre.com", "k8s/app")),
        ("  reg.io/a/b__c-d.e:_x \n", ImageName("reg.io", "a/b__c-d.e", "_x")),
    ],
)
def test_a_name_is_taken_apart(text: str, expected: ImageName) -> None:
    assert parse_image(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ":",
        "@",
        "/",
        "reg.io/",
        "reg.io/App",
        "reg.io/a:",
        "reg.io/a@",
        "reg.io/a@sha256:12",
        "reg.io/a b",
        "reg.io/a:tag+1",
        "reg.io//a",
        "reg.io/a:" + "x" * 129,
        "reg.io/../a",
        "reg.io/a\n/b",
        "$(params.image)",
        "{{ .Values.image }}",
        "sha256:" + "ab" * 32 + "@x",
        "reg.io/" + "a/" * 200 + "a",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an image name"):
        parse_image(text)


def test_a_name_is_written_as_it_was_meant() -> None:
    assert str(parse_image(f"nginx:1@{DIGEST}")) == f"docker.io/library/nginx:1@{DIGEST}"
    assert parse_image("reg.io/a/b:1").name == "reg.io/a/b"


def test_a_digest_is_told_from_a_tag() -> None:
    assert is_digest(DIGEST)
    assert not is_digest("1.0.0")
    assert not is_digest("sha256-" + "ab" * 32)
