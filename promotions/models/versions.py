"""Builds and where they came from."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from promotions.choices import Severity
from promotions.models.catalogue import Connection, Image


class ImageVersion(models.Model):
    """One immutable build. The digest is its identity; tags are labels that may move."""

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="versions")
    digest = models.CharField(max_length=100)
    tag = models.CharField(max_length=128, help_text="The label it was first seen under")
    tags = ArrayField(models.CharField(max_length=128), default=list, help_text="Labels on it now")
    commit = models.CharField(max_length=64, blank=True)
    built_by = models.ForeignKey(
        "promotions.PipelineRun", on_delete=models.SET_NULL, null=True, related_name="versions"
    )
    created_at = models.DateTimeField(default=timezone.now, help_text="Pushed, or first seen where unknown")
    missing_since = models.DateTimeField(null=True, help_text="When the registry no longer had the digest")
    scan_status = models.CharField(max_length=20, blank=True, help_text="Harbor's word, Success when done")
    scan_severity = models.CharField(max_length=20, choices=Severity, blank=True)
    pipeline_status = models.CharField(max_length=40, blank=True, help_text="Of the commit, GitLab's word")
    pipeline_url = models.URLField(max_length=1000, blank=True)
    evidence_at = models.DateTimeField(null=True, help_text="When scan and pipeline were last looked at")

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["image", "digest"], name="digest_is_the_identity")]

    def __str__(self) -> str:
        return self.label

    @property
    def is_mutable(self) -> bool:
        """Tell whether its first tag has moved, or will, so that the tag alone does not name it."""
        return self.tag in ("latest", "") or self.tag not in self.tags

    @property
    def label(self) -> str:
        """Return what people call this version: its tag, with the digest where the tag moves."""
        return f"{self.tag}@{self.short_digest}" if self.is_mutable else self.tag

    @property
    def short_digest(self) -> str:
        return self.digest.removeprefix("sha256:")[:12]

    @property
    def short_commit(self) -> str:
        return self.commit[:8]


class Commit(models.Model):
    """A commit of a source or manifest project, as GitLab told it."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    project = models.CharField(max_length=255)
    sha = models.CharField(max_length=64)
    title = models.TextField()
    author_name = models.CharField(max_length=255)
    authored_at = models.DateTimeField()
    web_url = models.URLField(max_length=1000, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "project", "sha"], name="commit_is_unique")
        ]

    def __str__(self) -> str:
        return f"{self.sha[:8]} {self.title}"


class Comparison(models.Model):
    """What lies between two commits. Both ends are immutable, so it is read once and kept."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    project = models.CharField(max_length=255)
    base = models.CharField(max_length=64)
    head = models.CharField(max_length=64)
    commits = models.JSONField(default=list, help_text="[{sha, title, author, at, url}], newest first")
    merge_requests = models.JSONField(default=list, help_text="[{iid, title, author, url}]")
    backwards = models.BooleanField(default=False, help_text="head is older than base: what would be undone")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "project", "base", "head"], name="comparison_is_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.base[:8]}..{self.head[:8]}"
