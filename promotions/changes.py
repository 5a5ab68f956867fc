"""What a Stage's manifests say, and the Change that would bring a version to it: read at one commit."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from integrations.errors import IntegrationError, NotFound
from integrations.gitlab import GitLabClient
from promotions import vendors
from promotions.choices import EditStyle
from promotions.manifests import (
    Change,
    ManifestError,
    Reference,
    Style,
    Target,
    choose,
    compute_change,
    current_version,
    disagreement,
    find_references,
)
from promotions.models import ImageVersion, Stage

_SYMBOLIC_LINK = "120000"


class NoChange(Exception):
    """The Change can't be computed; the message says why, in a sentence for a release manager."""


@dataclass
class GitLabTree:
    """A manifest project's files at one commit, read when asked for.

    Below `root` everything is listed at once; outside it (a Kustomize base) one folder at a time, for a
    repository may hold 20,000 files.
    """

    client: GitLabClient
    project: str
    commit: str
    root: str
    _files: dict[str, bytes] = field(default_factory=dict)
    _folders: dict[str, dict[str, bool]] = field(default_factory=dict)
    _links: set[str] = field(default_factory=set)

    def entries(self, folder: str) -> Mapping[str, bool]:
        if folder not in self._folders:
            self._list(folder)
        return self._folders.get(folder, {})

    def _list(self, folder: str) -> None:
        below_root = folder == self.root or folder.startswith(f"{self.root}/") or not self.root
        where = self.root if below_root else folder
        self._folders.setdefault(folder, {})
        try:
            listed = self.client.tree(self.project, self.commit, where, recursive=below_root)
        except NotFound:
            return
        for entry in listed:
            parent, _slash, name = entry.path.rpartition("/")
            self._folders.setdefault(parent, {})[name] = entry.type == "tree"
            if entry.type == "tree" and below_root:
                self._folders.setdefault(entry.path, {})
            if entry.mode == _SYMBOLIC_LINK:
                self._links.add(entry.path)

    def read(self, path: str) -> bytes:
        """Return a file's bytes; raises KeyError where there is none."""
        path = posixpath.normpath(path)
        if path not in self._files:
            try:
                self._files[path] = self.client.read_file(self.project, path, self.commit).content
            except NotFound as error:
                raise KeyError(path) from error
        return self._files[path]

    def is_symlink(self, path: str) -> bool:
        self.entries(path.rpartition("/")[0])
        return path in self._links


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


def _tree(stage: Stage, commit: str) -> GitLabTree:
    client = vendors.gitlab(stage.manifest_connection)
    return GitLabTree(client, stage.manifest_project, commit, stage.manifest_path)


def tip(stage: Stage) -> str:
    """Return the manifest branch's tip; raises IntegrationError."""
    client = vendors.gitlab(stage.manifest_connection)
    return client.branch(stage.manifest_project, stage.manifest_branch).commit_id


def read_desired(stage: Stage, commit: str) -> Desired:
    """Return what the manifests ask for at a commit; raises ManifestError and IntegrationError."""
    return Desired(commit, tuple(_references(stage, _tree(stage, commit))))


def _references(stage: Stage, tree: GitLabTree) -> list[Reference]:
    named = [place for place in stage.places if place != "*"]
    found = find_references(tree, stage.image.repository, root=stage.manifest_path, extra_paths=named)
    return choose(found, stage.places) if stage.places else found


def compute(stage: Stage, version: ImageVersion, *, commit: str) -> Change:
    """Return the Change that brings `version` to `stage`, as an edit of the files at `commit`.

    Raises NoChange, with the sentence to show, when it can't be computed for sure; IntegrationError when
    GitLab does not answer.
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
        tag=None if style == EditStyle.DIGEST else version.tag,
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
