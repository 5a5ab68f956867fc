"""What a place shall hold for a target version, by the Stage's style and the place's part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from promotions.manifests.errors import ManifestError, Unsafe
from promotions.manifests.images import BARE_DIGEST, DIGEST, TAG, join_image
from promotions.manifests.model import Kind, Part, Reference, Style, Target
from promotions.manifests.places import image_in

_COPIED = frozenset({Kind.KUSTOMIZE_SOURCE, Kind.KUSTOMIZE_LITERAL})
_KUSTOMIZE = frozenset({Kind.KUSTOMIZE_NEW_TAG, Kind.KUSTOMIZE_DIGEST, Kind.KUSTOMIZE_NEW_NAME})


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


@dataclass(frozen=True, slots=True)
class Wanted:
    """What becomes of a place: its new text, or None where the key goes.

    `name` is another name that the key gets, `beside` a new key with its value next to it.
    """

    value: str | None
    name: str = ""
    beside: tuple[str, str] | None = None


def wanted(
    reference: Reference, current: str, references: Sequence[Reference], target: Target
) -> Wanted | None:
    """What shall become of one place whose text is `current`; None leaves it as it is.

    `references` are all places of the order: a tag and the digest beside it depend on each other.
    Raises ManifestError when the place cannot hold what the style prescribes.
    """
    if reference.kind is Kind.KUSTOMIZE_LITERAL:
        key, equals, current = current.partition("=")
        found = wanted(replace(reference, kind=Kind.KUSTOMIZE_SOURCE), current, references, target)
        return found and Wanted(f"{key}{equals}{found.value}")
    if reference.part is Part.VERSION:
        return Wanted(_version(reference, target))
    if target.style is Style.APP_VERSION:
        raise _refused(reference, "holds a tag, and the stage prescribes the chart's appVersion")
    beside = [each for each in references if each.group == reference.group and each.place != reference.place]
    if reference.kind in _KUSTOMIZE:
        return _kustomize(reference, current, beside, target)
    if reference.part is Part.IMAGE:
        return Wanted(_image(current, target))
    if reference.part is Part.DIGEST:
        return _digest(reference, current, beside, target)
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


def _kustomize(
    reference: Reference, current: str, beside: Sequence[Reference], target: Target
) -> Wanted | None:
    """An entry of `images:` may name a tag, a digest or both, so its keys follow what is prescribed.

    A digest wins over a tag, and one left behind would keep the old version running; `kustomize edit set
    image` drops the other one, too.
    """
    kinds = {each.kind for each in beside}
    if reference.kind is Kind.KUSTOMIZE_NEW_NAME:
        if kinds & _KUSTOMIZE:
            raise _refused(reference, "holds a version, and so does a key beside it; keep one of them in Git")
        return Wanted(_image(current, target))
    is_tag = reference.kind is Kind.KUSTOMIZE_NEW_TAG
    own = target.tag if is_tag else target.digest
    meant = target.style is Style.TAG_AND_DIGEST or (target.style is Style.TAG) == is_tag
    if kinds & _KUSTOMIZE:
        return Wanted(own) if meant else Wanted(None)
    other = ("digest", target.digest) if is_tag else ("newTag", target.tag)
    assert other[1] is not None or meant, "checked with the target"
    if not meant:
        return Wanted(other[1], name=other[0])
    if target.style is not Style.TAG_AND_DIGEST or other[1] is None:
        return Wanted(own)
    # Renovate writes both into newTag, which Kustomize concatenates rightly: a file keeps its habit.
    if is_tag and "@" in current:
        return Wanted(f"{target.tag}@{target.digest}")
    return Wanted(own, beside=(other[0], other[1]))


def _digest(reference: Reference, current: str, beside: Sequence[Reference], target: Target) -> Wanted | None:
    if target.style is Style.TAG:
        if not current:
            return None
        cause = "pins a digest, which wins over any tag; prescribe tag and digest for this stage"
        raise _refused(reference, cause)
    # The chart's own default is every environment's; a key beside the stage's tag overrides it.
    if any(each.partner for each in beside):
        return None
    return Wanted(_digest_text(reference.key_path.rpartition(".")[2], current, target))


def _digest_text(key: str, current: str, target: Target) -> str:
    assert target.digest is not None
    # Grafana's charts write `sha:` without the algorithm.
    bare = BARE_DIGEST.match(current) or key in {"sha", "sha256"}
    return target.digest.removeprefix("sha256:") if bare else target.digest


def _tag(reference: Reference, current: str, beside: Sequence[Reference], target: Target) -> Wanted | None:
    if reference.absent and target.style is Style.DIGEST:
        return None
    if target.style is Style.TAG:
        return Wanted(target.tag)
    if reference.partner and "@" not in current:
        key = reference.partner
        return Wanted(target.tag or current, beside=(key, _digest_text(key, "", target)))
    pinned = any(each.part is Part.DIGEST for each in beside)
    # Kustomize puts a copied value into the image as it is; what a chart does with its tag is not known
    # (a label made of it must not hold an `@`), unless a file writes both into it already.
    if target.style is Style.TAG_AND_DIGEST and not pinned and (reference.kind in _COPIED or "@" in current):
        return Wanted(f"{target.tag}@{target.digest}")
    if not pinned:
        cause = "holds a tag and has no digest beside it; add one in Git, name it in the catalogue's places"
        raise _refused(reference, f"{cause}, or prescribe a tag")
    # With a digest beside it the tag is a label; a label that still names the old version would mislead.
    return Wanted(target.tag) if target.tag and (current or target.style is not Style.DIGEST) else None
