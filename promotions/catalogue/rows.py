"""What a catalogue file declares, as rows named by words: no database ids, so that files compare to tables.

A field is spelt as Django spells a look-up: "source_connection__slug" is the slug of the connection that
`source_connection` points to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from django.db.models import Model

from promotions.models import (
    Application,
    Connection,
    Environment,
    FreezeWindow,
    Image,
    NotificationChannel,
    RoleGrant,
    Stage,
    WebhookSource,
)

Key = tuple[str | None, ...]
Values = Mapping[str, object]


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One table of the catalogue: which fields name a row, and which the file decides.

    `parked` holds the fields with a uniqueness of their own and what they are set to, by primary key,
    while rows swap values among each other.
    """

    noun: str
    model: type[Model]
    key: tuple[str, ...]
    fields: tuple[str, ...] = ()
    parked: Mapping[str, Callable[[int], object]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One thing the file declares. `line` is where."""

    key: Key
    values: Values
    line: int = 0
    path: str = ""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A valid file's content: rows by kind. A kind that is absent is none of the file's business."""

    file: str
    rows: Mapping[Kind, tuple[Row, ...]]


def _parked_text(pk: int) -> str:
    return f"-{pk}-"


CONNECTION = Kind(
    "connection",
    Connection,
    ("slug",),
    (
        "vendor",
        "url",
        "username",
        "secret",
        "ca_file",
        "host",
        "namespace",
        "web_url",
        "known_hosts",
        "signing_key",
        "signing_format",
    ),
)
WEBHOOK_SOURCE = Kind(
    "webhook source", WebhookSource, ("id",), ("connection__slug", "tokens", "signing_tokens")
)
ENVIRONMENT = Kind(
    "environment",
    Environment,
    ("slug",),
    ("name", "order", "risk", "required_approvals", "policy"),
    {"order": partial(int.__add__, 1_000_000)},
)
APPLICATION = Kind(
    "application",
    Application,
    ("slug",),
    ("name", "description", "source_connection__slug", "source_project"),
)
IMAGE = Kind(
    "image",
    Image,
    ("application__slug", "slug"),
    ("connection__slug", "repository", "newest"),
    {"repository": _parked_text},
)
STAGE = Kind(
    "stage",
    Stage,
    ("application__slug", "environment__slug"),
    (
        "image__slug",
        "manifest_connection__slug",
        "manifest_project",
        "manifest_branch",
        "manifest_path",
        "places",
        "edit_style",
        "write_mode",
        "team_branch",
        "merged_by_people",
        "commit_message",
        "branch_name",
        "argocd_connection__slug",
        "argocd_project",
        "argocd_application",
        "verification_connection__slug",
        "verification_pipeline",
        "promotable",
        "promote",
        "newest",
    ),
)
ROLE = Kind(
    "role",
    RoleGrant,
    ("user__username", "group__name", "role", "application__slug", "environment__slug"),
)

CHANNEL = Kind(
    "notification channel",
    NotificationChannel,
    ("slug",),
    ("url", "personal", "events", "applications", "environments"),
)

FREEZE = Kind(
    "freeze",
    FreezeWindow,
    ("slug",),
    (
        "reason",
        "applications",
        "environments",
        "starts",
        "ends",
        "lasts",
        "begins_at",
        "ends_at",
        "time_zone",
    ),
)

# Each kind points only to kinds before it: made in this order, removed in the opposite one.
KINDS = (CONNECTION, WEBHOOK_SOURCE, ENVIRONMENT, APPLICATION, IMAGE, STAGE, ROLE, CHANNEL, FREEZE)
