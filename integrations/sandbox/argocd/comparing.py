"""The comparison of Git with the live state, written into an Application's status."""

from __future__ import annotations

from typing import Any

from integrations.sandbox.argocd.kustomize import containers
from integrations.sandbox.argocd.live import Live, key_of
from integrations.sandbox.argocd.render import Rendered, sources

Object = dict[str, Any]
REFRESH = "argocd.argoproj.io/refresh"
REFRESH_ANNOTATIONS = (
    REFRESH,
    "argocd.argoproj.io/refresh-timestamp",
    "argocd.argoproj.io/hydrate",
    "argocd.argoproj.io/hydrate-timestamp",
)


def is_multi(spec: Object) -> bool:
    return bool(spec.get("sources"))


def compared_to(spec: Object) -> Object:
    found: Object = {"sources": spec["sources"]} if is_multi(spec) else {"source": spec.get("source", {})}
    return found | {"destination": spec["destination"]}


def write_revision(target: Object, spec: Object, revisions: list[str]) -> None:
    """Write `revision`, or `revisions` for several sources."""
    target.pop("revision", None)
    target.pop("revisions", None)
    if is_multi(spec):
        target["revisions"] = list(revisions)
    elif revisions:
        target["revision"] = revisions[0]


def revisions_of(target: Object) -> list[str]:
    return target.get("revisions") or ([target["revision"]] if target.get("revision") else [])


def write_comparison(item: Object, live: Live, rendered: Rendered, started: str) -> str:
    """Write a full comparison; return the sync status it came to.

    `reconciledAt` is when it began, in whole seconds: race 2 of reference argocd-api.md section 8.
    """
    status, spec = item["status"], item["spec"]
    targets = {key_of(manifest): manifest for manifest in rendered.manifests}
    rows = [
        _row(key, live, targets.get(key))
        for key in [*targets, *(k for k in live.resources if k not in targets)]
    ]
    # One resource out of line makes the whole Application OutOfSync.
    word = "Synced" if all(row["status"] == "Synced" for row in rows) else "OutOfSync"
    status["sync"] = {"status": word, "comparedTo": compared_to(spec)}
    write_revision(status["sync"], spec, rendered.revisions)
    status["resources"] = rows
    status["reconciledAt"] = started
    # A comparison that worked takes the errors of earlier ones away.
    kept = [c for c in status.get("conditions", []) if c["type"] not in ("ComparisonError", "SyncError")]
    write_conditions(status, kept)
    status["sourceType" if not is_multi(spec) else "sourceTypes"] = (
        rendered.types if is_multi(spec) else (rendered.types or ["Directory"])[0]
    )
    status["controllerNamespace"] = "argocd"
    status["sourceHydrator"] = {}
    write_health(item, live, started)
    return word


def write_comparison_error(item: Object, live: Live, message: str, started: str) -> None:
    """Write that the target state could not be generated: sync is Unknown, health stays known."""
    status = item["status"]
    revision = revisions_of(status.get("sync", {}))
    # The last revision stays beside Unknown, so it proves nothing about the newest commit.
    status["sync"] = {"status": "Unknown", "comparedTo": compared_to(item["spec"])}
    write_revision(status["sync"], item["spec"], revision)
    for row in status.get("resources", []):
        row["status"] = "Unknown"
    condition = {"type": "ComparisonError", "message": message, "lastTransitionTime": started}
    others = [c for c in status.get("conditions", []) if c["type"] != "ComparisonError"]
    write_conditions(status, [*others, condition])
    status["reconciledAt"] = started
    write_health(item, live, started)


def write_conditions(status: Object, conditions: list[Object]) -> None:
    if conditions:
        status["conditions"] = conditions
    else:
        status.pop("conditions", None)


def write_health(item: Object, live: Live, now: str) -> None:
    """Write what live resources say: the lower level of a refresh, `reconciledAt` stays."""
    status = item["status"]
    keys = list(live.resources)
    for row in status.get("resources", []):
        key = f"{row.get('group', '')}/{row['kind']}/{row.get('namespace', '')}/{row['name']}"
        keys.append(key)
        if (health := live.health(key)) is not None:
            row["health"] = health
    overall = live.overall(keys)
    before = status.get("health", {})
    # lastTransitionTime moves with the word alone: it tells since when.
    if before.get("status") != overall["status"]:
        status["health"] = {**overall, "lastTransitionTime": now}
    else:
        status["health"] = {**overall, "lastTransitionTime": before.get("lastTransitionTime", now)}
    status["summary"] = {**status.get("summary", {}), "images": live.images()}


def _row(key: str, live: Live, target: Object | None) -> Object:
    group, kind, namespace, name = key.split("/")
    held = live.resources.get(key)
    shown = target or (held or {}).get("manifest") or {"apiVersion": "v1"}
    version = shown["apiVersion"].rpartition("/")[2]
    row: Object = {"group": group} if group else {}
    row |= {"version": version, "kind": kind}
    if namespace:
        row["namespace"] = namespace
    # Whole manifests are compared here; the real one leaves out what defaulting adds.
    same = held is not None and target is not None and held["manifest"] == target
    row |= {"name": name, "status": "Synced" if same else "OutOfSync"}
    if target is None:
        # In the cluster but not in Git: stays until a sync with prune.
        row["requiresPruning"] = True
    return row


def applied(manifest: Object, message: str, *, status: str = "Synced", phase: str = "Running") -> Object:
    """Return one entry of syncResult.resources."""
    group, _, version = manifest["apiVersion"].rpartition("/")
    entry: Object = {
        "group": group,
        "version": version,
        "kind": manifest["kind"],
        "namespace": manifest["metadata"].get("namespace", ""),
        "name": manifest["metadata"]["name"],
        "status": status,
        "message": message,
        "hookPhase": phase,
        "syncPhase": "Sync",
    }
    if images := [container.get("image", "") for container in containers(manifest)]:
        entry["images"] = images
    return entry


def source_part(spec: Object) -> Object:
    """Return `source` or `sources` as operations and history entries carry it."""
    return {"sources": sources(spec)} if is_multi(spec) else {"source": spec.get("source", {})}
