"""Helm values as a merged tree that remembers which file each value comes from.

The same reading serves values files, `valuesObject`, `--set` parameters, and other files that are no
Kubernetes resources (a team's `images.json`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from promotions.manifests.errors import Unsafe
from promotions.manifests.images import DIGEST, ImageText, looks_like_repository, same_repository, split_image
from promotions.manifests.keypath import MAX_PATH, MAX_VISITS, Path, entries, item_steps
from promotions.manifests.model import Kind, Part
from promotions.manifests.nodes import Node, Parsed, Scalar, SequenceNode, resolve, text_of
from promotions.manifests.places import Place, parts_of
from promotions.manifests.resources import Slot

# Bitnami, most others, and Istio.
_REGISTRIES = ("registry", "imageRegistry", "hub")
_IMAGE_KEYS = ("repository", "repo", "name", "image")
_SUFFIX = re.compile(r"[_-]?(?:repository|repo|name|image)\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar value and where it stands; `kind` overrides what its file would give."""

    parsed: Parsed
    number: int
    path: Path
    scalar: Scalar
    kind: Kind | None = None

    @property
    def text(self) -> str:
        return text_of(self.scalar)


@dataclass(slots=True)
class Branch:
    """A mapping, or (with index keys) a list, of values."""

    children: dict[str, Values]
    is_list: bool = False


Values = Leaf | Branch


@dataclass(frozen=True, slots=True)
class Match:
    """An image named in values: its repository, and the leaves beside it that give the version."""

    repository: str
    name: Leaf
    tag: Leaf | None
    digest: Leaf | None
    path: tuple[str, ...]


def values_of(
    parsed: Parsed, number: int, node: Node | None, path: Path = (), kind: Kind | None = None
) -> Branch:
    """The values below a mapping; anything else counts as empty. Raises Unsafe for alias bombs."""
    made = _Reader(parsed, number, kind).read(node, path)
    return made if isinstance(made, Branch) else Branch({})


class _Reader:
    def __init__(self, parsed: Parsed, number: int, kind: Kind | None) -> None:
        self._parsed, self._number, self._kind = parsed, number, kind
        self._visits = 0

    def read(self, node: Node | None, path: Path) -> Values | None:
        node = resolve(node)
        self._visits += 1
        if self._visits > MAX_VISITS or len(path) > MAX_PATH:
            cause = "unfolds through its aliases into more values than a manifest may have"
            raise Unsafe(self._parsed.file, None, cause)
        if node is None:
            return None
        if isinstance(node, Scalar):
            return Leaf(self._parsed, self._number, path, node, self._kind)
        if isinstance(node, SequenceNode):
            pairs = zip(item_steps(node.items), node.items, strict=True)
            found = {str(step.number): self.read(item, (*path, step)) for step, item in pairs}
            return Branch({key: value for key, value in found.items() if value}, is_list=True)
        read = {key: self.read(value, (*path, key)) for key, value in entries(node)}
        return Branch({key: value for key, value in read.items() if value})


def merged(base: Values | None, over: Values) -> Values:
    """Helm's rule: mappings merge key by key, everything else is replaced, null removes."""
    # Lists are replaced as a whole, which surprises many; so the later file decides all of it.
    if not isinstance(base, Branch) or not isinstance(over, Branch) or over.is_list or base.is_list:
        return over
    children = dict(base.children)
    for key, value in over.children.items():
        if isinstance(value, Leaf) and not value.scalar.style and not value.text and value.scalar.value:
            # In Helm a null in a later file deletes the key.
            children.pop(key, None)
        else:
            children[key] = merged(children.get(key), value)
    return Branch(children)


def at(path: str, leaf: Leaf) -> Branch:
    """A tree of one leaf at a dotted path, as `--set image.tag=1` makes it."""
    # Helm's own escape for keys such as `nodeSelector.kubernetes\.io/role`.
    keys = [key.replace("\\.", ".") for key in re.split(r"(?<!\\)\.", path)]
    tree: Values = leaf
    for key in reversed(keys):
        tree = Branch({key: tree})
    assert isinstance(tree, Branch)
    return tree


def matches(values: Branch, image: str) -> Iterator[Match]:
    """Every place in the values that names the image, with the tag and digest that belong to it."""
    yield from _matches(values, image, _global_registry(values), ())


def _matches(values: Branch, image: str, registry: str, path: tuple[str, ...]) -> Iterator[Match]:
    for key, value in values.children.items():
        if isinstance(value, Branch):
            yield from _matches(value, image, registry, (*path, key))
            continue
        repository = _repository(values, key, value, image, registry)
        if repository and (match := _match(values, key, value, repository, path)):
            yield match


def _match(values: Branch, key: str, name: Leaf, repository: str, path: tuple[str, ...]) -> Match | None:
    parts = split_image(name.text)
    # With its version inside, what stands beside it is not for this image.
    if parts.tag or parts.digest:
        return Match(repository, name, None, None, (*path, key))
    tag = _beside(values, key, ("tag", "version"))
    digest = _beside(values, key, ("digest", "sha256", "sha"))
    # `name: app` alone is any name; only with a tag beside it is it an image.
    if key == "name" and tag is None and digest is None:
        return None
    return Match(repository, name, tag, digest, (*path, key))


