"""Webhooks of Harbor and of CNCF distribution as pure functions on raw bytes (reference
registry-and-harbor.md, webhook-security.md). None of them raises for anything a sender can write.

The two are told apart by their bodies: distribution sends `{"events": [...]}`, Harbor either its own
form or CloudEvents.
"""

# All vendors' modules have the same five functions, whether they need every argument or not.

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime

from integrations.hints import Hint, Reading, WebhookSecrets
from integrations.images import is_digest
from integrations.payload import Unreadable, key_of, load, lowered, same_secret, usable
from integrations.registry.reading import is_noise
from integrations.shape import Json, dig, mapping, one_line, sequence, text

# Harbor's CloudEvents names for its own ones.
_CLOUD = {
    "harbor.artifact.pushed": "PUSH_ARTIFACT",
    "harbor.artifact.deleted": "DELETE_ARTIFACT",
    "harbor.scan.completed": "SCANNING_COMPLETED",
    "harbor.scan.failed": "SCANNING_FAILED",
    "harbor.scan.stopped": "SCANNING_STOPPED",
}
_ABOUT_IMAGES = frozenset(_CLOUD.values())
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest",
)


def verify(headers: Mapping[str, str], body: bytes, secrets: WebhookSecrets, now: datetime) -> bool:
    """Whether the Authorization header is one of the tokens. Nothing is signed.

    Harbor sends its auth_header verbatim, so the token is the whole value; `Bearer <token>`, as
    distribution's static header usually reads, is accepted for it too.
    """
    bearer = [f"Bearer {token}" for token in secrets.tokens if token]
    return same_secret(lowered(headers).get("authorization", ""), [*secrets.tokens, *bearer])


def dedupe_key(headers: Mapping[str, str], body: bytes) -> str:
    """The same for a repeated delivery: both vendors repeat the same bytes, and Harbor has no other key."""
    return f"body:{hashlib.sha256(body).hexdigest()}"


def natural_key(headers: Mapping[str, str], body: bytes) -> str:
    """The same for one Harbor event that two policies deliver; "" for anything else."""
    try:
        data = load(body)
    except Unreadable:
        return ""
    kind, event = _harbor(data)
    resource = mapping(next(iter(sequence(event.get("resources"))), None))
    when = text(data.get("occur_at")) or text(data.get("time"))
    words = (text(dig(event, "repository", "repo_full_name")), text(resource.get("digest")))
    if not kind or not all(words) or not when:
        return ""
    return key_of(kind, *words, text(resource.get("tag")), when)


def read(headers: Mapping[str, str], body: bytes) -> Reading:
    """Where to look after this delivery. A hint's name is "" where only the repository is known."""
    try:
        data = load(body)
        if "events" in data:
            return _envelope(data)
        kind, event = _harbor(data)
        if not usable(kind):
            return Reading("", problem="The body names no kind of event")
        return _harbor_reading(kind, event)
    except Unreadable as error:
        return Reading("", problem=str(error))


def redact(headers: Mapping[str, str], body: bytes) -> bytes:
    """These bodies hold no secrets: they stay as they are."""
    return body


def _harbor(data: Json) -> tuple[str, Json]:
    """(type, event data) of Harbor's default form or of its CloudEvents."""
    if "specversion" in data:
        kind = text(data.get("type"))
        return _CLOUD.get(kind, kind), mapping(data.get("data"))
    return text(data.get("type")), mapping(data.get("event_data"))


def _harbor_reading(kind: str, event: Json) -> Reading:
    if kind not in _ABOUT_IMAGES:
        return Reading(kind, summary=one_line(kind, 200))
    repository = text(dig(event, "repository", "repo_full_name"))
    if not usable(repository):
        return Reading(kind, problem="The body names no repository")
    tags = [text(mapping(entry).get("tag")) for entry in sequence(event.get("resources"))]
    hints = _hints((repository, tag) for tag in tags or [""])
    return Reading(kind, hints=hints, summary=one_line(f"{kind} {_names(hints) or repository}", 200))


def _envelope(data: Json) -> Reading:
    """distribution's notification: unrelated events, of which blobs and pulls are noise."""
    entries = data.get("events")
    if not isinstance(entries, list):
        return Reading("events", problem="The body has no list of events")
    found = [_event(mapping(entry)) for entry in entries]
    hints = _hints(pair for pair in found if pair is not None)
    return Reading("events", hints=hints, summary=one_line(f"{len(entries)} events: {_names(hints)}", 200))


def _event(event: Json) -> tuple[str, str] | None:
    target = mapping(event.get("target"))
    action, kind = text(event.get("action")), text(target.get("mediaType"))
    # A delete names digest and repository only; a push of a blob is no image.
    if action == "delete" or (action == "push" and kind.startswith(_MANIFESTS)):
        return text(target.get("repository")), text(target.get("tag"))
    return None


def _hints(pairs: Iterable[tuple[str, str]]) -> tuple[Hint, ...]:
    found: dict[Hint, None] = {}
    for repository, tag in pairs:
        # Harbor puts the digest where a tag is missing: that is no version, only a reason to look.
        name = "" if is_digest(tag) or not usable(tag) else tag
        if usable(repository) and not is_noise(name):
            found.setdefault(Hint("image", repository, name))
    return tuple(found)


def _names(hints: tuple[Hint, ...]) -> str:
    return ", ".join(f"{hint.project}:{hint.name}" if hint.name else hint.project for hint in hints[:5])
