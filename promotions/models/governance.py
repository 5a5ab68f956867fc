"""What keeps promotions back by people's or the calendar's will: locks, freezes, blocks, outside checks."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from promotions.choices import CheckState
from promotions.models.catalogue import Application, Connection, Environment, Stage
from promotions.models.promotion import Promotion
from promotions.models.versions import ImageVersion


class LockQuerySet(models.QuerySet["Lock"]):
    def standing(self) -> LockQuerySet:
        return self.filter(lifted_at=None)

    def covering(self, stage: Stage) -> LockQuerySet:
        """Keep the standing locks that close this Stage, alone or with others."""
        return self.standing().filter(
            Q(application=None) | Q(application=stage.application_id),
            Q(environment=None) | Q(environment=stage.environment_id),
        )


class Lock(models.Model):
    """A place closed by a person. Without application and environment it is the emergency stop."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, null=True, blank=True)
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, null=True, blank=True)
    reason = models.TextField()
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    set_by_name = models.CharField(max_length=255)
    set_at = models.DateTimeField(default=timezone.now)
    lifted_by_name = models.CharField(max_length=255, blank=True)
    lifted_at = models.DateTimeField(null=True)

    objects = LockQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["application", "environment"],
                condition=Q(lifted_at__isnull=True),
                nulls_distinct=False,
                name="one_standing_lock_per_place",
            ),
            models.CheckConstraint(name="lock_has_a_reason", condition=~Q(reason="")),
        ]

    def __str__(self) -> str:
        return f"lock of {self.application or '*'} / {self.environment or '*'}"


class VersionBlock(models.Model):
    """A version that a person marked bad: it is promoted nowhere until somebody takes the mark away."""

    version = models.ForeignKey(ImageVersion, on_delete=models.CASCADE, related_name="blocks")
    reason = models.TextField()
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    set_by_name = models.CharField(max_length=255)
    set_at = models.DateTimeField(default=timezone.now)
    lifted_by_name = models.CharField(max_length=255, blank=True)
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["version"],
                condition=Q(lifted_at__isnull=True),
                name="one_standing_block_per_version",
            )
        ]

    def __str__(self) -> str:
        return f"block of {self.version}"


class FreezeWindow(models.Model):
    """A calendar rule of the catalogue. Empty lists of applications and environments mean all.

    Either `starts` with `ends` (both cron, 5 fields) or `lasts` (minutes), or `begins_at` to `ends_at`
    (local times, ISO 8601 without an offset). All of them are read in `time_zone`.
    """

    slug = models.SlugField(unique=True)
    reason = models.CharField(max_length=255, blank=True)
    applications = ArrayField(models.SlugField(), default=list, blank=True)
    environments = ArrayField(models.SlugField(), default=list, blank=True)
    starts = models.CharField(max_length=100, blank=True)
    ends = models.CharField(max_length=100, blank=True)
    lasts = models.PositiveIntegerField(default=0, help_text="Minutes")
    begins_at = models.CharField(max_length=32, blank=True)
    ends_at = models.CharField(max_length=32, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC")

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug

    def covers(self, stage: Stage) -> bool:
        """Tell whether the rule speaks of this Stage."""
        return (not self.applications or stage.application.slug in self.applications) and (
            not self.environments or stage.environment.slug in self.environments
        )


class FreezePeriod(models.Model):
    """One of a GitLab project's deploy freezes, as last read (reference gitlab-api.md, Freeze periods)."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="freeze_periods")
    project = models.CharField(max_length=255)
    number = models.PositiveBigIntegerField(help_text="GitLab's id")
    starts = models.CharField(max_length=100)
    ends = models.CharField(max_length=100)
    time_zone = models.CharField(max_length=64)
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["project", "number"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "project", "number"], name="freeze_period_is_read_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.project} freeze {self.number}"


class FreezeException(models.Model):
    """One promotion may go although its Stage is frozen: who let it, and why."""

    promotion = models.OneToOneField(Promotion, on_delete=models.CASCADE, related_name="freeze_exception")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    person_name = models.CharField(max_length=255)
    reason = models.TextField()
    change_hash = models.CharField(max_length=64)
    at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"freeze exception for {self.promotion_id}"


class CheckResult(models.Model):
    """What an outside check last said of one promotion's change: a test suite, a scanner, a ticket."""

    promotion = models.ForeignKey(Promotion, on_delete=models.CASCADE, related_name="checks")
    name = models.SlugField()
    change_hash = models.CharField(max_length=64)
    state = models.CharField(max_length=20, choices=CheckState, default=CheckState.PENDING)
    message = models.TextField(blank=True)
    link = models.URLField(max_length=1000, blank=True)
    by_name = models.CharField(max_length=255, blank=True)
    at = models.DateTimeField(default=timezone.now)
    asked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["promotion", "name"], name="one_result_per_check"),
            models.CheckConstraint(name="check_state_is_known", condition=Q(state__in=CheckState.values)),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.promotion_id}: {self.state}"


class Residence(models.Model):
    """A version's stay in a Stage, as the cluster showed it; where soak times are counted from.

    `healthy_since` is the start of the present uninterrupted healthy time; `soaked` the longest one that
    has ended, in seconds.
    """

    stage = models.ForeignKey(Stage, on_delete=models.CASCADE, related_name="residences")
    version = models.ForeignKey(ImageVersion, on_delete=models.CASCADE, related_name="residences")
    since = models.DateTimeField(default=timezone.now)
    healthy_since = models.DateTimeField(null=True)
    soaked = models.PositiveIntegerField(default=0, help_text="Seconds")
    left_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-since", "-id"]
        constraints = [models.UniqueConstraint(fields=["stage", "version"], name="one_residence_per_version")]

    def __str__(self) -> str:
        return f"{self.version} in {self.stage}"
