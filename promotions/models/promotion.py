"""A promotion, its steps and the approvals bound to its exact change."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from promotions.choices import (
    OPEN_STATUSES,
    RETRYABLE_STATUSES,
    Decision,
    PromotionKind,
    PromotionStatus,
    StepName,
    StepStatus,
)
from promotions.models.catalogue import Stage
from promotions.models.versions import ImageVersion


class PromotionQuerySet(models.QuerySet["Promotion"]):
    def open(self) -> PromotionQuerySet:
        return self.filter(status__in=OPEN_STATUSES)

    def with_stage(self) -> PromotionQuerySet:
        """Join what every decision about a promotion asks for; each join more costs the database dearly."""
        return self.select_related("stage__application", "stage__environment", "version__image")

    def for_pages(self) -> PromotionQuerySet:
        """Join what every page about promotions shows."""
        return self.with_stage().select_related("from_version", "requested_by", "release", "schedule")


class Promotion(models.Model):
    """A request to bring a version to a Stage, and its execution.

    `key` is the `Promotion-Id:` trailer that makes its write findable after any crash. `status` has one
    writer: `workflow.transition`. The change fields are the Change as it was last computed; `change_hash`
    covers (file, key, old, new) only, so that it survives a tip that moved elsewhere.
    """

    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    stage = models.ForeignKey(Stage, on_delete=models.PROTECT, related_name="promotions")
    version = models.ForeignKey(ImageVersion, on_delete=models.PROTECT, related_name="promotions")
    from_version = models.ForeignKey(ImageVersion, on_delete=models.SET_NULL, null=True, related_name="+")
    kind = models.CharField(max_length=20, choices=PromotionKind, default=PromotionKind.PROMOTION)
    rollback_of = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="rollbacks")
    release = models.ForeignKey("Release", on_delete=models.PROTECT, null=True, related_name="promotions")
    wave = models.PositiveSmallIntegerField(default=1, help_text="Of its release: 1 goes first")
    status = models.CharField(max_length=20, choices=PromotionStatus, default=PromotionStatus.REQUESTED)
    message = models.TextField(blank=True, help_text="Why it is where it is, in one sentence")
    reason = models.TextField(blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="promotions"
    )
    requested_by_name = models.CharField(max_length=255)
    requested_at = models.DateTimeField(default=timezone.now)
    status_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    base_commit = models.CharField(max_length=64)
    change_hash = models.CharField(max_length=64)
    diff = models.TextField()
    edits = models.JSONField(default=list, help_text="[{file, key, old, new}]")
    rendered_diff = models.TextField(blank=True, help_text="What the change does to the built manifests")
    rendered_note = models.TextField(blank=True, help_text="Why there is no rendered difference")
    previous_diff = models.TextField(blank=True, help_text="What was approved before the change differed")

    step = models.CharField(max_length=20, choices=StepName, blank=True)
    attempt = models.PositiveSmallIntegerField(default=1)
    look_at = models.DateTimeField(null=True, help_text="When the engine looks again at the latest")

    branch_round = models.PositiveSmallIntegerField(
        default=1, help_text="Counts the branches of its own: a merge request in conflict gets another one"
    )
    written_commit = models.CharField(max_length=64, blank=True)
    written_at = models.DateTimeField(null=True)
    merge_request_iid = models.PositiveIntegerField(null=True)
    merge_request_url = models.URLField(max_length=1000, blank=True)
    target_commit = models.CharField(
        max_length=64, blank=True, help_text="The commit on the manifest branch that Argo CD must reach"
    )
    verification_run_name = models.CharField(max_length=255, blank=True)

    objects = PromotionQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["stage"], condition=Q(status__in=OPEN_STATUSES), name="one_open_promotion_per_stage"
            ),
            models.CheckConstraint(
                name="promotion_status_is_known", condition=Q(status__in=PromotionStatus.values)
            ),
            models.CheckConstraint(
                name="finished_when_and_only_when_closed",
                condition=Q(finished_at__isnull=True, status__in=OPEN_STATUSES)
                | (Q(finished_at__isnull=False) & ~Q(status__in=OPEN_STATUSES)),
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.version} to {self.stage}"

    def get_absolute_url(self) -> str:
        return reverse("promotion", args=[self.pk])

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_STATUSES

    @property
    def is_retryable(self) -> bool:
        return self.status in RETRYABLE_STATUSES

    @property
    def waits_since(self) -> datetime | None:
        """When the present wait began: for people, behind a gate, or in a step. None once it has ended."""
        if not self.is_open or self.status != PromotionStatus.RUNNING:
            return self.status_at if self.is_open else None
        steps = [row for row in self.steps.all() if (row.step, row.attempt) == (self.step, self.attempt)]
        return steps[-1].waits_since if steps else self.status_at

    @property
    def waits_in_line(self) -> bool:
        """Whether it waits for its turn to write: nothing is in Git yet, so a newer one may replace it."""
        lines = self.steps.filter(step=StepName.WRITE, status=StepStatus.WAITING, attempt=self.attempt)
        return self.status == PromotionStatus.RUNNING and lines.filter(data__lane__gt="").exists()

    def standing_approvals(self) -> list[Approval]:
        """Return the approvals that hold for the change as it is now."""
        return [
            approval
            for approval in self.approvals.all()
            if approval.decision == Decision.APPROVED
            and approval.fallen_at is None
            and approval.change_hash == self.change_hash
        ]


class StepResult(models.Model):
    """One act of a promotion and what it reported; a retry makes a new one."""

    promotion = models.ForeignKey(Promotion, on_delete=models.CASCADE, related_name="steps")
    step = models.CharField(max_length=20, choices=StepName)
    attempt = models.PositiveSmallIntegerField(default=1)
    status = models.CharField(max_length=20, choices=StepStatus, default=StepStatus.RUNNING)
    message = models.TextField(blank=True)
    link = models.URLField(max_length=1000, blank=True)
    data = models.JSONField(default=dict, help_text="What the step must remember between two looks")
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["promotion", "step", "attempt"], name="one_result_per_attempt")
        ]

    def __str__(self) -> str:
        return f"{self.promotion} {self.step}"

    @property
    def waits_since(self) -> datetime:
        """When a gate stopped it, else when it began."""
        held = self.data.get("held_since")
        return datetime.fromtimestamp(held, UTC) if held else self.started_at


class Approval(models.Model):
    """One person's decision, bound to the change they saw."""

    promotion = models.ForeignKey(Promotion, on_delete=models.CASCADE, related_name="approvals")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    person_name = models.CharField(max_length=255)
    decision = models.CharField(max_length=20, choices=Decision)
    comment = models.TextField(blank=True)
    change_hash = models.CharField(max_length=64)
    at = models.DateTimeField(default=timezone.now)
    fallen_at = models.DateTimeField(null=True)
    fallen_because = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["promotion", "person"],
                condition=Q(fallen_at__isnull=True),
                name="one_standing_decision_per_person",
            )
        ]

    def __str__(self) -> str:
        return f"{self.person_name} {self.decision} {self.promotion_id}"
