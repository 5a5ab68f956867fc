"""Past versions, what a roll-back takes back, broken glass and its reviews, automatic roll-backs."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from promotions.api.serializers.catalogue import PreviewSerializer, VersionInShortSerializer
from promotions.models import AutomaticRollback, BreakGlass, Promotion, ReviewTask


class PastVersionSerializer(serializers.Serializer[Any]):
    """A version the Stage ran; the times are of the last time."""

    version = VersionInShortSerializer()
    since = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True)
    promotion = serializers.IntegerField(
        source="brought_by.pk", allow_null=True, default=None, help_text="Null: from outside Slipway"
    )
    brought_by = serializers.CharField(
        source="brought_by.requested_by_name", allow_null=True, default=None, help_text="Who asked for it"
    )
    is_here = serializers.BooleanField(help_text="It runs here now")


class TakenBackSerializer(serializers.ModelSerializer[Promotion]):
    version = VersionInShortSerializer(read_only=True)
    requested_by = serializers.CharField(source="requested_by_name", read_only=True)

    class Meta:
        model = Promotion
        fields = ("id", "version", "requested_by", "requested_at")


class TouchedSerializer(serializers.Serializer[Any]):
    """A later promotion of another Stage that changed one of the same files."""

    promotion = serializers.IntegerField(source="promotion.pk")
    stage = serializers.IntegerField(source="promotion.stage_id")
    files = serializers.ListField(child=serializers.CharField())
    same_place = serializers.BooleanField(help_text="It changed the very key: that is taken back, too")


class RevertingSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField(allow_null=True, help_text="When the version was replaced here")
    promotions = TakenBackSerializer(many=True)
    touched = TouchedSerializer(many=True)


class RollBackPreviewSerializer(PreviewSerializer):
    """As the preview of a promotion, by the rules for roll-backs, and what it takes back."""

    approvals_needed = serializers.IntegerField()
    reverting = RevertingSerializer()


class ReviewSerializer(serializers.ModelSerializer[ReviewTask]):
    """`person` broke the glass; somebody else closes it."""

    application = serializers.CharField(source="promotion.stage.application.slug", read_only=True)
    environment = serializers.CharField(source="promotion.stage.environment.slug", read_only=True)
    person = serializers.CharField(source="glass.person_name", read_only=True)
    gates = serializers.ListField(source="glass.gates", child=serializers.CharField(), read_only=True)
    reason = serializers.CharField(source="glass.reason", read_only=True)
    closed_by = serializers.CharField(source="closed_by_name", read_only=True)

    class Meta:
        model = ReviewTask
        fields = (
            "id",
            "promotion",
            "application",
            "environment",
            "person",
            "gates",
            "reason",
            "opened_at",
            "closed_at",
            "closed_by",
            "comment",
        )


class BreakGlassSerializer(serializers.ModelSerializer[BreakGlass]):
    person = serializers.CharField(source="person_name", read_only=True)
    review = serializers.PrimaryKeyRelatedField[Any](read_only=True)
    reviewed_at = serializers.DateTimeField(source="review.closed_at", read_only=True, allow_null=True)

    class Meta:
        model = BreakGlass
        fields = ("person", "gates", "reason", "change_hash", "at", "review", "reviewed_at")


class AutomaticRollbackSerializer(serializers.ModelSerializer[AutomaticRollback]):
    class Meta:
        model = AutomaticRollback
        fields = ("promotion", "cause", "state", "message", "rollback", "seen_at", "decided_at")
