"""GitLab's webhooks as pure functions on raw bytes (reference gitlab-webhooks.md, webhook-security.md).

None of them raises for anything a sender can write.
"""

# All vendors' modules have the same five functions, whether they need every argument or not.

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from integrations.hints import Hint, Reading, Subject, WebhookSecrets
from integrations.payload import Unreadable, key_of, load, lowered, same_secret, usable
from integrations.shape import Json, dig, mapping, number, one_line, sequence, text

TOLERANCE = timedelta(minutes=5)
REDACTED = "[redacted]"

_HEADER_OF = {
    "push": "Push Hook",
    "tag_push": "Tag Push Hook",
    "merge_request": "Merge Request Hook",
    "pipeline": "Pipeline Hook",
    "build": "Job Hook",
    "deployment": "Deployment Hook",
    "release": "Release Hook",
}


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secrets: WebhookSecrets,
    now: datetime,
    *,
    tolerance: timedelta = TOLERANCE,
) -> bool:
    """Whether a sender who knows one of the secrets sent exactly this body.

    A signature that is there must hold, however good the token; without one (GitLab's feature flag may be
    off) the token decides. A source without secrets accepts nothing.
    """
    given = lowered(headers)
    if secrets.signing_tokens and "webhook-signature" in given:
        return _is_signed(given, body, secrets, now, tolerance)
    return same_secret(given.get("x-gitlab-token", ""), secrets.tokens)


def _is_signed(
    given: Mapping[str, str], body: bytes, secrets: WebhookSecrets, now: datetime, tolerance: timedelta
) -> bool:
    """Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, any `v1,` entry of the list may match."""
    stamp = given.get("webhook-timestamp", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12):
        return False
    signed = f"{given.get('webhook-id', '')}.{stamp}.".encode("utf-8", "surrogatepass") + body
    entries = [entry[3:] for entry in given["webhook-signature"].split(" ") if entry.startswith("v1,")]
    matches = [
        same_secret(base64.b64encode(hmac.digest(key, signed, "sha256")).decode(), entries)
        for key in map(_signing_key, secrets.signing_tokens)
        if key
    ]
    return any(matches) and abs(now.timestamp() - int(stamp)) <= tolerance.total_seconds()


