"""What a Stage's manifests say, and the Change that would bring a version to it: read at one commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import yaml
from django.utils.translation import gettext as _

from integrations.errors import IntegrationError
from promotions import repositories
from promotions.choices import EditStyle
from promotions.manifests import (
    Ambiguous,
    Change,
    ManifestError,
    MemoryTree,
    Order,
    Reference,
    Style,
    Target,
    Tree,
    choose,
    compute_release,
    current_version,
    find_references,
    said_by,
)
from promotions.models import ImageVersion, Stage


class NoChange(Exception):
    """The Change can't be computed; the message says why, in a sentence for a release manager.

    `candidates` are the places where several decide and somebody has to choose.
    """

    def __init__(self, message: str, candidates: tuple[Reference, ...] = ()) -> None:
        self.candidates = candidates
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Desired:
    """The version a Stage's manifests ask for at a commit; `problem` is what is wrong with the places."""

    commit: str
    references: tuple[Reference, ...]
    problem: str

    @property
    def tag(self) -> str:
        return current_version(self.references).tag or ""

    @property
    def digest(self) -> str:
        return current_version(self.references).digest or ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Places that make one version together, and the catalogue's YAML that remembers to take them."""

    places: tuple[Reference, ...]
    catalogue: str


@dataclass(frozen=True, slots=True)
class Look:
    """What a promotion would write at `commit`; without a `change`, `problem` says why.

    `choices` are what somebody has to choose from, `disagreement` says that the places name different
    versions by now; both are empty where there is nothing to say.
    """

    commit: str
    change: Change | None = None
    problem: str = ""
    choices: tuple[Choice, ...] = ()
    disagreement: str = ""


def tip(stage: Stage) -> str:
    """Return the manifest branch's tip; raises IntegrationError."""
    return repositories.of(stage).tip(stage.manifest_branch)


def _tree(stage: Stage, commit: str) -> Tree:
    return repositories.of(stage).tree(commit, stage.manifest_path)


def read_desired(stage: Stage, commit: str) -> Desired:
    """Return what the manifests ask for at a commit; raises ManifestError and IntegrationError."""
    references = tuple(_references(stage, _tree(stage, commit)))
    nowhere = "" if references else _("No place in the manifests names this image.")
    return Desired(commit, references, nowhere or _disagreement(stage, references))


def _references(stage: Stage, tree: Tree) -> list[Reference]:
    named = [place for place in stage.places if place != "*"]
    found = find_references(tree, stage.image.repository, root=stage.manifest_path, extra_paths=named)
    return choose(found, stage.places) if stage.places else found


def compute(stage: Stage, version: ImageVersion, *, commit: str) -> Change:
    """Return the Change that brings `version` to `stage`, as an edit of the files at `commit`.

    Raises NoChange, with the sentence to show, when it can't be computed for sure; IntegrationError when
    the repository does not answer.
    """
    return compute_together([(stage, version)], commit=commit)


def compute_together(wanted: Iterable[tuple[Stage, ImageVersion]], *, commit: str) -> Change:
    """Return the one Change that brings each version to its Stage, all in one repository.

    Raises as `compute`; none wanted gives a Change without edits.
    """
    trees: list[Tree] = []
    orders = []
    try:
        for stage, version in wanted:
            trees.append(_tree(stage, commit))
            orders.append(_order(stage, version, _references(stage, trees[-1])))
        # Outside its root a tree is read folder by folder, so the first one will do for all.
        return compute_release(trees[0] if trees else MemoryTree({}), orders)
    except ManifestError as error:
        raise NoChange(str(error)) from error


def _order(stage: Stage, version: ImageVersion, found: Sequence[Reference]) -> Order:
    try:
        references = choose(found, stage.places)
    except Ambiguous as error:
        raise NoChange(str(error), error.candidates) from error
    if not references:
        raise NoChange(_nowhere(stage))
    return Order(references, stage.image.repository, _target(stage, version))


def look(stage: Stage, version: ImageVersion) -> Look:
    """Return what would change at the branch's tip, or why nothing can, for callers that only show it."""
    commit = ""
    found: tuple[Reference, ...] = ()
    try:
        commit = tip(stage)
        tree = _tree(stage, commit)
        found = tuple(_references(stage, tree))
        change = compute_release(tree, [_order(stage, version, found)])
    except NoChange as error:
        choices = _choices(stage, error.candidates)
        return Look(commit, None, str(error), choices, _disagreement(stage, found))
    except (ManifestError, IntegrationError) as error:
        return Look(commit, None, str(error), (), _disagreement(stage, found))
    return Look(commit, change, "", (), _disagreement(stage, found))


def _choices(stage: Stage, candidates: Sequence[Reference]) -> tuple[Choice, ...]:
    groups: dict[str, list[Reference]] = {}
    for each in candidates:
        groups.setdefault(each.group, []).append(each)
    # One place of a group brings the others along, so one is enough to remember.
    return tuple(Choice(tuple(group), remembered(stage, group[0].place)) for group in groups.values())


def remembered(stage: Stage, place: str) -> str:
    """Return the YAML for the catalogue's file that chooses a place; `*` chooses all."""
    manifests = {"manifests": {"places": [place]}}
    stages = {"stages": {stage.environment.slug: manifests}}
    wanted = {"applications": {stage.application.slug: stages}}
    return yaml.safe_dump(wanted, width=10_000, allow_unicode=True, sort_keys=False)


def _disagreement(stage: Stage, references: Sequence[Reference]) -> str:
    """The sentence that places name different versions: of several, or of a tag and the digest beside it."""
    if said := said_by(references):
        words = [
            _("%(place)s says %(version)s") % {"place": each.place, "version": version or _("nothing")}
            for each, version in said
        ]
        return _("The places of %(image)s disagree: %(said)s.") % {
            "image": stage.image.repository,
            "said": "; ".join(words),
        }
    tag, digest, _agree = current_version(references)
    if not tag or not digest:
        return ""
    pinned = ImageVersion.objects.filter(image=stage.image, digest=digest).first()
    # A moving tag belongs to the newest build alone; only one that names another build misleads.
    named = ImageVersion.objects.filter(image=stage.image, tags__contains=[tag]).first()
    if pinned is None or named is None or named == pinned:
        return ""
    return _("Git says %(tag)s, but the digest beside it is that of %(other)s: the digest is what runs.") % {
        "tag": tag,
        "other": pinned.label,
    }


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
