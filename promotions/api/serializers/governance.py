"""Locks."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from promotions.models import Lock


class LockSerializer(serializers.ModelSerializer[Lock]):
    """Null for application and environment means all of them; both null is the emergency stop."""

    application = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True, allow_null=True)
    environment = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True, allow_null=True)
    set_by = serializers.CharField(source="set_by_name", read_only=True)
    lifted_by = serializers.CharField(source="lifted_by_name", read_only=True)

    class Meta:
        model = Lock
        fields = (
            "id",
            "application",
            "environment",
            "reason",
            "set_by",
            "set_at",
            "lifted_by",
            "lifted_at",
        )