def _repository(values: Branch, key: str, leaf: Leaf, image: str, registry: str) -> str:
    """The full repository that a leaf names if it names the image, registry prefixes honoured; else ""."""
    name = split_image(leaf.text).repository
    # Most texts in values are no images: this test is the cheap one.
    if not looks_like_repository(name):
        return ""
    own = next((text for each in _REGISTRIES if (text := _text(values, each)) and key != each), "")
    stem = _SUFFIX.sub("", key)
    own = own or (_text(values, f"{stem}Registry") if stem else "")
    # The global registry wins in most charts; some sub-charts ignore it, so both are tried.
    prefixes = [prefix for prefix in (registry, own) if prefix] or [""]
    for full in (*(f"{prefix.rstrip('/')}/{name}" if prefix else name for prefix in prefixes), name):
        if same_repository(full, image):
            return full
    return ""


def _global_registry(values: Branch) -> str:
    """`global.imageRegistry`, which Bitnami-style charts put before every repository."""
    shared = values.children.get("global")
    if not isinstance(shared, Branch):
        return ""
    inner = shared.children.get("image")
    nested = _text(inner, "registry") if isinstance(inner, Branch) else ""
    return next((text for each in _REGISTRIES if (text := _text(shared, each))), nested)


def _text(values: Branch, key: str) -> str:
    leaf = values.children.get(key)
    return leaf.text if isinstance(leaf, Leaf) else ""


def _beside(values: Branch, key: str, words: tuple[str, ...]) -> Leaf | None:
    """The leaf that completes `key`: `tag` beside `repository`, `webTag` beside `webImage`."""
    stem = _SUFFIX.sub("", key)
    names: list[str] = []
    for word in words:
        names += [word] if key in _IMAGE_KEYS else []
        for base in dict.fromkeys((key, stem, f"{stem}Image" if stem else "image", f"{stem}_image")):
            names += [f"{base}{word.capitalize()}", f"{base}_{word}", f"{base}-{word}"] if base else []
    for name in names:
        leaf = values.children.get(name)
        if isinstance(leaf, Leaf) and name != key:
            return leaf
    return None


def slot_of(match: Match, together: str, rank: Callable[[str], int] = lambda file: 0) -> Slot:
    """The slot of a match; without places where neither tag nor digest is given.

    `rank` says of two files which lies over the other: the higher one.
    """
    key = ".".join(match.path)
    group = f"{together}:{'.'.join(match.path[:-1])}"
    parts = split_image(match.name.text)
    if parts.tag or parts.digest:
        place = _place(match.name, _string_kind(match), Part.IMAGE, f"{together}:{key}")
        return Slot(key, "", match.repository, parts.tag, parts.digest, (place,))
    tag = parts_of(match.tag.text, Part.TAG) if match.tag else None
    digest = match.digest.text if match.digest else None
    partner = _partner(match, rank)
    places: list[Place] = []
    if match.tag and match.tag.text:
        places = [replace(_place(match.tag, Kind.HELM_TAG, Part.TAG, group), partner=partner)]
    # An empty digest is listed beside a tag: a stage with digests fills it.
    if match.digest is not None and (digest or (places and not partner)):
        places.append(_place(match.digest, Kind.HELM_DIGEST, Part.DIGEST, group))
    found = tag or ImageText("", None, None)
    return Slot(key, "", match.repository, found.tag, digest or found.digest, tuple(places))


def _partner(match: Match, rank: Callable[[str], int]) -> str:
    """The chart's own digest key, where the tag stands in a file that lies over the chart's.

    The chart's file is every environment's, so the digest belongs beside the environment's tag.
    """
    if match.tag is None or match.digest is None or not isinstance(name := match.digest.path[-1], str):
        return ""
    return name if rank(match.tag.parsed.file) > rank(match.digest.parsed.file) else ""


def with_empty_tag(slot: Slot, match: Match, together: str) -> Slot:
    """The slot with its empty `tag: ""` as the place, where no chart's appVersion stands in for it."""
    if match.tag is None:
        return slot
    group = f"{together}:{'.'.join(match.path[:-1])}"
    return replace(slot, places=(_place(match.tag, Kind.HELM_TAG, Part.TAG, group),))


def _string_kind(match: Match) -> Kind:
    return Kind.HELM_REPOSITORY if match.path[-1] in {"repository", "repo"} else Kind.HELM_STRING


def _place(leaf: Leaf, kind: Kind, part: Part, together: str) -> Place:
    text = leaf.scalar.value
    # `tag: "@sha256:..."` and a digest written into a tag key are still digests.
    part = Part.DIGEST if part is Part.TAG and DIGEST.match(text) else part
    chosen = leaf.kind or (Kind.JSON if leaf.parsed.file.endswith(".json") else kind)
    return Place(leaf.parsed, leaf.number, leaf.path, leaf.scalar, chosen, part, together)
