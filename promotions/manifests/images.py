"""Image references as text: splitting, comparing, checking. Tags compare exactly, hosts without case."""

from __future__ import annotations

import re
from dataclasses import dataclass

TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z|sha512:[0-9a-f]{128}\Z")
BARE_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/\[\]-]*\Z")
# Docker Hub answers under several names; clients treat them as one registry.
_DOCKER_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})


@dataclass(frozen=True, slots=True)
class ImageText:
    """`repository[:tag][@digest]` taken apart; empty parts are None."""

    repository: str
    tag: str | None
    digest: str | None


def split_image(text: str) -> ImageText:
    """Takes a reference apart without judging it: a port's colon is not a tag's."""
    # The digest first: it holds a colon of its own.
    rest, at, digest = text.partition("@")
    head, slash, last = rest.rpartition("/")
    name, colon, tag = last.partition(":")
    return ImageText(head + slash + name, tag if colon else None, digest if at else None)


def join_image(repository: str, tag: str | None, digest: str | None) -> str:
    """The inverse of `split_image`."""
    return repository + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def normalise(repository: str) -> str:
    """The repository in full, for comparing: `nginx` is `docker.io/library/nginx`.

    A tag or digest is cut off; the registry's host loses its case. Paths keep theirs: they are
    lower-case by rule, and a wrong case must not match silently.
    """
    name = split_image(repository.strip()).repository
    name = name.removeprefix("oci://").removeprefix("docker://").rstrip("/")
    # Docker's rule: the first part is a host only with a dot, a port, or as `localhost`.
    host, slash, path = name.partition("/")
    if not slash or not _is_host(host):
        host, path = "docker.io", name
    host = host.lower()
    host = "docker.io" if host in _DOCKER_HUB else host
    return f"{host}/library/{path}" if host == "docker.io" and "/" not in path else f"{host}/{path}"


def same_repository(left: str, right: str) -> bool:
    """Whether two references name the same repository, whatever their tags."""
    return bool(left) and bool(right) and normalise(left) == normalise(right)


def looks_like_repository(text: str) -> bool:
    """A cheap sieve before `normalise`: no blanks, no template marks."""
    return _REPOSITORY.match(text) is not None


def basename(image: str) -> str:
    """The last path component without tag and digest: what every mention of the image contains."""
    return split_image(image).repository.rpartition("/")[2]


def _is_host(text: str) -> bool:
    return "." in text or ":" in text or text.lower() == "localhost"
