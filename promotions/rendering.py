"""What a Change means for the cluster: the manifests built before and after it, and their difference."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml
from django.utils.translation import gettext as _

from integrations import render as programs
from integrations.errors import IntegrationError, Rejected
from promotions import repositories
from promotions.manifests import Change, Tree
from promotions.manifests.diff import text_diff
from promotions.models import Stage

_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_FOLDERS_NAMED_IN = ("resources", "bases", "components")
_MOST_FILES = 300
_MOST_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Rendered:
    """`diff` is a unified diff of what is built; `note` says why there is none, `problem` that the result
    does not build although what is there now does: then nothing may be written.
    """

    diff: str = ""
    note: str = ""
    problem: str = ""


class _CannotRender(Exception):
    """The message says why, for a release manager."""


def rendered(stage: Stage, commit: str, change: Change) -> Rendered:
    """Build the Stage's manifests as they are at a commit, and with the Change."""
    try:
        tree = repositories.of(stage).tree(commit, stage.manifest_path)
        return compare(tree, stage.manifest_path, change.files)
    except IntegrationError as error:
        return Rendered(note=str(error))


def compare(tree: Tree, root: str, edited: Mapping[str, bytes]) -> Rendered:
    """Return the difference that new contents of some files make in what `root` builds to."""
    try:
        command, values = _command(tree, root, edited)
        files = _files(tree, root)
    except _CannotRender as reason:
        return Rendered(note=str(reason))
    try:
        before: bytes | None = programs.build(command, files, root, values=values)
        words = ""
    except Rejected as error:
        before, words = None, str(error)
    try:
        after = programs.build(command, {**files, **edited}, root, values=values)
    except Rejected as error:
        if before is None:
            return Rendered(note=_("The manifests do not build, with or without the change: %s") % error)
        return Rendered(problem=_("With this change the manifests no longer build: %s") % error)
    if before is None:
        return Rendered(note=_("The manifests do not build as they are now: %s") % words)
    return Rendered(diff=text_diff("rendered.yaml", before, after))


def _command(tree: Tree, root: str, edited: Mapping[str, bytes]) -> tuple[list[str], list[str]]:
    names = tree.entries(root)
    if any(name in names for name in _KUSTOMIZATIONS):
        if command := programs.kustomize_command():
            return command, []
        raise _CannotRender(_("Neither kustomize nor kubectl is installed here to build the manifests."))
    if "Chart.yaml" in names:
        if command := programs.helm_command():
            own = {posixpath.join(root, name) for name in ("Chart.yaml", "values.yaml")}
            return command, [path for path in edited if path not in own and path.endswith((".yaml", ".yml"))]
        raise _CannotRender(_("helm is not installed here to render the chart."))
    raise _CannotRender(_("Plain manifests: the cluster gets what Git shows."))


def _files(tree: Tree, root: str) -> dict[str, bytes]:
    """Return every file that building `root` may read: below it, and below the folders it names."""
    found: dict[str, bytes] = {}
    waiting, seen = [posixpath.normpath(root) if root else ""], set()
    while waiting:
        folder = waiting.pop()
        if folder in seen:
            continue
        seen.add(folder)
        for path in _below(tree, folder):
            if path not in found:
                found[path] = tree.read(path)
            if len(found) > _MOST_FILES or sum(map(len, found.values())) > _MOST_BYTES:
                raise _CannotRender(_("There are too many manifests to build them here."))
            if path.rpartition("/")[2] in _KUSTOMIZATIONS:
                waiting += _named_folders(tree, path, found[path])
    return found


def _below(tree: Tree, folder: str) -> Iterator[str]:
    for name, is_folder in tree.entries(folder).items():
        path = posixpath.join(folder, name)
        if tree.is_symlink(path):
            continue
        if is_folder:
            yield from _below(tree, path)
        else:
            yield path


def _named_folders(tree: Tree, path: str, content: bytes) -> list[str]:
    try:
        data = yaml.load(content, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return []
    folders = []
    for key in _FOLDERS_NAMED_IN:
        entries = data.get(key) if isinstance(data, dict) else None
        for entry in entries if isinstance(entries, list) else ():
            if not isinstance(entry, str):
                continue
            where = posixpath.normpath(posixpath.join(posixpath.dirname(path), entry))
            # Nothing is fetched for a preview: a remote base could be anything by the time it is applied.
            if "://" in entry or "?ref=" in entry or entry.startswith(("git@", "github.com/")):
                raise _CannotRender(_("%(file)s names a remote base, which is not fetched.") % {"file": path})
            if not where.startswith("..") and tree.entries(where):
                folders.append(where)
    return folders
