"""Whom to tell what, and what is still to be told."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from promotions.models.promotion import Promotion


class NotificationChannel(models.Model):
    """A chat room, a mailbox or a webhook. Empty lists mean all."""

    slug = models.SlugField(unique=True)
    url = models.CharField(max_length=500, help_text='Apprise address as "env:NAME" or "file:/path"')
    events = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    applications = ArrayField(models.SlugField(), default=list, blank=True)
    environments = ArrayField(models.SlugField(), default=list, blank=True)

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(
                name="channel_url_is_a_reference",
                condition=Q(url__startswith="env:") | Q(url__startswith="file:"),
            )
        ]

    def __str__(self) -> str:
        return self.slug

    def wants(self, event: str, promotion: Promotion) -> bool:
        """Tell whether this channel is to hear of the event."""
        stage = promotion.stage
        return (
            (not self.events or event in self.events)
            and (not self.applications or stage.application.slug in self.applications)
            and (not self.environments or stage.environment.slug in self.environments)
        )


class Notification(models.Model):
    """One message for one channel; written in the transaction of what it tells, sent after it."""

    channel = models.ForeignKey(NotificationChannel, on_delete=models.CASCADE, related_name="notifications")
    promotion = models.ForeignKey(Promotion, on_delete=models.CASCADE, related_name="notifications")
    event = models.CharField(max_length=20)
    attempt = models.PositiveSmallIntegerField(default=1, help_text="The promotion's attempt it tells of")
    title = models.CharField(max_length=250)
    body = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now, null=True, help_text="Empty: sent, or given up")
    sent_at = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    problem = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "promotion", "event", "attempt"], name="told_once_per_attempt"
            )
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.promotion_id} to {self.channel}"
