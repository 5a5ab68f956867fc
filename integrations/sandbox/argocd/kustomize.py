"""As much of Kustomize as the scenarios' repositories use."""

from __future__ import annotations

import copy
import posixpath
from typing import Any

import yaml

Object = dict[str, Any]
NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# Lists that a strategic merge joins by a key of their elements; every other list is replaced.
MERGE_KEYS = {"ports": "containerPort", "volumeMounts": "mountPath"}


class RenderError(Exception):
    """The manifests can't be generated; the text is the tool's own."""


def documents(content: bytes, path: str) -> list[Object]:
    """Return the YAML documents of a file, Lists taken apart; raise RenderError."""
    try:
        # Empty documents between two `---` are nothing to build.
        found = [item for item in yaml.safe_load_all(content) if item]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())
        raise RenderError(f"error converting YAML to JSON: {path}: {text}") from error
    flat: list[Object] = []
    for item in found:
        if not isinstance(item, dict):
            raise RenderError(f"error unmarshaling JSON: {path} holds no object")
        # A List is taken apart, as kubectl and Kustomize do.
        flat += item["items"] if item.get("kind", "").endswith("List") and "items" in item else [item]
    return flat


def build(files: dict[str, bytes], folder: str, extra_images: list[str]) -> list[Object]:
    """Return what `kustomize build FOLDER` prints; `extra_images` are the Application's own overrides."""
    try:
        items = _build(files, posixpath.normpath(folder))
    except RenderError as error:
        raise RenderError(f"`kustomize build {folder}` failed exit status 1: Error: {error}") from error
    # Argo CD edits the kustomization before it builds: its images win over the repository's.
    for override in extra_images:
        _set_image(items, _override(override))
    return items


def name_of(files: dict[str, bytes], folder: str) -> str | None:
    """Return the path of the folder's kustomization file, or None."""
    paths = [posixpath.normpath(posixpath.join(folder, name)) for name in NAMES]
    return next((path for path in paths if path in files), None)


def _build(files: dict[str, bytes], folder: str) -> list[Object]:
    path = name_of(files, folder)
    if path is None:
        raise RenderError(f"unable to find one of 'kustomization.yaml' in directory '{folder}'")
    spec = next(iter(documents(files[path], path)), {})
    items: list[Object] = []
    for entry in [*spec.get("resources", []), *spec.get("bases", [])]:
        items += _resource(files, folder, entry)
    # A component works on what is gathered so far, so its place in the list counts.
    for entry in spec.get("components", []):
        component = _load(files, posixpath.normpath(posixpath.join(folder, entry)))
        items = _transform(files, *component, items + _resources(files, *component))
    return _transform(files, folder, spec, items)


def _load(files: dict[str, bytes], folder: str) -> tuple[str, Object]:
    path = name_of(files, folder)
    if path is None:
        raise RenderError(f"accumulating components: unable to find a kustomization in '{folder}'")
    return folder, documents(files[path], path)[0]


def _resources(files: dict[str, bytes], folder: str, spec: Object) -> list[Object]:
    return [item for entry in spec.get("resources", []) for item in _resource(files, folder, entry)]


def _resource(files: dict[str, bytes], folder: str, entry: str) -> list[Object]:
    path = posixpath.normpath(posixpath.join(folder, entry))
    if path in files:
        return copy.deepcopy(documents(files[path], path))
    if name_of(files, path) is not None:
        return _build(files, path)
    raise RenderError(
        f"accumulating resources: accumulation err='accumulating resources from '{entry}': missing"
    )


def _transform(files: dict[str, bytes], folder: str, spec: Object, items: list[Object]) -> list[Object]:
    for entry in spec.get("patchesStrategicMerge", []):
        _patch(items, _patch_text(files, folder, entry), None)
    for entry in [*spec.get("patches", []), *spec.get("patchesJson6902", [])]:
        text = _patch_text(files, folder, entry.get("path") or entry.get("patch", ""))
        _patch(items, text, entry.get("target"))
    # After the patches: an image set here wins over one that a patch names.
    for image in spec.get("images", []):
        _set_image(items, image)
    for item in items:
        metadata = item.setdefault("metadata", {})
        metadata["name"] = (
            f"{spec.get('namePrefix', '')}{metadata.get('name', '')}{spec.get('nameSuffix', '')}"
        )
        if "namespace" in spec:
            metadata["namespace"] = spec["namespace"]
        if labels := spec.get("commonLabels"):
            metadata["labels"] = {**metadata.get("labels", {}), **labels}
    return items


def _patch_text(files: dict[str, bytes], folder: str, entry: str) -> bytes:
    # An inline patch and a file's name share one key; a line break tells them apart.
    if "\n" in entry:
        return entry.encode()
    path = posixpath.normpath(posixpath.join(folder, entry))
    if path not in files:
        raise RenderError(f"trouble configuring builtin PatchTransformer: unable to load '{entry}'")
    return files[path]


