"""Resource tree, live manifests and diffs of one Application."""

from __future__ import annotations

import copy
import json
from typing import Any

from integrations.sandbox.argocd.kustomize import containers
from integrations.sandbox.argocd.live import Live

Object = dict[str, Any]


def nodes(live: Live) -> list[Object]:
    """Return the tree's nodes: resources, replica sets, pods."""
    found = []
    for key, held in live.resources.items():
        found.append(_resource_node(live, key, held))
        for set_ in live.sets.get(key, []):
            found += _set_nodes(live, key, held, set_)
    return found


def _resource_node(live: Live, key: str, held: Object) -> Object:
    group, kind, namespace, name = key.split("/")
    node: Object = {"group": group} if group else {}
    node |= {"version": held["manifest"]["apiVersion"].rpartition("/")[2], "kind": kind}
    node |= {"namespace": namespace, "name": name, "uid": held["uid"]}
    sets = live.sets.get(key, [])
    if sets:
        node["info"] = [{"name": "Revision", "value": f"Rev:{sets[-1]['revision']}"}]
        # The newest set's images: what an older one still runs is in its own nodes.
        node["images"] = sorted(set(sets[-1]["images"].values()))
    # Opaque text for clients; the numbers only have to rise.
    node["resourceVersion"] = str(170_000 + held["version"])
    if (health := live.health(key)) is not None:
        node["health"] = health
    return {**node, "createdAt": held["createdAt"]}


def _set_nodes(live: Live, key: str, held: Object, set_: Object) -> list[Object]:
    group, kind, namespace, name = key.split("/")
    if kind == "Pod":
        return []
    parent = {"group": group, "kind": kind, "namespace": namespace, "name": name, "uid": held["uid"]}
    found: list[Object] = []
    if kind == "Deployment":
        found.append(
            {
                "group": "apps",
                "version": "v1",
                "kind": "ReplicaSet",
                "namespace": namespace,
                "name": set_["name"],
                "uid": set_["uid"],
                "parentRefs": [parent],
                "info": [{"name": "Revision", "value": f"Rev:{set_['revision']}"}],
                "resourceVersion": str(180_000 + set_["revision"]),
                "images": sorted(set(set_["images"].values())),
                "health": {"status": "Healthy" if all(p["ready"] for p in set_["pods"]) else "Progressing"},
                "createdAt": set_["createdAt"],
            }
        )
        parent = {"group": "apps", "kind": "ReplicaSet", "namespace": namespace} | {
            "name": set_["name"],
            "uid": set_["uid"],
        }
    return found + [_pod_node(live, namespace, set_, pod, parent) for pod in set_["pods"]]


def _pod_node(live: Live, namespace: str, set_: Object, pod: Object, parent: Object) -> Object:
    ready = pod["ready"] and not live.degraded
    reason = "Running" if ready else _trouble(live, set_)[0]
    total = len(set_["images"])
    return {
        "version": "v1",
        "kind": "Pod",
        "namespace": namespace,
        "name": pod["name"],
        "uid": pod["uid"],
        "parentRefs": [parent],
        "info": [
            {"name": "Status Reason", "value": reason},
            {"name": "Node", "value": "node-2"},
            # Counts that a page can show; `info` is free text for Argo CD's own page.
            {"name": "Containers", "value": f"{total if ready else 0}/{total}"},
        ],
        "networkingInfo": {"labels": {"pod-template-hash": set_["hash"]}},
        "resourceVersion": str(180_000 + set_["revision"]),
        "images": sorted(set(set_["images"].values())),
        "health": {"status": "Healthy" if ready else "Degraded" if live.degraded else "Progressing"},
        "createdAt": pod["createdAt"],
    }


def _trouble(live: Live, set_: Object) -> tuple[str, str]:
    """Return reason and message of a pod that is not ready."""
    if live.degraded:
        return "CrashLoopBackOff", "back-off 40s restarting failed container"
    if set_["error"]:
        return "ImagePullBackOff", set_["error"]
    return "ContainerCreating", ""


