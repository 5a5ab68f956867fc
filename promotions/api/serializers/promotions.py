"""Promotions, their steps and approvals."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from promotions.api.serializers.catalogue import EditSerializer, VersionInShortSerializer
from promotions.models import Approval, CheckResult, Promotion, StepResult


class PromotionSerializer(serializers.ModelSerializer[Promotion]):
    application = serializers.CharField(source="stage.application.slug", read_only=True)
    environment = serializers.CharField(source="stage.environment.slug", read_only=True)
    version = VersionInShortSerializer(read_only=True)
    from_version = VersionInShortSerializer(read_only=True, allow_null=True)
    requested_by = serializers.CharField(source="requested_by_name", read_only=True)
    waits_since = serializers.DateTimeField(read_only=True, allow_null=True)
    is_open = serializers.BooleanField(read_only=True)
    is_retryable = serializers.BooleanField(read_only=True)

    class Meta:
        model = Promotion
        fields: tuple[str, ...] = (
            "id",
            "key",
            "application",
            "environment",
            "stage",
            "version",
            "from_version",
            "kind",
            "rollback_of",
            "status",
            "message",
            "reason",
            "requested_by",
            "requested_at",
            "status_at",
            "finished_at",
            "waits_since",
            "step",
            "attempt",
            "is_open",
            "is_retryable",
            "base_commit",
            "change_hash",
            "written_commit",
            "merge_request_url",
            "target_commit",
        )


class WaitingSerializer(PromotionSerializer):
    edits = EditSerializer(many=True, read_only=True)

    class Meta(PromotionSerializer.Meta):
        fields = (*PromotionSerializer.Meta.fields, "edits")


class StepSerializer(serializers.ModelSerializer[StepResult]):
    class Meta:
        model = StepResult
        fields = ("step", "attempt", "status", "message", "link", "started_at", "finished_at")


class ApprovalSerializer(serializers.ModelSerializer[Approval]):
    person = serializers.CharField(source="person_name", read_only=True)

    class Meta:
        model = Approval
        fields = ("person", "decision", "comment", "change_hash", "at", "fallen_at", "fallen_because")


class CheckSerializer(serializers.ModelSerializer[CheckResult]):
    by = serializers.CharField(source="by_name", read_only=True)

    class Meta:
        model = CheckResult
        fields = ("name", "state", "message", "link", "by", "at", "change_hash")


class PromotionDetailSerializer(PromotionSerializer):
    edits = EditSerializer(many=True, read_only=True)
    steps = StepSerializer(many=True, read_only=True)
    approvals = ApprovalSerializer(many=True, read_only=True)
    checks = CheckSerializer(many=True, read_only=True)
    verification_runs = serializers.PrimaryKeyRelatedField[Any](many=True, read_only=True)

    class Meta(PromotionSerializer.Meta):
        fields = (
            *PromotionSerializer.Meta.fields,
            "diff",
            "edits",
            "previous_diff",
            "steps",
            "approvals",
            "checks",
            "verification_runs",
        )
