"""Who may do what."""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from promotions.choices import Role, TokenScope
from promotions.models.catalogue import Application, Environment


class RoleGrant(models.Model):
    """A role for a person or group, for one Application and Environment or for all (null)."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="role_grants"
    )
    group = models.ForeignKey(
        Group, on_delete=models.CASCADE, null=True, blank=True, related_name="role_grants"
    )
    role = models.CharField(max_length=20, choices=Role)
    application = models.ForeignKey(Application, on_delete=models.CASCADE, null=True, blank=True)
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="grant_is_for_a_user_or_a_group",
                condition=Q(user__isnull=True, group__isnull=False)
                | Q(user__isnull=False, group__isnull=True),
            ),
            models.UniqueConstraint(
                fields=["user", "group", "role", "application", "environment"],
                name="grant_is_unique",
                nulls_distinct=False,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user or self.group}: {self.role}"


def every_scope() -> list[str]:
    return list(TokenScope.values)


class ApiToken(models.Model):
    """A token for the API, of a person or of a service. Only its SHA-256 is kept; it is shown once.

    It never allows more than its user's roles do: `scopes` and `applications` only narrow them.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    scopes = ArrayField(models.CharField(max_length=20, choices=TokenScope), default=every_scope)
    # Slugs: a token for an application that is gone is a token for nothing, never for all.
    applications = ArrayField(models.SlugField(), default=list, blank=True, help_text="Empty: all")
    is_service = models.BooleanField(default=False, help_text="Made by an admin for a machine")
    created_by_name = models.CharField(max_length=255, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="token_scopes_are_known", condition=Q(scopes__contained_by=TokenScope.values)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.name}"

    @staticmethod
    def digest_of(token: str) -> str:
        """Return the SHA-256 of a token. Tokens are random and long, so no salt or stretching is needed."""
        return hashlib.sha256(token.encode()).hexdigest()


class Announcement(models.Model):
    """A numbered "this changed": pages that lost the connection ask for everything since a number.

    `application` says who may hear it (null: people who may see the whole site's machinery).
    """

    application = models.ForeignKey(Application, on_delete=models.CASCADE, null=True, db_constraint=False)
    fragment = models.CharField(max_length=50)
    key = models.CharField(max_length=100)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["at"], name="announcement_at")]

    def __str__(self) -> str:
        return f"{self.id} {self.fragment}:{self.key}"
