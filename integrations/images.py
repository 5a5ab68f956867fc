"""Names of container images, read the same way everywhere.

The grammar is the OCI one (reference registry-and-harbor.md, "OCI distribution endpoints"): a tag is
`[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`, repositories are lower-case, the digest is the identity.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_HOST = "docker.io"

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}")
_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_HOST = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?"
)
# Argo CD and the kubelet write these in front of imageID values.
_SCHEMES = ("docker-pullable://", "docker://", "containerd://", "cri-o://", "https://", "http://", "oci://")


@dataclass(frozen=True, slots=True)
class ImageName:
    """One image reference, normalised: `host` is lower-case and never empty, `tag` and `digest` are
    empty when the text had none. `docker.io/nginx` becomes `docker.io/library/nginx`."""

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Host and repository, without tag and digest."""
        return f"{self.host}/{self.repository}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def parse_image(text: str) -> ImageName:
    """The parts of an image reference such as `harbor.centre.com/k8s/app:1.0.0@sha256:...`.

    Accepts the `imageID` forms of Kubernetes (`docker-pullable://...`). Raises ValueError, with the
    text in the message, for anything that is not an image name.
    """
    rest = text.strip()
    for scheme in _SCHEMES:
        rest = rest.removeprefix(scheme)
    rest, _, digest = rest.partition("@")
    host, path = _split_host(rest)
    path, tag = _split_tag(path)
    if host == DEFAULT_HOST and "/" not in path:
        path = f"library/{path}"
    if not _is_valid(host, path, tag, digest) or text.strip().endswith("@"):
        raise ValueError(f"not an image name: {text[:200]!r}")
    return ImageName(host=host, repository=path, tag=tag, digest=digest.lower())


def is_digest(text: str) -> bool:
    """Whether the text is a digest such as `sha256:<hex>`: Harbor puts one where a tag should be."""
    return _DIGEST.fullmatch(text) is not None


def _split_host(rest: str) -> tuple[str, str]:
    first, slash, path = rest.partition("/")
    # The first part is a host only if it cannot be a repository: a dot, a port, a capital or localhost.
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        host = first.lower()
        return (DEFAULT_HOST if host in ("index.docker.io", "registry-1.docker.io") else host), path
    return DEFAULT_HOST, rest


def _split_tag(path: str) -> tuple[str, str]:
    head, colon, last = path.rpartition(":")
    return (head, last or ":") if colon else (path, "")


def _is_valid(host: str, path: str, tag: str, digest: str) -> bool:
    parts_ok = bool(path) and len(path) <= 255 and all(_PART.fullmatch(part) for part in path.split("/"))
    return (
        parts_ok
        and _HOST.fullmatch(host) is not None
        and (not tag or _TAG.fullmatch(tag) is not None)
        and (not digest or is_digest(digest))
    )
