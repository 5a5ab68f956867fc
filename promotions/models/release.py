"""A Release: several versions that go together."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone

from promotions.choices import PromotionKind, PromotionStatus, WriteMode

if TYPE_CHECKING:
    from promotions.models.promotion import Promotion


class Release(models.Model):
    """Several versions promoted together: approved at once, one commit in each repository, wave by wave.

    It has no status: how far it is, its promotions say. `pause` is in minutes, between the end of one wave
    and the beginning of the next.
    """

    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=20, choices=PromotionKind, default=PromotionKind.PROMOTION)
    rollback_of = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="rollbacks")
    reason = models.TextField()
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="releases"
    )
    requested_by_name = models.CharField(max_length=255)
    requested_at = models.DateTimeField(default=timezone.now)
    pause = models.PositiveIntegerField(default=0, help_text="Minutes between two waves")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} (release #{self.pk})"

    def get_absolute_url(self) -> str:
        return reverse("release", args=[self.pk])

    def members(self) -> list[Promotion]:
        """Return its promotions in the order in which they go."""
        return list(self.promotions.for_pages().order_by("wave", "pk"))

    @property
    def change_hash(self) -> str:
        """Return what an approval of the whole is bound to: which version goes where by which change."""
        rows = self.promotions.values_list("stage_id", "version_id", "change_hash")
        return hash_of(rows)


def hash_of(rows: models.QuerySet[Promotion, tuple[int, int, str]] | list[tuple[int, int, str]]) -> str:
    """Return the SHA-256 (hex) over (Stage id, version id, change hash) of each part, in any order."""
    canonical = json.dumps(sorted([stage, version, change] for stage, version, change in rows))
    return hashlib.sha256(canonical.encode()).hexdigest()


def companions(promotion: Promotion) -> list[Promotion]:
    """Return the promotions that go into one commit with this one, itself among them; the first one writes.

    A Release is atomic in one repository: what goes to the same branch in the same wave and way.
    """
    if promotion.release is None:
        return [promotion]
    same = promotion.release.promotions.for_pages().select_related(
        "stage__image",
        "stage__manifest_connection",
        "stage__application__source_connection",
        "version__image__connection",
    )
    found = [
        each
        for each in same.filter(wave=promotion.wave).order_by("pk")
        if lane(each) == lane(promotion) and each.status != PromotionStatus.SUPERSEDED
    ]
    # The instance that the caller works on must be the one that changes.
    return [promotion if each.pk == promotion.pk else each for each in found]


def lane(promotion: Promotion) -> tuple[object, ...]:
    """Return what tells commits of a Release apart: repository, branch and how it gets there."""
    stage = promotion.stage
    team = stage.team_branch if stage.write_mode == WriteMode.TEAM_BRANCH else ""
    place = (stage.manifest_connection_id, stage.manifest_project, stage.manifest_branch)
    return (*place, stage.write_mode, stage.merged_by_people, team)
