"""What a Stage's manifests say, and the Change that would bring a version to it: read at one commit."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from integrations.errors import IntegrationError
from promotions import repositories
from promotions.choices import EditStyle
from promotions.manifests import (
    Change,
    ManifestError,
    Reference,
    Style,
    Target,
    Tree,
    choose,
    compute_change,
    current_version,
    disagreement,
    find_references,
)
from promotions.models import ImageVersion, Stage


class NoChange(Exception):
    """The Change can't be computed; the message says why, in a sentence for a release manager."""


@dataclass(frozen=True, slots=True)
class Desired:
    """The version a Stage's manifests ask for at a commit."""

    commit: str
    references: tuple[Reference, ...]

    @property
    def tag(self) -> str:
        return current_version(self.references).tag or ""

    @property
    def digest(self) -> str:
        return current_version(self.references).digest or ""

    @property
    def problem(self) -> str:
        """Return what is wrong with these places taken together, or ""."""
        if not self.references:
            return _("No place in the manifests names this image.")
        return disagreement(self.references)


def tip(stage: Stage) -> str:
    """Return the manifest branch's tip; raises IntegrationError."""
    return repositories.of(stage).tip(stage.manifest_branch)


def _tree(stage: Stage, commit: str) -> Tree:
    return repositories.of(stage).tree(commit, stage.manifest_path)


def read_desired(stage: Stage, commit: str) -> Desired:
    """Return what the manifests ask for at a commit; raises ManifestError and IntegrationError."""
    return Desired(commit, tuple(_references(stage, _tree(stage, commit))))


def _references(stage: Stage, tree: Tree) -> list[Reference]:
    named = [place for place in stage.places if place != "*"]
    found = find_references(tree, stage.image.repository, root=stage.manifest_path, extra_paths=named)
    return choose(found, stage.places) if stage.places else found


def compute(stage: Stage, version: ImageVersion, *, commit: str) -> Change:
    """Return the Change that brings `version` to `stage`, as an edit of the files at `commit`.

    Raises NoChange, with the sentence to show, when it can't be computed for sure; IntegrationError when
    the repository does not answer.
    """
    tree = _tree(stage, commit)
    try:
        references = choose(_references(stage, tree), stage.places)
        if not references:
            raise NoChange(_nowhere(stage))
        return compute_change(tree, references, stage.image.repository, _target(stage, version))
    except ManifestError as error:
        raise NoChange(str(error)) from error


def _nowhere(stage: Stage) -> str:
    return _("No place below %(path)s in %(project)s names %(image)s.") % {
        "path": stage.manifest_path or "/",
        "project": stage.manifest_project,
        "image": stage.image.repository,
    }


def _target(stage: Stage, version: ImageVersion) -> Target:
    style = EditStyle(stage.edit_style)
    if style in (EditStyle.TAG, EditStyle.APP_VERSION) and version.is_mutable:
        raise NoChange(
            _("The tag %(tag)s moves between builds, so it can't name this one: let the Stage pin digests.")
            % {"tag": version.tag}
        )
    return Target(
        # With a pinned digest a chart's tag is a label, which must not go on naming the old version.
        tag=version.tag or None,
        digest=version.digest if style in (EditStyle.DIGEST, EditStyle.TAG_AND_DIGEST) else None,
        style=Style(style.value.replace("-", "_")),
    )


def compute_or_explain(stage: Stage, version: ImageVersion) -> tuple[str, Change | None, str]:
    """Return (tip, Change, "") or (tip or "", None, the sentence why not), for callers that only show it."""
    commit = ""
    try:
        commit = tip(stage)
        return commit, compute(stage, version, commit=commit), ""
    except (NoChange, IntegrationError) as error:
        return commit, None, str(error)
