"""Received webhooks, kept raw."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from promotions.choices import DeliveryOutcome
from promotions.models.catalogue import WebhookSource


class Delivery(models.Model):
    """One authenticated webhook. A webhook says "look now"; nothing is believed from its body."""

    source = models.ForeignKey(WebhookSource, on_delete=models.CASCADE, related_name="deliveries")
    dedupe_key = models.CharField(max_length=255)
    headers = models.JSONField(default=dict)
    body = models.BinaryField()
    received_at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=100, blank=True)
    summary = models.TextField(blank=True)
    outcome = models.CharField(max_length=20, choices=DeliveryOutcome, default=DeliveryOutcome.PENDING)
    message = models.TextField(blank=True)
    processed_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    duplicates = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["source", "dedupe_key"], name="delivery_is_taken_once")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.received_at:%Y-%m-%d %H:%M:%S}"
