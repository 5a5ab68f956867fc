"""Where several places in the manifests decide one version: what people choose from."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from promotions.changes import Choice, remembered
from promotions.manifests import Kind, Reference
from promotions.models import Stage

_KINDS: dict[Kind, str | Promise] = {
    Kind.KUSTOMIZE_NEW_TAG: _("Kustomize images, tag"),
    Kind.KUSTOMIZE_DIGEST: _("Kustomize images, digest"),
    Kind.KUSTOMIZE_NEW_NAME: _("Kustomize images, name"),
    Kind.KUSTOMIZE_SOURCE: _("value that Kustomize copies into the image"),
    Kind.KUSTOMIZE_LITERAL: _("literal that Kustomize copies into the image"),
    Kind.PATCH: _("Kustomize patch"),
    Kind.JSON6902: _("Kustomize JSON patch"),
    Kind.PLAIN: _("manifest"),
    Kind.PLAIN_FIELD: _("manifest of another kind"),
    Kind.HELM_TAG: _("Helm values, tag"),
    Kind.HELM_DIGEST: _("Helm values, digest"),
    Kind.HELM_REPOSITORY: _("Helm values, repository"),
    Kind.HELM_STRING: _("Helm values, whole image"),
    Kind.CHART_APP_VERSION: _("appVersion of a chart"),
    Kind.CHART_DEPENDENCY_VERSION: _("version of a chart's dependency"),
    Kind.ARGOCD_KUSTOMIZE_IMAGE: _("Argo CD Application, image"),
    Kind.ARGOCD_HELM_PARAMETER: _("Argo CD Application, Helm parameter"),
    Kind.ARGOCD_HELM_VALUES: _("Argo CD Application, Helm values"),
    Kind.ARGOCD_TARGET_REVISION: _("Argo CD Application, revision"),
    Kind.IMAGE_UPDATER: _("file of the Argo CD Image Updater"),
    Kind.JSON: _("JSON file"),
    Kind.NAMED: _("named in the catalogue"),
}


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """`document` counts from 1, and is 0 in a file's first document, where it need not be said."""

    file: str
    document: int
    key: str
    value: str
    line: int
    kind: str


@dataclass(frozen=True, slots=True)
class ChoiceView:
    """One choice: the values that change together, and the YAML that remembers it."""

    places: tuple[PlaceRow, ...]
    catalogue: str


@dataclass(frozen=True, slots=True)
class Choosing:
    """Everything to choose from; `every` is the YAML that takes all of them."""

    choices: tuple[ChoiceView, ...]
    every: str


def choosing(stage: Stage, choices: tuple[Choice, ...]) -> Choosing | None:
    """Return what the page shows, or None where there is nothing to choose."""
    if not choices:
        return None
    views = (ChoiceView(tuple(map(_row, each.places)), each.catalogue) for each in choices)
    return Choosing(tuple(views), remembered(stage, "*"))


def _row(place: Reference) -> PlaceRow:
    number = place.document + 1 if place.document else 0
    return PlaceRow(place.file, number, place.key_path, place.value, place.line, str(_KINDS[place.kind]))
