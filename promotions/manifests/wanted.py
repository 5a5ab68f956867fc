"""What a place shall hold for a target version, by the Stage's style and the place's part."""

from __future__ import annotations

from collections.abc import Sequence

from promotions.manifests.errors import ManifestError, Unsafe
from promotions.manifests.images import BARE_DIGEST, DIGEST, TAG, join_image
from promotions.manifests.model import Kind, Part, Reference, Style, Target
from promotions.manifests.places import image_in


def check_target(target: Target) -> None:
    """Raises Unsafe for a tag or digest that no registry accepts: it would be written into YAML."""
    if target.tag is not None and not TAG.match(target.tag):
        raise Unsafe("", None, f"{target.tag[:140]!r} is not a valid image tag")
    if target.digest is not None and not DIGEST.match(target.digest):
        raise Unsafe("", None, f"{target.digest[:140]!r} is not a valid image digest")
    if target.style is not Style.DIGEST and target.tag is None:
        raise ManifestError("", None, "the stage prescribes a tag, and this version has none")
    if target.style in {Style.DIGEST, Style.TAG_AND_DIGEST} and target.digest is None:
        raise ManifestError("", None, "the stage prescribes a digest, and this version has none")


def wanted_value(
    reference: Reference, current: str, references: Sequence[Reference], target: Target
) -> str | None:
    """The new text of one place whose text is `current`; None leaves it as it is.

    `references` are all places of the order: a tag and the digest beside it depend on each other.
    Raises ManifestError when the place cannot hold what the style prescribes.
    """
    if reference.part is Part.VERSION:
        return _version(reference, target)
    if target.style is Style.APP_VERSION:
        raise _refused(reference, "holds a tag, and the stage prescribes the chart's appVersion")
    if reference.part is Part.IMAGE:
        return _image(current, target)
    beside = [each for each in references if each.group == reference.group and each is not reference]
    if reference.part is Part.DIGEST:
        return _digest(reference, current, target)
    return _tag(reference, current, beside, target)


def _refused(reference: Reference, cause: str) -> ManifestError:
    return ManifestError(reference.file, reference.line, f"{reference.key_path} {cause}")


def _version(reference: Reference, target: Target) -> str:
    if target.tag is None or target.style in {Style.DIGEST, Style.TAG_AND_DIGEST}:
        raise _refused(reference, "holds a version, and the stage prescribes a digest")
    if reference.kind is Kind.CHART_APP_VERSION:
        return target.tag
    # Reference tag-ordering.md, rule 3: `+` cannot stand in a tag, so Helm pushes `1.2.3+b` as `1.2.3_b`.
    return target.tag.replace("_", "+")


def _image(current: str, target: Target) -> str:
    # `old=new:tag` of Argo CD keeps its left side.
    renamed, equals, _ = current.rpartition("=")
    tag = None if target.style is Style.DIGEST else target.tag
    digest = None if target.style is Style.TAG else target.digest
    return renamed + equals + join_image(image_in(current).repository, tag, digest)


def _digest(reference: Reference, current: str, target: Target) -> str | None:
    if target.style is Style.TAG:
        if not current:
            return None
        cause = "pins a digest, which wins over any tag; prescribe tag and digest for this stage"
        raise _refused(reference, cause)
    assert target.digest is not None
    # Grafana's charts write `sha:` without the algorithm.
    bare = BARE_DIGEST.match(current) or reference.key_path.rpartition(".")[2] in {"sha", "sha256"}
    return target.digest.removeprefix("sha256:") if bare else target.digest


def _tag(reference: Reference, current: str, beside: Sequence[Reference], target: Target) -> str | None:
    pinned = any(each.part is Part.DIGEST for each in beside)
    if target.style is Style.TAG_AND_DIGEST and not pinned:
        return f"{target.tag}@{target.digest}"
    if target.style is Style.DIGEST and not pinned:
        raise _refused(
            reference, "holds a tag and has no digest beside it; add one in Git, or prescribe a tag"
        )
    # With a digest beside it the tag is a label; a label that still names the old version would mislead.
    return target.tag if current or target.style is not Style.DIGEST else None
