"""What runs in the destination clusters: applied manifests, replica sets, pods, their health."""

from __future__ import annotations

import copy
import hashlib
import json
import uuid
from typing import Any

from integrations.sandbox.argocd.applications import timestamp
from integrations.sandbox.argocd.kustomize import containers
from integrations.sandbox.world import World

Object = dict[str, Any]
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout")
# Kinds without a check of their own: left out of the verdict, not counted as healthy.
HEALTHLESS = ("ConfigMap", "Secret", "ServiceAccount", "Namespace", "Role", "RoleBinding", "ClusterRole")
# Health from best to worst (reference argocd-api.md section 7).
ORDER = ("Healthy", "Suspended", "Progressing", "Missing", "Degraded", "Unknown")
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def key_of(manifest: Object) -> str:
    group = manifest["apiVersion"].rpartition("/")[0]
    metadata = manifest["metadata"]
    return f"{group}/{manifest['kind']}/{metadata.get('namespace', '')}/{metadata['name']}"


def short_name(manifest: Object) -> str:
    """Return the name in kubectl's messages: deployment.apps/web, service/web."""
    group = manifest["apiVersion"].rpartition("/")[0]
    kind = manifest["kind"].lower()
    return (
        f"{kind}.{group}/{manifest['metadata']['name']}"
        if group
        else f"{kind}/{manifest['metadata']['name']}"
    )


