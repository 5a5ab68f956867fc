"""The record of who did what."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.urls import reverse
from django.utils import timezone

from promotions.choices import Via


class AuditEntry(models.Model):
    """Who did what, when, from where and why; written in the transaction of what it tells.

    Triggers of the database chain each row when its transaction commits (`number`, `previous_hash`,
    `hash`) and refuse every other change, also by hand. Everything is kept as text beside the ids, so that
    the row is readable and found when what it speaks of is gone.
    """

    at = models.DateTimeField(default=timezone.now)
    # No constraint in the database: the row outlives the person and is never changed.
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        null=True,
        related_name="+",
        db_constraint=False,
    )
    actor_username = models.CharField(max_length=150, blank=True, db_index=True)
    actor_name = models.CharField(max_length=255)
    via = models.CharField(max_length=20, choices=Via, default=Via.UNKNOWN)
    address = models.CharField(max_length=100, default="unknown")
    client = models.CharField(max_length=200, blank=True, help_text="The token or command that spoke")
    action = models.CharField(max_length=100)
    subject = models.CharField(max_length=255)
    reason = models.TextField(blank=True)
    application = models.CharField(max_length=50, blank=True)
    environment = models.CharField(max_length=50, blank=True)
    promotion = models.ForeignKey(
        "promotions.Promotion",
        on_delete=models.DO_NOTHING,
        null=True,
        related_name="audit_entries",
        db_constraint=False,
    )
    tag = models.CharField(max_length=255, blank=True, db_index=True)
    digest = models.CharField(max_length=100, blank=True, db_index=True)
    commit = models.CharField(max_length=64, blank=True, db_index=True)
    manifest_commit = models.CharField(max_length=64, blank=True, db_index=True)
    change_hash = models.CharField(max_length=64, blank=True)
    data = models.JSONField(default=dict)

    content_hash = models.CharField(max_length=64, blank=True)
    number = models.BigIntegerField(null=True, unique=True, help_text="Its place in the chain")
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["at"], name="audit_at"),
            models.Index(fields=["application", "-id"], name="audit_application"),
            models.Index(fields=["action", "-id"], name="audit_action"),
            models.Index(Upper("actor_name"), name="audit_actor_name"),
        ]
        constraints = [
            models.CheckConstraint(
                name="audit_says_who_what_and_from_where",
                condition=~Q(actor_name="") & ~Q(action="") & ~Q(address="") & Q(via__in=Via.values),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.action} {self.subject}"

    def get_absolute_url(self) -> str:
        return reverse("audit-entry", args=[self.pk])


class AuditHead(models.Model):
    """The newest link of the chain, kept apart from it, so that a cut tail shows. One row, by a trigger."""

    number = models.BigIntegerField()
    hash = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"{self.number} {self.hash}"
