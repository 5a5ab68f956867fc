"""The words of a manifest change: where an image is named, what shall stand there, what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The format of a place, one member per format that decides which version of an image runs."""

    # The API shows these values: renaming one is a breaking change.
    KUSTOMIZE_NEW_TAG = "kustomize_new_tag"
    KUSTOMIZE_DIGEST = "kustomize_digest"
    KUSTOMIZE_NEW_NAME = "kustomize_new_name"
    # What `replacements:` or `vars:` copy into an image: a field, or a generator's `KEY=value`.
    KUSTOMIZE_SOURCE = "kustomize_source"
    KUSTOMIZE_LITERAL = "kustomize_literal"
    PATCH = "patch"
    JSON6902 = "json6902"
    PLAIN = "plain"
    # An `image:` outside container lists, where Kustomize's `images:` does not reach.
    PLAIN_FIELD = "plain_field"
    HELM_TAG = "helm_tag"
    HELM_DIGEST = "helm_digest"
    HELM_REPOSITORY = "helm_repository"
    HELM_STRING = "helm_string"
    CHART_APP_VERSION = "chart_app_version"
    CHART_DEPENDENCY_VERSION = "chart_dependency_version"
    ARGOCD_KUSTOMIZE_IMAGE = "argocd_kustomize_image"
    ARGOCD_HELM_PARAMETER = "argocd_helm_parameter"
    ARGOCD_HELM_VALUES = "argocd_helm_values"
    # The chart's version, where the promoted artifact is the chart itself.
    ARGOCD_TARGET_REVISION = "argocd_target_revision"
    IMAGE_UPDATER = "image_updater"
    JSON = "json"
    NAMED = "named"


class Part(StrEnum):
    """What the scalar holds: a whole image reference, or one part of it that stands by itself."""

    IMAGE = "image"
    TAG = "tag"
    DIGEST = "digest"
    # A chart's version: semantic, so `+` is allowed, and no digest is.
    VERSION = "version"


class Style(StrEnum):
    """How a Stage wants the version written."""

    TAG = "tag"
    DIGEST = "digest"
    TAG_AND_DIGEST = "tag_and_digest"
    APP_VERSION = "app_version"


@dataclass(frozen=True, slots=True)
class Target:
    """The version that shall run: `digest` with its algorithm, `sha256:<64 hex>`."""

    tag: str | None
    digest: str | None
    style: Style


@dataclass(frozen=True, slots=True)
class Reference:
    """One scalar that decides which version of `image` runs.

    `document` counts from 0 within the file; `key_path` is readable and exact, for example
    `spec.template.spec.containers[name=web].image`; `value` is the scalar's text as YAML reads it;
    `tag` and `digest` are the parts of it. `group` is the same for the places that make one image
    reference together (a `tag` and the `digest` beside it), even when they live in two files.
    `partner` is a key that may be added beside it, since its reader takes the other half of a version
    from there. `absent` is a key that a person named and that is not there yet: `value` is "" then.
    """

    file: str
    document: int
    key_path: str
    kind: Kind
    image: str
    value: str
    tag: str | None
    digest: str | None
    line: int
    part: Part = Part.IMAGE
    group: str = ""
    partner: str = ""
    absent: bool = False

    @property
    def place(self) -> str:
        """The place as one string, accepted by `find_references(extra_paths=...)` and `choose`."""
        number = f"#{self.document}" if self.document else ""
        return f"{self.file}{number}:{self.key_path}"


@dataclass(frozen=True, slots=True)
class Edit:
    """One scalar that changes; `old` and `new` are values as YAML reads them, without quotes.

    None stands for a key that is not there: `old` of one that is added, `new` of one that is removed.
    """

    file: str
    key: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """What a promotion writes. `files` holds the complete new bytes of every changed file.

    `hash` covers the edits alone (SHA-256 over canonical JSON), so it survives a moved tip whose
    surroundings differ; `diff` is a unified diff that `git apply` takes.
    """

    edits: tuple[Edit, ...]
    files: Mapping[str, bytes]
    diff: str
    hash: str
