"""Emergencies: glass that was broken, the review it leaves, and roll-backs that Slipway decides on itself."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone

from promotions.choices import AutomaticState, RollbackCause
from promotions.models.promotion import Promotion


class BreakGlass(models.Model):
    """One promotion may pass the gates named here, for exactly one change: who let it, and why."""

    promotion = models.ForeignKey(Promotion, on_delete=models.CASCADE, related_name="broken_glass")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    person_name = models.CharField(max_length=255)
    gates = ArrayField(models.CharField(max_length=40))
    reason = models.TextField()
    change_hash = models.CharField(max_length=64)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "broken glass"
        constraints = [
            models.CheckConstraint(name="broken_glass_has_a_reason", condition=~Q(reason="")),
            models.CheckConstraint(name="broken_glass_names_gates", condition=~Q(gates=[])),
        ]

    def __str__(self) -> str:
        return f"glass broken for {self.promotion_id}: {', '.join(self.gates)}"


class ReviewTaskQuerySet(models.QuerySet["ReviewTask"]):
    def open(self) -> ReviewTaskQuerySet:
        return self.filter(closed_at=None)

    def for_pages(self) -> ReviewTaskQuerySet:
        return self.select_related(
            "glass",
            "person",
            "closed_by",
            "promotion__stage__application",
            "promotion__stage__environment",
            "promotion__version__image",
            "promotion__requested_by",
        )


class ReviewTask(models.Model):
    """What broken glass leaves: somebody else than `person` looks at it and says what they found."""

    promotion = models.ForeignKey(Promotion, on_delete=models.CASCADE, related_name="reviews")
    glass = models.OneToOneField(BreakGlass, on_delete=models.CASCADE, related_name="review")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    opened_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    closed_by_name = models.CharField(max_length=255, blank=True)
    comment = models.TextField(blank=True)

    objects = ReviewTaskQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                name="review_is_closed_with_a_comment",
                condition=Q(closed_at__isnull=True, comment="")
                | (Q(closed_at__isnull=False) & ~Q(comment="")),
            ),
            models.CheckConstraint(
                name="review_is_closed_by_somebody_else",
                condition=Q(closed_by__isnull=True) | Q(person__isnull=True) | ~Q(closed_by=F("person")),
            ),
        ]

    def __str__(self) -> str:
        return f"review of promotion {self.promotion_id}"

    def get_absolute_url(self) -> str:
        return reverse("review-close", args=[self.pk])


class AutomaticRollback(models.Model):
    """What Slipway decided by itself about a promotion that went bad: one decision for each, ever.

    `message` is the sentence both promotions' pages show.
    """

    promotion = models.OneToOneField(Promotion, on_delete=models.CASCADE, related_name="automatic_rollback")
    cause = models.CharField(max_length=20, choices=RollbackCause)
    state = models.CharField(max_length=20, choices=AutomaticState, default=AutomaticState.WAITING)
    message = models.TextField(blank=True)
    rollback = models.OneToOneField(
        Promotion, on_delete=models.SET_NULL, null=True, related_name="decided_automatically"
    )
    seen_at = models.DateTimeField(default=timezone.now, help_text="When the cause was first seen")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                name="decided_when_and_only_when_not_waiting",
                condition=Q(state=AutomaticState.WAITING, decided_at__isnull=True)
                | (~Q(state=AutomaticState.WAITING) & Q(decided_at__isnull=False)),
            )
        ]

    def __str__(self) -> str:
        return f"automatic roll-back of {self.promotion_id}: {self.state}"