class Live:
    """The live state of one Application's resources, kept in the world's store."""

    def __init__(self, world: World, name: str, host: str) -> None:
        self.world = world
        self.name = name
        self.host = host
        state = world.store("argocd").setdefault("live", {}).setdefault(name, {"resources": {}, "sets": {}})
        self.resources: dict[str, Object] = state["resources"]
        self.sets: dict[str, list[Object]] = state["sets"]

    # Applying

    def apply(self, manifest: Object, *, restart: bool = False) -> str:
        """Apply a manifest; return "created", "configured" or "unchanged"."""
        key = key_of(manifest)
        held = self.resources.get(key)
        if held is None:
            word = "created"
            created = timestamp(self.world.now())
            held = self.resources[key] = {"uid": str(uuid.uuid4()), "createdAt": created, "version": 1}
        else:
            word = "unchanged" if held["manifest"] == manifest else "configured"
        # A restart matters where the tag points to another digest than the one that runs.
        moved = restart and word != "created" and self._moved(key)
        rolls = word == "created" or moved or _template(held["manifest"]) != _template(manifest)
        held["manifest"] = copy.deepcopy(manifest)
        held["version"] += word != "unchanged"
        if (manifest["kind"] in WORKLOADS or manifest["kind"] == "Pod") and rolls:
            self._new_set(key, manifest)
        self.world.touch()
        return word

    def prune(self, key: str) -> None:
        self.resources.pop(key, None)
        self.sets.pop(key, None)
        self.world.touch()

    def _new_set(self, key: str, manifest: Object) -> None:
        text = json.dumps([_template(manifest), self.world.now().isoformat()]).encode()
        sets = self.sets.setdefault(key, [])
        # Old pods go one by one as new ones turn ready: both versions are live for a while.
        for older in sets:
            older["wanted"] = 0
        name, kind = manifest["metadata"]["name"], manifest["kind"]
        hash_ = hashlib.sha256(text).hexdigest()[:10]
        count = manifest["spec"].get("replicas", 1) if kind in WORKLOADS else 1
        sets.append(
            {
                "name": f"{name}-{hash_}" if kind == "Deployment" else name,
                "hash": hash_,
                "uid": str(uuid.uuid4()),
                "revision": max((older["revision"] for older in sets), default=0) + 1,
                "createdAt": timestamp(self.world.now()),
                "images": {item["name"]: item.get("image", "") for item in containers(manifest)},
                "digests": {},
                "wanted": count,
                "pods": [],
                "error": "",
            }
        )

    # Rolling out, one small move at a time

    def rolling(self) -> list[str]:
        """Return the workloads whose newest set is not complete or whose old sets still have pods."""
        return [key for key, sets in self.sets.items() if not _complete(sets)]

    def roll(self, key: str) -> None:
        """Make one move of a rollout: start a pod, make it ready, or take an old pod away."""
        sets = self.sets.get(key)
        if not sets:
            return
        newest = sets[-1]
        waiting = [pod for pod in newest["pods"] if not pod["ready"]]
        if waiting:
            self._pull(newest)
            waiting[0]["ready"] = not newest["error"]
        elif len(newest["pods"]) < newest["wanted"]:
            kind = key.split("/")[1]
            newest["pods"].append(self._pod(newest, plain=kind == "Pod"))
        for older in sets[:-1]:
            if len(older["pods"]) > newest["wanted"] - sum(pod["ready"] for pod in newest["pods"]):
                older["pods"].pop()
        sets[:] = [item for item in sets if item is newest or item["pods"]]
        self.world.touch()

    def _pod(self, set_: Object, *, plain: bool) -> Object:
        suffix = "".join(self.world.random.choices(ALPHABET, k=5))
        name = set_["name"] if plain else f"{set_['name']}-{suffix}"
        return {
            "name": name,
            "uid": str(uuid.uuid4()),
            "ready": False,
            "createdAt": timestamp(self.world.now()),
        }

    def _pull(self, set_: Object) -> None:
        """Resolve the images now: a mutable tag runs the digest it points to when the pod starts."""
        set_["error"] = ""
        for container, image in set_["images"].items():
            digest = self._digest(image)
            if digest is None:
                set_["error"] = f'Back-off pulling image "{image}"'
            else:
                set_["digests"].setdefault(container, digest)

    def _moved(self, key: str) -> bool:
        newest = self.sets[key][-1] if self.sets.get(key) else {"images": {}, "digests": {}}
        return any(
            self._digest(image) != newest["digests"].get(name) for name, image in newest["images"].items()
        )

    def _digest(self, image: str) -> str | None:
        name, _, pinned = image.partition("@")
        host, _, path = name.partition("/")
        repository, _, tag = path.partition(":")
        found = self.world.images.digest(repository, pinned or tag or "latest")
        if host != self.host and found is None:
            # A registry outside of the sandbox: any image is there. Docker Hub is played for scenario B's.
            return pinned or "sha256:" + hashlib.sha256(image.encode()).hexdigest()
        return found

    # Looking

    def images(self) -> list[str]:
        """Return the images of all pods: old and new ones during a rollout."""
        return sorted(
            {
                image
                for sets in self.sets.values()
                for item in sets
                if item["pods"]
                for image in item["images"].values()
            }
        )

    def health(self, key: str) -> Object | None:
        """Return a resource's health; None for kinds without a health check."""
        kind = key.split("/")[1]
        if kind in HEALTHLESS:
            return None
        # Missing is worse than Progressing: a comparison before the first sync shows it.
        if key not in self.resources:
            return {"status": "Missing"}
        # Services and the like are healthy as soon as they exist.
        if key not in self.sets:
            return {"status": "Healthy"}
        return self._workload_health(key, kind)

    def _workload_health(self, key: str, kind: str) -> Object:
        name = key.rsplit("/", 1)[1]
        sets = self.sets[key]
        newest = sets[-1]
        if self.degraded or newest.get("stuck"):
            return {"status": "Degraded", "message": f'{kind} "{name}" exceeded its progress deadline'}
        if _complete(sets):
            return {"status": "Healthy"}
        return {"status": "Progressing", "message": _progress(newest, sets[:-1], kind)}

    @property
    def degraded(self) -> bool:
        """Tell whether the control page made this Application degrade."""
        return self.name in self.world.faults.get("degraded", [])

    def overall(self, keys: list[str]) -> Object:
        """Return the worst health of the resources, with its message for the overview."""
        found = [health for key in keys if (health := self.health(key)) is not None]
        if not found:
            return {"status": "Healthy"}
        return max(found, key=lambda health: ORDER.index(health["status"]))


def _template(manifest: Object) -> Object:
    spec = manifest.get("spec") or {}
    return spec if manifest["kind"] == "Pod" else spec.get("template", {})


def _complete(sets: list[Object]) -> bool:
    newest = sets[-1]
    ready = sum(pod["ready"] for pod in newest["pods"])
    # Old pods still running mean Progressing, even when the new ones are all ready.
    return ready >= newest["wanted"] and not any(item["pods"] for item in sets[:-1])


def _progress(newest: Object, older: list[Object], kind: str) -> str:
    if kind != "Deployment":
        return "Waiting for rollout to finish"
    if len(newest["pods"]) < newest["wanted"]:
        count = f"{len(newest['pods'])} out of {newest['wanted']}"
        return f"Waiting for rollout to finish: {count} new replicas have been updated..."
    if left := sum(len(item["pods"]) for item in older):
        return f"Waiting for rollout to finish: {left} old replicas are pending termination..."
    ready = sum(pod["ready"] for pod in newest["pods"])
    return f"Waiting for rollout to finish: {ready} of {newest['wanted']} updated replicas are available..."
