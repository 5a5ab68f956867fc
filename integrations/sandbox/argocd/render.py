"""From an Application's source to manifests, as the repo server does it."""

from __future__ import annotations

import copy
import json
import posixpath
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from integrations.sandbox.argocd import helm, kustomize
from integrations.sandbox.argocd.kustomize import RenderError, documents
from integrations.sandbox.gitinfo import project_of, resolve
from integrations.sandbox.world import World

Object = dict[str, Any]
CLUSTER_KINDS = (
    "Namespace",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "PersistentVolume",
)
MADE_KEPT = 100
_made: WeakKeyDictionary[World, dict[str, tuple[str, list[Object]]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Rendered:
    """The manifests of all sources, the commits they came from and the tools that made them."""

    manifests: list[Object]
    revisions: list[str]
    types: list[str]


def sources(spec: Object) -> list[Object]:
    """Return the sources; a non-empty `sources` wins over `source` (reference argocd-api.md section 7)."""
    return spec.get("sources") or [spec.get("source", {})]


async def render(world: World, application: Object, revisions: list[str]) -> Rendered:
    """Generate the manifests at `revisions` (one per source, "" = its targetRevision); raise RenderError."""
    spec = application["spec"]
    found: list[Object] = []
    commits: list[str] = []
    types: list[str] = []
    for number, source in enumerate(sources(spec)):
        asked = (
            revisions[number]
            if number < len(revisions) and revisions[number]
            else source.get("targetRevision")
        )
        try:
            # Branch, tag or id: what comes back is always the commit, and that is what status shows.
            commit = await resolve(world, source["repoURL"], asked or "HEAD")
            if commit is None:
                raise RenderError(f"unable to resolve '{asked or 'HEAD'}' to a commit SHA")
            commits.append(commit.commit)
            # A source that is only referred to ($values) makes no manifests of its own.
            if source.get("ref") and not source.get("path"):
                continue
            type_, manifests = _generate(world, application, source, commit.commit)
        except RenderError as error:
            total = len(sources(spec))
            raise RenderError(
                "Failed to load target state: failed to generate manifest for source "
                f"{number + 1} of {total}: rpc error: code = Unknown desc = {error}"
            ) from error
        types.append(type_)
        found += manifests
    namespace = spec["destination"].get("namespace", "default")
    return Rendered([_placed(item, namespace) for item in found], commits, types)


def _generate(world: World, application: Object, source: Object, commit: str) -> tuple[str, list[Object]]:
    """Return a copy of what was made last time: a commit's files never change, as in Argo CD's own cache."""
    kept = _made.setdefault(world, {})
    wanted = [application["metadata"]["name"], application["spec"]["destination"], source, commit]
    key = json.dumps(wanted, sort_keys=True)
    if key not in kept:
        if len(kept) >= MADE_KEPT:
            kept.clear()
        kept[key] = _generated(world, application, source, commit)
    type_, manifests = kept[key]
    return type_, copy.deepcopy(manifests)


def _generated(world: World, application: Object, source: Object, commit: str) -> tuple[str, list[Object]]:
    name, namespace = application["metadata"]["name"], application["spec"]["destination"].get("namespace", "")
    folder = posixpath.normpath(source.get("path", "."))
    files = world.git.files(project_of(source["repoURL"]), commit)
    if folder != "." and not any(path.startswith(folder + "/") for path in files):
        raise RenderError(f"{folder}: app path does not exist")
    # Laid over the source before the tool is chosen, as the repo server does.
    source = _overridden(files, folder, name, source)
    # Chart.yaml before a kustomization, and a plain directory where there is neither.
    if posixpath.normpath(posixpath.join(folder, "Chart.yaml")) in files:
        return "Helm", helm.build(files, folder, name, namespace, source.get("helm") or {})
    if kustomize.name_of(files, folder) is not None:
        return "Kustomize", kustomize.build(files, folder, (source.get("kustomize") or {}).get("images", []))
    return "Directory", _plain(files, folder, recurse=bool((source.get("directory") or {}).get("recurse")))


def _overridden(files: dict[str, bytes], folder: str, name: str, source: Object) -> Object:
    """Return the source with the override files of the Image Updater merged in."""
    for override in (".argocd-source.yaml", f".argocd-source-{name}.yaml"):
        path = posixpath.normpath(posixpath.join(folder, override))
        if path in files:
            source = kustomize.merge(source, documents(files[path], path)[0])
    return source


def _plain(files: dict[str, bytes], folder: str, *, recurse: bool) -> list[Object]:
    prefix = "" if folder == "." else folder + "/"
    items: list[Object] = []
    for path in sorted(files):
        rest = path.removeprefix(prefix)
        # Without `recurse` the folder itself and no more.
        if not path.startswith(prefix) or (("/" in rest) and not recurse) or rest.startswith("."):
            continue
        if path.endswith((".yaml", ".yml", ".json")):
            items += [
                item for item in documents(files[path], path) if "kind" in item and "apiVersion" in item
            ]
    return items


def _placed(item: Object, namespace: str) -> Object:
    # A manifest's own namespace wins over the destination's.
    if item["kind"] not in CLUSTER_KINDS:
        item.setdefault("metadata", {}).setdefault("namespace", namespace)
    return item
