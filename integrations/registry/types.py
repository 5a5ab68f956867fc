"""What a registry tells about an image (reference registry-and-harbor.md). Times are aware, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """One image: the digest is the identity, tags are labels.

    `pushed_at` is known to Harbor only. `created_at` is the build time, None when unset or a fixed date
    of reproducible builds. `revision` and `source` are the labels org.opencontainers.image.*. `size` is
    in bytes.
    """

    repository: str
    digest: str
    tags: tuple[str, ...]
    pushed_at: datetime | None
    created_at: datetime | None
    revision: str | None
    source: str | None
    size: int | None
    media_type: str


@dataclass(frozen=True, slots=True)
class ScanReport:
    """Harbor's last scan of an image: `status` is Success when it is done, `severity` that of its worst
    finding (None, Unknown, Negligible, Low, Medium, High, Critical)."""

    status: str
    severity: str
    finished_at: datetime | None
