"""Places under search: a scalar with its address, and the image reference that it makes."""

from __future__ import annotations

from dataclasses import dataclass

from promotions.manifests.errors import Unparsable
from promotions.manifests.images import BARE_DIGEST, DIGEST, TAG, ImageText, split_image
from promotions.manifests.keypath import Path, render
from promotions.manifests.model import Kind, Part, Reference
from promotions.manifests.nodes import Parsed, Scalar, text_of


@dataclass(frozen=True, slots=True)
class Place:
    """A scalar, how it is reached, and what it means for the version.

    Of an `absent` place, `path` leads to the key that is not there yet, and the scalar is its neighbour's.
    """

    parsed: Parsed
    document: int
    path: Path
    scalar: Scalar
    kind: Kind
    part: Part
    together: str = ""
    partner: str = ""
    absent: bool = False

    @property
    def group(self) -> str:
        """Places in one mapping make one image reference together, unless `together` says it."""
        return self.together or f"{self.parsed.file}#{self.document}:{render(self.path[:-1])}"


def image_in(text: str) -> ImageText:
    """A whole image reference; Argo CD's `old=new:tag` counts as its right side."""
    return split_image(text.rpartition("=")[2])


def parts_of(value: str, part: Part) -> ImageText:
    """Tag and digest that a scalar of this part gives; the repository only of a whole reference."""
    if part is Part.IMAGE:
        return image_in(value)
    if part is Part.DIGEST:
        return ImageText("", None, f"sha256:{value}" if BARE_DIGEST.match(value) else value or None)
    # `1.2.0@sha256:...` in a tag is what Renovate writes, and renderers concatenate it rightly.
    tag, at, digest = value.partition("@")
    return ImageText("", tag or None, digest if at else None)


def reference(place: Place, image: str, group: str = "") -> Reference:
    """The public form of a place; raises Unparsable when it holds a template or variable."""
    value = "" if place.absent else place.scalar.value
    # `tag: null` and `tag: ~` are empty, not a tag of that name.
    parts = parts_of(_text(place), place.part)
    key_path = render(place.path)
    _check_literal(place, parts, key_path)
    return Reference(
        file=place.parsed.file,
        document=place.document,
        key_path=key_path,
        kind=place.kind,
        image=image,
        value=value,
        tag=parts.tag,
        digest=parts.digest,
        line=place.scalar.line,
        part=place.part,
        group=group or place.group,
        partner=place.partner,
        absent=place.absent,
    )


def _text(place: Place) -> str:
    text = "" if place.absent else text_of(place.scalar)
    return literal_value(text) if place.kind is Kind.KUSTOMIZE_LITERAL else text


def literal_value(text: str) -> str:
    """The value of a ConfigMap generator's `KEY=value`."""
    return text.partition("=")[2]


def _check_literal(place: Place, parts: ImageText, key_path: str) -> None:
    # Chart versions may hold `+`, which a tag may not.
    bad_tag = place.part is not Part.VERSION and parts.tag is not None and not TAG.match(parts.tag)
    # `${TAG}` and `{{ tag }}` are filled by another tool: an edit would cut that tool out.
    bad_digest = parts.digest is not None and not DIGEST.match(parts.digest)
    if bad_tag or bad_digest:
        shown = place.scalar.value[:120]
        cause = (
            f"{key_path} holds {shown!r}, a template or variable or no valid version: fill it in Git first"
        )
        raise Unparsable(place.parsed.file, place.scalar.line, cause)
