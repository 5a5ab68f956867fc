"""What the observers saw last: never inferred, always read from the system that owns it."""

from __future__ import annotations

from django.db import models

from promotions.choices import UpstreamState
from promotions.models.catalogue import Connection, Stage
from promotions.models.versions import ImageVersion


class Upstream(models.Model):
    """One thing that is watched: who watches it (the lease) and how fresh our picture of it is."""

    name = models.CharField(max_length=500, unique=True, help_text="kind:connection[:what]")
    kind = models.CharField(max_length=40)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="upstreams")
    what = models.CharField(max_length=400, blank=True)
    holder = models.CharField(max_length=100, blank=True)
    held_until = models.DateTimeField(null=True)
    state = models.CharField(max_length=20, choices=UpstreamState, default=UpstreamState.STARTING)
    message = models.TextField(blank=True)
    seen_at = models.DateTimeField(null=True, help_text="When it last answered")
    troubled_since = models.DateTimeField(null=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class StageState(models.Model):
    """The three answers about one Stage: desired (Git), running (Argo CD), promoted (us)."""

    stage = models.OneToOneField(Stage, on_delete=models.CASCADE, related_name="state")

    desired_tag = models.CharField(max_length=128, blank=True)
    desired_digest = models.CharField(max_length=100, blank=True)
    desired_version = models.ForeignKey(ImageVersion, on_delete=models.SET_NULL, null=True, related_name="+")
    desired_places = models.JSONField(default=list, help_text="[{file, key, value, line}]")
    desired_commit = models.CharField(max_length=64, blank=True, help_text="The branch tip it was read at")
    desired_problem = models.TextField(blank=True)
    desired_seen_at = models.DateTimeField(null=True)

    running_tag = models.CharField(max_length=128, blank=True)
    running_digest = models.CharField(max_length=100, blank=True)
    running_version = models.ForeignKey(ImageVersion, on_delete=models.SET_NULL, null=True, related_name="+")
    running_others = models.JSONField(default=list, help_text="Further references live during a rollout")
    sync_status = models.CharField(max_length=20, blank=True)
    health_status = models.CharField(max_length=20, blank=True)
    health_since = models.DateTimeField(null=True)
    degraded_since = models.DateTimeField(null=True)
    revision = models.CharField(max_length=64, blank=True)
    operation_phase = models.CharField(max_length=20, blank=True)
    running_problem = models.TextField(blank=True, help_text="Argo CD's own words")
    running_seen_at = models.DateTimeField(null=True)

    promoted = models.ForeignKey(
        "promotions.Promotion", on_delete=models.SET_NULL, null=True, related_name="+"
    )

    def __str__(self) -> str:
        return f"state of {self.stage}"

    def save_desired(self) -> None:
        """Write what Git says and nothing else: the other answers have observers of their own."""
        self.save(update_fields=[f.name for f in self._meta.fields if f.name.startswith("desired_")])

    def save_running(self) -> None:
        """Write what Argo CD says and nothing else."""
        others = ("id", "stage", "promoted")
        names = [f.name for f in self._meta.fields if not f.name.startswith("desired_")]
        self.save(update_fields=[name for name in names if name not in others])


class ManifestHistory(models.Model):
    """The newest commits on the manifest branch that touched the files of a Stage's places."""

    stage = models.OneToOneField(Stage, on_delete=models.CASCADE, related_name="history")
    commit = models.CharField(max_length=64, help_text="The branch tip it was read at")
    commits = models.JSONField(
        default=list, help_text="[{sha, title, author, at, url, tag, digest, promotion}], newest first"
    )

    class Meta:
        verbose_name_plural = "manifest histories"

    def __str__(self) -> str:
        return f"history of {self.stage}"


class BranchTip(models.Model):
    """The tip of a watched branch."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    project = models.CharField(max_length=255)
    branch = models.CharField(max_length=255)
    commit = models.CharField(max_length=64)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "project", "branch"], name="branch_tip_is_unique")
        ]

    def __str__(self) -> str:
        return f"{self.project}@{self.branch}"