def _signing_key(token: str) -> bytes:
    """The key of `whsec_<base64>`; empty, and thereby refused, for anything else."""
    try:
        return base64.b64decode(token.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return b""


def dedupe_key(headers: Mapping[str, str], body: bytes) -> str:
    """The same for a repeated or resent delivery. X-Gitlab-Webhook-UUID is fresh at every attempt and
    X-Gitlab-Event-UUID shared by a chain of hooks: neither is of use."""
    given = lowered(headers)
    for name in ("webhook-id", "idempotency-key"):
        if given.get(name):
            return key_of("id", given[name])
    content = given.get("x-gitlab-event", "").encode("utf-8", "surrogatepass") + b"\n" + body
    return f"body:{hashlib.sha256(content).hexdigest()}"


def natural_key(headers: Mapping[str, str], body: bytes) -> str:
    """The same for one event that a project hook and a group or system hook both deliver, under different
    delivery keys. "" where an event has no such key."""
    try:
        data = load(body)
    except Unreadable:
        return ""
    kind = _kind(data)
    attributes = mapping(data.get("object_attributes"))
    parts: tuple[object, ...]
    if kind in ("push", "tag_push"):
        parts = (data.get("ref"), data.get("before"), data.get("after"))
    elif kind == "merge_request":
        commit = dig(attributes, "last_commit", "id")
        parts = (attributes.get("iid"), attributes.get("action"), attributes.get("updated_at"), commit)
    elif kind == "pipeline":
        parts = (attributes.get("id"), attributes.get("status"))
    elif kind == "deployment":
        parts = (data.get("deployment_id"), data.get("status"))
    else:
        return ""
    words = [text(part) for part in parts]
    return key_of(kind, _project_id(data), *words) if all(words[:2]) else ""


def read(headers: Mapping[str, str], body: bytes) -> Reading:
    """Where to look after this delivery. Unknown kinds have no hints; a body that cannot be used has a
    `problem` instead of an exception, because GitLab must get its 2xx."""
    try:
        data = load(body)
    except Unreadable as error:
        return Reading("", problem=str(error))
    kind = _kind(data)
    if not usable(kind):
        return Reading("", problem="The body names no kind of event")
    header = lowered(headers).get("x-gitlab-event", "")
    # System hooks carry one header for everything.
    if kind in _HEADER_OF and header not in ("", "System Hook", _HEADER_OF[kind]):
        return Reading(kind, problem=one_line(f"The header says {header}, the body {kind}", 200))
    reader = _READERS.get(kind)
    if reader is None:
        return Reading(kind, summary=kind)
    project = _project(data)
    if not usable(project):
        return Reading(kind, problem="The body names no project")
    try:
        hints, summary = reader(data, project)
    except Unreadable as error:
        return Reading(kind, problem=str(error))
    return Reading(kind, hints=hints, summary=one_line(summary, 200))


def redact(headers: Mapping[str, str], body: bytes) -> bytes:
    """The body without the values of pipeline variables, which may be secrets. Bodies without any, and
    those nobody can parse, stay byte for byte."""
    try:
        data = load(body)
    except Unreadable:
        return body
    attributes = mapping(data.get("object_attributes"))
    if not (data.get("variables") or attributes.get("variables")):
        return body
    clean = {**data, "object_attributes": _without_values(attributes)} if attributes else dict(data)
    return json.dumps(_without_values(clean), ensure_ascii=True).encode()


def _without_values(data: Json) -> Json:
    if not data.get("variables"):
        return data
    entries = [mapping(entry) for entry in sequence(data["variables"])]
    return {**data, "variables": [{**entry, "value": REDACTED} for entry in entries] or REDACTED}


def _kind(data: Json) -> str:
    """`object_kind`, which group and system hooks often leave out, else `event_name`."""
    return text(data.get("object_kind")) or text(data.get("event_name"))


def _project(data: Json) -> str:
    return text(dig(data, "project", "path_with_namespace")) or _project_id(data)


def _project_id(data: Json) -> str:
    return text(dig(data, "project", "id")) or text(data.get("project_id"))


Hints = tuple[Hint, ...]


def _push(data: Json, project: str) -> tuple[Hints, str]:
    ref = text(data.get("ref"))
    hint = _ref_hint(ref, project)
    what = "tag" if hint.subject == "tag" else "branch"
    who = text(data.get("user_username")) or text(data.get("user_name"))
    after = text(data.get("after"))
    if after and not after.strip("0"):  # all zeros, 40 or (SHA-256) 64 of them
        return (hint,), f"{what} {hint.name} deleted by {who}"
    count = number(data.get("total_commits_count")) or 0
    # For annotated tags `after` is the tag object, checkout_sha the commit.
    commit = (text(data.get("checkout_sha")) or after)[:8]
    return (hint,), f"{what} {hint.name} at {commit} by {who}" + (f", {count} commits" if count else "")


def _repository_update(data: Json, project: str) -> tuple[Hints, str]:
    refs = [text(entry) for entry in sequence(data.get("refs"))]
    hints = tuple(dict.fromkeys(_ref_hint(ref, project) for ref in refs))
    return hints, f"{len(hints)} refs of {project}"


def _merge_request(data: Json, project: str) -> tuple[Hints, str]:
    attributes = mapping(data.get("object_attributes"))
    iid = _identifier(attributes.get("iid"), "merge request")
    target, action = text(attributes.get("target_branch")), text(attributes.get("action")) or "update"
    hints: Hints = (Hint("merge_request", project, iid),)
    if text(attributes.get("state")) == "merged" and usable(target):
        # The push of the target branch comes separately, before or after, or not at all.
        hints += (Hint("branch", project, target),)
    source, title = text(attributes.get("source_branch")), text(attributes.get("title"))
    return hints, f"!{iid} {action}: {source} to {target}, {title}"


def _pipeline(data: Json, project: str) -> tuple[Hints, str]:
    attributes = mapping(data.get("object_attributes"))
    pipeline = _identifier(attributes.get("id"), "pipeline")
    summary = f"pipeline {pipeline} {text(attributes.get('status'))} on {text(attributes.get('ref'))}"
    return (Hint("pipeline", project, pipeline),), summary


def _job(data: Json, project: str) -> tuple[Hints, str]:
    pipeline = _identifier(data.get("pipeline_id"), "pipeline")
    summary = f"job {text(data.get('build_name'))} {text(data.get('build_status'))}"
    return (Hint("pipeline", project, pipeline),), summary


def _deployment(data: Json, project: str) -> tuple[Hints, str]:
    deployment = _identifier(data.get("deployment_id"), "deployment")
    summary = f"deployment {deployment} {text(data.get('status'))} to {text(data.get('environment'))}"
    return (Hint("deployment", project, deployment),), summary


def _release(data: Json, project: str) -> tuple[Hints, str]:
    tag = text(data.get("tag"))
    if not usable(tag):
        raise Unreadable("The body names no tag")
    return (Hint("tag", project, tag),), f"release {tag} {text(data.get('action'))}"


_READERS: dict[str, Callable[[Json, str], tuple[Hints, str]]] = {
    "push": _push,
    "tag_push": _push,
    "repository_update": _repository_update,
    "merge_request": _merge_request,
    "pipeline": _pipeline,
    "build": _job,
    "deployment": _deployment,
    "release": _release,
}


def _ref_hint(ref: str, project: str) -> Hint:
    places: tuple[tuple[str, Subject], ...] = (("refs/heads/", "branch"), ("refs/tags/", "tag"))
    for prefix, subject in places:
        if ref.startswith(prefix) and usable(ref.removeprefix(prefix)):
            return Hint(subject, project, ref.removeprefix(prefix))
    raise Unreadable("The body names no branch or tag")


def _identifier(value: object, what: str) -> str:
    found = number(value)
    if found is None or not 0 < found < 2**63:
        raise Unreadable(f"The body names no {what}")
    return str(found)
