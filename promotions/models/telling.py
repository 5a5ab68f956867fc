"""Whom to tell what, and what is still to be told."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from promotions.choices import Event, Personal
from promotions.models.catalogue import Connection, Stage
from promotions.models.promotion import Promotion


class NotificationChannelQuerySet(models.QuerySet["NotificationChannel"]):
    def rooms(self) -> NotificationChannelQuerySet:
        return self.filter(personal="")

    def offered(self) -> NotificationChannelQuerySet:
        """Return those that people may choose for themselves."""
        return self.exclude(personal="")


class NotificationChannel(models.Model):
    """A chat room, a mailbox or a webhook; or, when personal, a way to each person. Empty lists mean all."""

    slug = models.SlugField(unique=True)
    url = models.CharField(max_length=500, help_text='Apprise address as "env:NAME" or "file:/path"')
    personal = models.CharField(
        max_length=20,
        choices=Personal,
        blank=True,
        help_text="What completes the address to reach one person; empty for a room",
    )
    events = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    applications = ArrayField(models.SlugField(), default=list, blank=True)
    environments = ArrayField(models.SlugField(), default=list, blank=True)

    told_at = models.DateTimeField(null=True, editable=False, help_text="When it took a message last")
    problem = models.TextField(blank=True, editable=False, help_text="Why it took none, in a sentence")
    troubled_since = models.DateTimeField(null=True, editable=False)

    objects = NotificationChannelQuerySet.as_manager()

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

    def wants(self, event: Event, stages: Iterable[Stage]) -> bool:
        """Tell whether this room is to hear of something that happens in these Stages, or in none."""
        if self.events and event != Event.URGENT and not set(self.events).intersection(event.wishes):
            return False
        if not self.applications and not self.environments:
            return True
        return any(
            (not self.applications or stage.application.slug in self.applications)
            and (not self.environments or stage.environment.slug in self.environments)
            for stage in stages
        )


class Subscription(models.Model):
    """What one person wants to hear of through one of the personal channels."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="subscriptions")
    channel = models.ForeignKey(NotificationChannel, on_delete=models.CASCADE, related_name="subscriptions")
    events = ArrayField(models.CharField(max_length=20))
    # Slugs: a wish about an application that is gone is a wish about nothing, never about all.
    applications = ArrayField(models.SlugField(), default=list, blank=True, help_text="Empty: all")
    language = models.CharField(max_length=10, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["user", "channel"], name="one_subscription_per_channel"),
            models.CheckConstraint(
                name="subscribed_events_are_known", condition=Q(events__contained_by=Event.values)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.channel}"

    def wants(self, event: Event, applications: Iterable[str]) -> bool:
        """Tell whether the person asked for this. Whether they may know it is asked when it is sent."""
        chosen = set(self.events).intersection(event.wishes)
        return bool(chosen) and (not self.applications or not set(self.applications).isdisjoint(applications))


class Outage(models.Model):
    """A time in which a connection did not answer, long enough to be told."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="outages")
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection"],
                condition=Q(ended_at__isnull=True),
                name="one_open_outage_per_connection",
            )
        ]

    def __str__(self) -> str:
        return f"{self.connection} since {self.began_at}"


class Notification(models.Model):
    """One message for one room or person; written in the transaction of what it tells, sent after it.

    `key` says what it tells: nobody gets two of one key through one channel.
    """

    channel = models.ForeignKey(NotificationChannel, on_delete=models.CASCADE, related_name="notifications")
    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+"
    )
    promotion = models.ForeignKey(
        Promotion, on_delete=models.CASCADE, null=True, related_name="notifications"
    )
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, null=True, related_name="+")
    event = models.CharField(max_length=20, choices=Event)
    key = models.CharField(max_length=150)
    title = models.CharField(max_length=250)
    body = models.TextField()
    link = models.URLField(max_length=1000, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now, null=True, help_text="Empty: sent, or given up")
    sent_at = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    problem = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "key"], condition=Q(recipient__isnull=True), name="room_is_told_once"
            ),
            models.UniqueConstraint(
                fields=["channel", "recipient", "key"],
                condition=Q(recipient__isnull=False),
                name="person_is_told_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["channel", "recipient", "id"],
                condition=Q(due_at__isnull=False),
                name="notification_waiting",
            ),
            models.Index(fields=["key"], name="notification_key"),
        ]

    def __str__(self) -> str:
        return f"{self.key} to {self.recipient or self.channel}"
