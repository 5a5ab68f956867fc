"""Make the row that tells of something."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib.auth.models import User
from django.utils import timezone

from promotions.audit import chain, origin
from promotions.models import Application, AuditEntry, Environment, ImageVersion, Promotion, Stage

_WHY = ("reason", "comment", "message")


def append(
    action: str,
    *,
    subject: object,
    by: User | None,
    by_name: str,
    promotion: Promotion | None,
    data: Mapping[str, object],
) -> AuditEntry:
    """Append a row to the current transaction; the database chains it when that commits.

    Names, places and versions are kept as text: the row must be readable and found when the person, the
    application or the build is gone.
    """
    now, said = timezone.now(), chain.plain(dict(data))
    assert isinstance(said, dict)
    from_where = origin.current()
    values: dict[str, object] = {
        "at": now,
        "actor_id": by.pk if by else None,
        "actor_username": by.get_username() if by else "",
        "actor_name": by_name[:255],
        "via": str(from_where.via),
        "address": from_where.address[:100],
        "client": _line(from_where.client, 200),
        "action": action,
        "subject": _line(subject, 255),
        "reason": next((str(said[name]) for name in _WHY if said.get(name)), ""),
        "application": "",
        "environment": "",
        "promotion_id": promotion.pk if promotion else None,
        "tag": "",
        "digest": "",
        "commit": "",
        "manifest_commit": "",
        "change_hash": promotion.change_hash if promotion else "",
        "data": said,
        **_about(promotion or subject),
    }
    return AuditEntry.objects.create(**values, content_hash=chain.content_hash(values))


def _line(value: object, longest: int) -> str:
    return str(chain.plain(str(value)))[:longest]


def _about(thing: object) -> dict[str, object]:
    """Return what entries about a thing are found by."""
    match thing:
        case Promotion():
            commit = thing.target_commit or thing.written_commit
            return {**_about(thing.version), **_about(thing.stage), "manifest_commit": commit}
        case Stage():
            return {"application": thing.application.slug, "environment": thing.environment.slug}
        case Application():
            return {"application": thing.slug}
        case Environment():
            return {"environment": thing.slug}
        case ImageVersion():
            application = thing.image.application.slug
            named = {"tag": thing.tag[:255], "digest": thing.digest, "commit": thing.commit}
            return {**named, "application": application}
    return {}
