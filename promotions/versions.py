"""Record builds. The same image seen through a hook, a tag list and a run's results is one version."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from promotions.live import announce
from promotions.models import Image, ImageVersion, PipelineRun

# Shorter ones than Git's own seven digits are numbers of builds, dates or words such as "cafe".
_HASH_AT_END = re.compile(r"(?:^|[-_.])([0-9a-f]{7,64})$")


def record_version(
    image: Image,
    digest: str,
    *,
    tags: Iterable[str],
    commit: str = "",
    created_at: datetime | None = None,
    run: PipelineRun | None = None,
) -> ImageVersion:
    """Add what was learnt about a build; what is known already is never replaced by something vaguer.

    A tag that now stands on this digest is taken off every other version of the image.
    """
    tags = [tag for tag in tags if tag]
    with transaction.atomic():
        # One at a time per image: two that take a tag off each other's version would wait for ever.
        Image.objects.select_for_update(no_key=True).get(pk=image.pk)
        version, is_new = ImageVersion.objects.select_for_update().get_or_create(
            image=image,
            digest=digest,
            defaults={
                "tag": most_specific(tags),
                "tags": tags,
                "commit": commit,
                "created_at": created_at or timezone.now(),
                "built_by": run,
            },
        )
        moved = _take_tags_off_others(version, tags)
        if is_new or _learn(version, tags, commit, run) or moved:
            announce("versions", image.application_id, application_id=image.application_id)
    return version


def _learn(version: ImageVersion, tags: list[str], commit: str, run: PipelineRun | None) -> bool:
    before = (version.tag, list(version.tags), version.commit, version.built_by_id, version.missing_since)
    version.tags = sorted({*version.tags, *tags})
    version.tag = version.tag or most_specific(tags)
    version.commit = version.commit or commit
    version.built_by = version.built_by or run
    version.missing_since = None
    after = (version.tag, list(version.tags), version.commit, version.built_by_id, version.missing_since)
    if before == after:
        return False
    version.save()
    return True


def _take_tags_off_others(version: ImageVersion, tags: list[str]) -> bool:
    others = ImageVersion.objects.filter(image=version.image, tags__overlap=tags).exclude(pk=version.pk)
    for other in others:
        other.tags = [tag for tag in other.tags if tag not in tags]
        other.save(update_fields=["tags"])
    return bool(others)


def most_specific(tags: Iterable[str]) -> str:
    """Return the tag people call a build by: 1.2.3 before 1.2 before latest (tag-ordering.md rule 11)."""
    return max(tags, key=lambda tag: (tag != "latest", tag.count("."), len(tag)), default="")


def shas_in(tags: Iterable[str]) -> list[str]:
    """Return what may be commit hashes in tags: `<branch>-<short sha>`, `sha-<...>`, or the hash itself.

    >>> shas_in(["master-1a2b3c4d", "1.0.0"])
    ['1a2b3c4d']
    """
    found = (_HASH_AT_END.search(tag) for tag in tags)
    return [match[1] for match in found if match]


def mark_missing(version: ImageVersion) -> None:
    """Keep a deleted build's history; it can't be promoted any more."""
    if ImageVersion.objects.filter(pk=version.pk, missing_since=None).update(missing_since=timezone.now()):
        application_id = version.image.application_id
        announce("versions", application_id, application_id=application_id)


def find_version(image: Image, *, tag: str = "", digest: str = "") -> ImageVersion | None:
    """Return the version a reference stands for now: by digest, else by the tag that is on it."""
    versions = ImageVersion.objects.filter(image=image)
    if digest:
        return versions.filter(digest=digest).first()
    return versions.filter(tags__contains=[tag]).first() if tag else None
