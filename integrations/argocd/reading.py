"""From Argo CD's JSON to our values (reference argocd-api.md section 7; fixtures/argocd)."""

from __future__ import annotations

import json

from integrations.argocd.types import (
    ApplicationSnapshot,
    Condition,
    HistoryEntry,
    Operation,
    PodImage,
    RevisionMetadata,
    Source,
)
from integrations.images import parse_image
from integrations.shape import Json, dig, mapping, moment, number, sequence, text, texts

_REFRESH = "argocd.argoproj.io/refresh"


def snapshot(data: Json, base_url: str) -> ApplicationSnapshot:
    """One Application, from a single answer, list entry or stream frame."""
    metadata, status = mapping(data.get("metadata")), mapping(data.get("status"))
    name, namespace = text(metadata.get("name")), text(metadata.get("namespace"))
    return ApplicationSnapshot(
        name=name,
        namespace=namespace,
        project=text(dig(data, "spec", "project")),
        resource_version=text(metadata.get("resourceVersion")),
        sources=_sources(mapping(data.get("spec"))),
        sync_status=text(dig(status, "sync", "status")),
        revisions=_revisions(mapping(status.get("sync"))),
        health_status=text(dig(status, "health", "status")),
        health_since=moment(dig(status, "health", "lastTransitionTime")),
        reconciled_at=moment(status.get("reconciledAt")),
        operation_requested=bool(mapping(data.get("operation"))),
        operation=_operation(mapping(status.get("operationState"))),
        conditions=tuple(_condition(mapping(entry)) for entry in sequence(status.get("conditions"))),
        images=texts(dig(status, "summary", "images")),
        automated=_automated(data),
        destination_server=text(dig(data, "spec", "destination", "server")),
        destination_name=text(dig(data, "spec", "destination", "name")),
        history=tuple(_history(mapping(entry)) for entry in sequence(status.get("history"))),
        refreshing=_REFRESH in mapping(metadata.get("annotations")),
        web_url=f"{base_url}/applications/{namespace}/{name}"
        if namespace
        else f"{base_url}/applications/{name}",
        health_message=text(dig(status, "health", "message")),
    )


def _sources(spec: Json) -> tuple[Source, ...]:
    # spec.sources wins over spec.source, which may be there with an empty repoURL (section 7).
    entries = sequence(spec.get("sources")) or [spec.get("source")]
    return tuple(
        Source(
            repo_url=text(dig(entry, "repoURL")),
            path=text(dig(entry, "path")),
            target_revision=text(dig(entry, "targetRevision")),
            chart=text(dig(entry, "chart")),
        )
        for entry in entries
        if mapping(entry)
    )


def _revisions(data: Json) -> tuple[str, ...]:
    """Index = source, so an empty entry in the middle stays."""
    several = tuple(text(entry) for entry in sequence(data.get("revisions")))
    single = text(data.get("revision"))
    return several or ((single,) if single else ())


def _operation(state: Json) -> Operation | None:
    if not state:
        return None
    sync = mapping(dig(state, "operation", "sync"))
    infos = [mapping(entry) for entry in sequence(dig(state, "operation", "info"))]
    return Operation(
        phase=text(state.get("phase")),
        message=text(state.get("message")),
        started_at=moment(state.get("startedAt")),
        finished_at=moment(state.get("finishedAt")),
        retry_count=number(state.get("retryCount")) or 0,
        # Before manifests exist there is no result yet; then the requested revision stands in.
        revisions=_revisions(mapping(state.get("syncResult"))) or _revisions(sync),
        dry_run=sync.get("dryRun") is True,
        partial=bool(sequence(sync.get("resources"))),
        infos={text(entry.get("name")): text(entry.get("value")) for entry in infos},
    )


def _condition(data: Json) -> Condition:
    return Condition(
        type=text(data.get("type")),
        message=text(data.get("message")),
        at=moment(data.get("lastTransitionTime")),
    )


def _automated(data: Json) -> bool:
    automated = dig(data, "spec", "syncPolicy", "automated")
    # An empty object switches automation on; `enabled: false` (3.1 and newer) switches it off again.
    return isinstance(automated, dict) and automated.get("enabled") is not False


def _history(data: Json) -> HistoryEntry:
    by = mapping(data.get("initiatedBy"))
    return HistoryEntry(
        id=number(data.get("id")) or 0,
        revisions=_revisions(data),
        deployed_at=moment(data.get("deployedAt")),
        initiated_by=text(by.get("username")) or ("automated" if by.get("automated") is True else ""),
    )


def pod_nodes(tree: object) -> list[tuple[str, str]]:
    """(namespace, name) of the pods in a resource tree."""
    nodes = [mapping(entry) for entry in sequence(mapping(tree).get("nodes"))]
    return [
        (text(node.get("namespace")), text(node.get("name")))
        for node in nodes
        if node.get("kind") == "Pod" and not node.get("group")
    ]


def pod_images(pod: str, manifest: str) -> list[PodImage]:
    """What a pod's containers run: status.containerStatuses[].imageID, empty before the image is pulled.

    A pod's spec names what was asked for; only the status knows what a mutable tag resolved to.
    """
    try:
        data: object = json.loads(manifest)
    except (ValueError, RecursionError):
        return []
    asked = {
        text(dig(entry, "name")): text(dig(entry, "image"))
        for entry in sequence(dig(data, "spec", "containers"))
    }
    statuses = {
        text(dig(entry, "name")): mapping(entry)
        for entry in sequence(dig(data, "status", "containerStatuses"))
    }
    return [
        PodImage(
            pod=pod,
            container=name,
            image=asked.get(name) or text(statuses.get(name, {}).get("image")),
            digest=_digest(text(statuses.get(name, {}).get("imageID"))),
        )
        for name in asked or statuses
    ]


def _digest(image_id: str) -> str:
    """imageID is `[scheme://]name@sha256:...`, with containerd sometimes the bare digest of the config,
    which is another digest than the manifest's and therefore of no use."""
    try:
        return parse_image(image_id).digest
    except ValueError:
        return ""


def revision_metadata(data: Json) -> RevisionMetadata:
    return RevisionMetadata(
        author=text(data.get("author")),
        date=moment(data.get("date")),
        message=text(data.get("message")),
        tags=texts(data.get("tags")),
    )