def _patch(items: list[Object], text: bytes, target: Object | None) -> None:
    parsed = yaml.safe_load(text)
    if isinstance(parsed, list):
        _patch_json(items, parsed, target or {})
        return
    for patch in documents(text, "patch"):
        chosen = [item for item in items if _chosen(item, target or _target_of(patch))]
        if not chosen:
            name = patch.get("metadata", {}).get("name")
            raise RenderError(f'no resource matches strategic merge patch "{patch.get("kind")}.{name}"')
        for item in chosen:
            # A patch with a target may carry any name: the resource keeps its own.
            kept = {"kind": item["kind"], "name": item["metadata"]["name"]}
            merged = merge(item, patch)
            item.clear()
            item.update(merged)
            item["kind"], item["metadata"]["name"] = kept["kind"], kept["name"]


def _target_of(patch: Object) -> Object:
    return {"kind": patch.get("kind"), "name": patch.get("metadata", {}).get("name")}


def _chosen(item: Object, target: Object) -> bool:
    wanted = (target.get("kind"), target.get("name"))
    actual = (item.get("kind"), item.get("metadata", {}).get("name"))
    return all(want in (None, have) for want, have in zip(wanted, actual, strict=True))


def _patch_json(items: list[Object], operations: list[Object], target: Object) -> None:
    for item in items:
        if not _chosen(item, target):
            continue
        for operation in operations:
            # JSON Pointer writes a slash inside a key as ~1, as in annotations' names.
            *parents, last = [part.replace("~1", "/") for part in operation["path"].split("/")[1:]]
            place: Any = item
            for key in parents:
                place = place[int(key) if isinstance(place, list) else key]
            if operation["op"] == "remove":
                del place[int(last) if isinstance(place, list) else last]
            elif isinstance(place, list) and last == "-":
                place.append(operation["value"])
            else:
                place[int(last) if isinstance(place, list) else last] = operation["value"]


def merge(target: Any, patch: Any, field: str = "") -> Any:
    """Return a strategic merge of two manifests: maps by key, named lists by name."""
    if isinstance(target, dict) and isinstance(patch, dict):
        result = dict(target)
        for key, value in patch.items():
            # Null in a patch removes the key.
            if value is None:
                result.pop(key, None)
            else:
                result[key] = merge(result.get(key), value, key)
        return result
    if isinstance(target, list) and isinstance(patch, list):
        return _merge_lists(target, patch, MERGE_KEYS.get(field, "name"))
    return copy.deepcopy(patch)


def _merge_lists(target: list[Any], patch: list[Any], key: str) -> list[Any]:
    # Without the key in every element there is nothing to join by: the list is replaced.
    if not all(isinstance(item, dict) and key in item for item in [*target, *patch]):
        return copy.deepcopy(patch)
    result = list(target)
    for entry in patch:
        index = next((n for n, item in enumerate(result) if item[key] == entry[key]), None)
        # Kustomize's directive for taking an element out.
        if entry.get("$patch") == "delete":
            result = [item for item in result if item[key] != entry[key]]
        elif index is None:
            result.append(copy.deepcopy(entry))
        else:
            result[index] = merge(result[index], entry)
    return result


def _override(text: str) -> Object:
    """Return an Application's `name=newName:newTag` or `name:newTag` as an images entry."""
    name, _, new = text.rpartition("=")
    path, mark, value = _split(new)
    entry: Object = {"name": name or path}
    if name:
        entry["newName"] = path
    if mark:
        entry["digest" if mark == "@" else "newTag"] = value
    return entry


def _split(image: str) -> tuple[str, str, str]:
    """Return (name, "@" or ":" or "", digest or tag) of an image reference."""
    if "@" in image:
        name, _, digest = image.partition("@")
        # A tag before a digest says nothing: the digest decides. A colon left of a slash is a port.
        return name.rsplit(":", 1)[0] if ":" in name.rsplit("/", 1)[-1] else name, "@", digest
    if ":" in image.rsplit("/", 1)[-1]:
        name, _, tag = image.rpartition(":")
        return name, ":", tag
    return image, "", ""


def _set_image(items: list[Object], entry: Object) -> None:
    for item in items:
        for container in containers(item):
            name, mark, value = _split(container.get("image", ""))
            # Compared as text: `nginx` does not meet `docker.io/library/nginx`.
            if name != entry["name"]:
                continue
            name = entry.get("newName", name)
            if entry.get("digest"):
                mark, value = "@", entry["digest"]
            elif "newTag" in entry:
                mark, value = ":", str(entry["newTag"])
            container["image"] = f"{name}{mark}{value}"


def containers(item: Object) -> list[Object]:
    """Return the containers of any workload, init containers included."""
    spec = item.get("spec") or {}
    # A CronJob holds its pod two levels deeper than other workloads.
    if item.get("kind") == "CronJob":
        spec = spec.get("jobTemplate", {}).get("spec", {})
    pod = spec if item.get("kind") == "Pod" else spec.get("template", {}).get("spec", {})
    return [*(pod.get("containers") or []), *(pod.get("initContainers") or [])]