def manifest(live: Live, kind: str, namespace: str, name: str) -> Object | None:
    """Return a live object of the tree, or None; pods carry the digests their containers run."""
    for key, held in live.resources.items():
        _, own_kind, own_namespace, own_name = key.split("/")
        if (own_kind, own_namespace, own_name) == (kind, namespace, name):
            if kind == "Pod" and live.sets.get(key):
                set_ = live.sets[key][-1]
                return _pod(live, held, namespace, set_, set_["pods"][0]) if set_["pods"] else None
            return _with_status(live, key, held)
        for set_ in live.sets.get(key, []):
            if kind == "ReplicaSet" and set_["name"] == name and own_namespace == namespace:
                return _replica_set(held, namespace, set_)
            for pod in set_["pods"]:
                if kind == "Pod" and pod["name"] == name and own_namespace == namespace:
                    return _pod(live, held, namespace, set_, pod)
    return None


def _with_status(live: Live, key: str, held: Object) -> Object:
    found: Object = copy.deepcopy(held["manifest"])
    found["metadata"] |= {"uid": held["uid"], "creationTimestamp": held["createdAt"]}
    if sets := live.sets.get(key):
        ready = sum(pod["ready"] for pod in sets[-1]["pods"])
        found["status"] = {"replicas": sum(len(s["pods"]) for s in sets), "readyReplicas": ready}
        found["status"]["updatedReplicas"] = len(sets[-1]["pods"])
    return found


def _replica_set(held: Object, namespace: str, set_: Object) -> Object:
    metadata = {"name": set_["name"], "namespace": namespace, "uid": set_["uid"]}
    spec = {"replicas": set_["wanted"], "template": held["manifest"]["spec"].get("template", {})}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}


def _pod(live: Live, held: Object, namespace: str, set_: Object, pod: Object) -> Object:
    template = held["manifest"]["spec"].get("template") or held["manifest"]
    metadata = {"name": pod["name"], "namespace": namespace, "uid": pod["uid"]}
    metadata |= {
        "labels": template.get("metadata", {}).get("labels", {}),
        "creationTimestamp": pod["createdAt"],
    }
    main = {item["name"] for item in template["spec"].get("containers", [])}
    states = [_container(live, set_, pod, name) for name in set_["images"] if name in main]
    spec = copy.deepcopy(template["spec"])
    # The template may have moved on since this pod began: its own images are kept.
    for item in containers({"kind": "Pod", "spec": spec}):
        item["image"] = set_["images"].get(item["name"], item.get("image", ""))
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec,
        "status": {"phase": "Running" if pod["ready"] else "Pending", "containerStatuses": states},
    }


def _container(live: Live, set_: Object, pod: Object, name: str) -> Object:
    image = set_["images"][name]
    repository = image.partition("@")[0]
    repository = repository.rsplit(":", 1)[0] if ":" in repository.rsplit("/", 1)[-1] else repository
    digest = set_["digests"].get(name)
    ready = pod["ready"] and not live.degraded
    reason, message = _trouble(live, set_)
    waiting = {"waiting": {"reason": reason} | ({"message": message} if message else {})}
    return {
        "name": name,
        "image": image,
        # What the kubelet pulled, whatever the tag points to by now.
        "imageID": f"{repository}@{digest}" if digest else "",
        "ready": ready,
        "restartCount": 5 if live.degraded else 0,
        "state": {"running": {"startedAt": pod["createdAt"]}} if ready else waiting,
    }


def differences(live: Live, keys: dict[str, Object]) -> list[Object]:
    """Return the managed resources; the states are JSON strings."""
    found = []
    for key in [*keys, *(key for key in live.resources if key not in keys)]:
        group, kind, namespace, name = key.split("/")
        target, held = keys.get(key), live.resources.get(key)
        # JSON in strings, and "null" as a word: the wire format of section 3.
        wanted = json.dumps(target) if target else "null"
        actual = json.dumps(held["manifest"]) if held else "null"
        item: Object = {"group": group} if group else {}
        item |= {
            "kind": kind,
            "namespace": namespace,
            "name": name,
            "targetState": wanted,
            "liveState": actual,
        }
        item |= {"normalizedLiveState": actual, "predictedLiveState": wanted}
        # Empty for what Git has and the cluster lacks.
        item["resourceVersion"] = str(170_000 + held["version"]) if held else ""
        if wanted != actual:
            item["modified"] = True
        found.append(item)
    return found
