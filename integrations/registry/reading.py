"""From manifests, configs and Harbor's artifacts to our values (reference registry-and-harbor.md)."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime

from integrations.registry.types import ImageInfo, ScanReport
from integrations.shape import Json, dig, mapping, moment, number, sequence, text

_REVISION = "org.opencontainers.image.revision"
_SOURCE = "org.opencontainers.image.source"
_CREATED = "org.opencontainers.image.created"
# Cosign's tags beside the image's, and the fallback tag of the referrers API.
_NOISE = re.compile(r"sha256-[0-9a-f]{64}(\.(sig|att|sbom))?")


def is_noise(tag: str) -> bool:
    """Whether a tag belongs to a signature, attestation or SBOM and not to an image."""
    return _NOISE.fullmatch(tag) is not None


def is_image(artifact: Json) -> bool:
    """Signatures, SBOMs and charts are artifacts too; an absent type is an old Harbor's image."""
    return text(artifact.get("type")) in ("IMAGE", "")


def artifact(data: Json, repository: str) -> ImageInfo:
    """One entry of Harbor's artifacts API."""
    labels = mapping(dig(data, "extra_attrs", "config", "Labels"))
    notes = mapping(data.get("annotations"))
    tags = [text(dig(entry, "name")) for entry in sequence(data.get("tags"))]  # null when untagged
    return ImageInfo(
        repository=repository,
        digest=text(data.get("digest")),
        tags=tuple(tag for tag in tags if tag and not is_noise(tag)),
        pushed_at=moment(data.get("push_time")),
        created_at=_built(text(dig(data, "extra_attrs", "created")) or text(labels.get(_CREATED))),
        revision=_label(_REVISION, labels, notes),
        source=_label(_SOURCE, labels, notes),
        size=number(data.get("size")),
        media_type=text(data.get("manifest_media_type")) or text(data.get("media_type")),
    )


def scan_report(data: Json) -> ScanReport | None:
    """The scan of an artifact, None when it was never scanned.

    The reports stand under their media types, of which scanners may add newer ones: any will do.
    """
    for report in mapping(data.get("scan_overview")).values():
        found = mapping(report)
        if status := text(found.get("scan_status")):
            return ScanReport(status, text(found.get("severity")), moment(found.get("end_time")))
    return None


def inspected(
    repository: str,
    digest: str,
    tags: tuple[str, ...],
    *,
    top: Json,
    manifest: Json,
    config: Json,
    media: str,
) -> ImageInfo:
    """An image from its manifest (of an index: one platform's) and config."""
    labels = mapping(dig(config, "config", "Labels"))
    notes, top_notes = mapping(manifest.get("annotations")), mapping(top.get("annotations"))
    created = text(config.get("created")) or _label(_CREATED, labels, notes, top_notes) or ""
    parts = [manifest.get("config"), *sequence(manifest.get("layers"))]
    sizes = [number(dig(part, "size")) or 0 for part in parts]
    return ImageInfo(
        repository=repository,
        digest=digest,
        tags=tags,
        pushed_at=None,
        created_at=_built(created),
        revision=_label(_REVISION, labels, notes, top_notes),
        source=_label(_SOURCE, labels, notes, top_notes),
        size=sum(sizes) or None,
        media_type=media,
    )


def merged(listed: ImageInfo, seen: ImageInfo) -> ImageInfo:
    """What Harbor lists, completed by what the image itself tells."""
    return replace(
        listed,
        created_at=listed.created_at or seen.created_at,
        revision=listed.revision or seen.revision,
        source=listed.source or seen.source,
    )


def platform_manifest(top: Json) -> str:
    """The digest of the manifest that stands for an index, "" for a plain manifest.

    amd64 first, else the first real platform: `unknown` ones are BuildKit's attestations.
    """
    entries = [mapping(entry) for entry in sequence(top.get("manifests"))]
    real = [entry for entry in entries if text(dig(entry, "platform", "architecture")) != "unknown"]
    preferred = [entry for entry in real if dig(entry, "platform", "architecture") == "amd64"]
    return text((preferred or real)[0].get("digest")) if real else ""


def config_digest(manifest: Json) -> str:
    return text(dig(manifest, "config", "digest"))


def _label(name: str, *places: Json) -> str | None:
    for place in places:
        value = text(place.get(name)).strip()
        if value:
            return value
    return None


def _built(value: str) -> datetime | None:
    """Reproducible builds set 1970 or another fixed date: before 2000 means unknown."""
    built = moment(value)
    return built if built is not None and built.year >= 2000 else None
