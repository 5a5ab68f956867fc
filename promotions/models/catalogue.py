"""What the catalogue file declares: connections, applications, environments, stages, images."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.urls import reverse

from promotions.choices import EditStyle, PromoteMode, Risk, SigningFormat, Vendor, WriteMode


class Connection(models.Model):
    """How to reach one vendor's API. The secret is a reference ("env:NAME", "file:/path"), never a value."""

    slug = models.SlugField(unique=True)
    vendor = models.CharField(max_length=20, choices=Vendor)
    url = models.CharField(
        max_length=200, help_text="Base address of the API; for Git what stands before the project's path"
    )
    username = models.CharField(max_length=200, blank=True)
    secret = models.CharField(max_length=500, blank=True, help_text='"env:NAME" or "file:/path"')
    ca_file = models.CharField(max_length=500, blank=True)
    host = models.CharField(max_length=255, blank=True, help_text="A registry's host as image names spell it")
    namespace = models.CharField(max_length=63, blank=True, help_text="Tekton's namespace")
    web_url = models.URLField(blank=True, help_text="Address for links, where it differs from the API's")
    known_hosts = models.CharField(
        max_length=500, blank=True, help_text="For Git over SSH: the file with the servers' host keys"
    )
    signing_key = models.CharField(
        max_length=500,
        blank=True,
        help_text='For Git: what signs commits, "env:NAME" or "file:/path"',
    )
    signing_format = models.CharField(max_length=10, choices=SigningFormat, blank=True)

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(
                name="connection_secret_is_a_reference",
                condition=models.Q(secret="")
                | models.Q(secret__startswith="env:")
                | models.Q(secret__startswith="file:"),
            ),
            models.CheckConstraint(
                name="connection_signing_key_is_a_reference",
                condition=models.Q(signing_key="")
                | models.Q(signing_key__startswith="env:")
                | models.Q(signing_key__startswith="file:"),
            ),
        ]

    def __str__(self) -> str:
        return self.slug


class WebhookSource(models.Model):
    """One sender of webhooks. Its id is unguessable and part of the address it posts to."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="webhook_sources")
    tokens = ArrayField(models.CharField(max_length=500), default=list, blank=True)
    signing_tokens = ArrayField(models.CharField(max_length=500), default=list, blank=True)
    refused_count = models.PositiveBigIntegerField(default=0, editable=False)
    last_refused_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.connection} ({self.id})"

    @property
    def path(self) -> str:
        """Return the address path this source posts to."""
        return f"/webhooks/{self.connection.vendor}/{self.id}"


class Environment(models.Model):
    """dev, staging, production ...: one column of the matrix."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    order = models.PositiveIntegerField()
    risk = models.CharField(max_length=20, choices=Risk, default=Risk.DEVELOPMENT)
    required_approvals = models.PositiveSmallIntegerField(default=1)
    policy = models.JSONField(
        default=dict, blank=True, help_text="Further rules, as `policy.rules.Rules` reads them"
    )

    class Meta:
        ordering = ["order"]
        constraints = [models.UniqueConstraint(fields=["order"], name="environment_order_is_unique")]

    def __str__(self) -> str:
        return self.name


class Application(models.Model):
    """What a team ships: one source project, one or more images."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    source_connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    source_project = models.CharField(max_length=255)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("application", args=[self.slug])


class Image(models.Model):
    """A repository of builds. Which registry answers for it is the connection's business."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="images")
    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="images")
    repository = models.CharField(max_length=255, help_text="host/path, without tag")
    slug = models.SlugField()
    newest = models.JSONField(
        default=dict, blank=True, help_text="Which version is the newest, as `policy.ordering` reads it"
    )

    class Meta:
        ordering = ["application", "slug"]
        constraints = [
            models.UniqueConstraint(fields=["application", "slug"], name="image_slug_is_unique"),
            models.UniqueConstraint(fields=["application", "repository"], name="image_repository_is_unique"),
        ]

    def __str__(self) -> str:
        return self.repository


class Stage(models.Model):
    """One Application in one Environment: the place a version is promoted to."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="stages")
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="stages")
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="stages")

    manifest_connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    manifest_project = models.CharField(max_length=255)
    manifest_branch = models.CharField(max_length=255)
    manifest_path = models.CharField(max_length=500, blank=True)
    places = models.JSONField(
        default=list, blank=True, help_text='Where several places match: the chosen ones, "file:key"'
    )
    edit_style = models.CharField(max_length=20, choices=EditStyle, default=EditStyle.TAG)
    write_mode = models.CharField(max_length=20, choices=WriteMode, default=WriteMode.DIRECT)
    team_branch = models.CharField(max_length=255, blank=True)
    commit_message = models.TextField(blank=True, help_text="Template; the trailers follow by themselves")
    branch_name = models.CharField(max_length=255, blank=True, help_text="Template of a branch of its own")
    merged_by_people = models.BooleanField(
        default=False, help_text="Slipway opens the merge request and waits until a person merges it"
    )

    argocd_connection = models.ForeignKey(
        Connection, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    argocd_project = models.CharField(max_length=255, default="default", blank=True)
    argocd_application = models.CharField(max_length=255, blank=True)

    verification_connection = models.ForeignKey(
        Connection, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    verification_pipeline = models.CharField(max_length=255, blank=True)

    promotable = models.BooleanField(default=True, help_text="Whether people promote to it at all")
    promote = models.CharField(max_length=20, choices=PromoteMode, default=PromoteMode.BY_PEOPLE)
    newest = models.JSONField(default=dict, blank=True, help_text="Where it differs from the image's")

    class Meta:
        ordering = ["application__name", "environment__order"]
        constraints = [
            models.UniqueConstraint(fields=["application", "environment"], name="one_stage_per_cell"),
            models.CheckConstraint(
                name="team_branch_named_when_used",
                condition=~models.Q(write_mode=WriteMode.TEAM_BRANCH) | ~models.Q(team_branch=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.application} / {self.environment}"

    def get_absolute_url(self) -> str:
        return f"{self.application.get_absolute_url()}#{self.environment.slug}"

    @property
    def promotes_automatically(self) -> bool:
        return self.promotable and self.promote == PromoteMode.AUTOMATICALLY
