"""Promotions, their steps and approvals."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from promotions import scheduling
from promotions.api.serializers.catalogue import EditSerializer, VersionInShortSerializer
from promotions.api.serializers.recovery import AutomaticRollbackSerializer, BreakGlassSerializer
from promotions.models import Approval, CheckResult, Promotion, Schedule, StepResult


class ScheduleSerializer(serializers.ModelSerializer[Schedule]):
    """When it may begin. After `released_at` the times no longer count: a person wanted it at once."""

    sentence = serializers.SerializerMethodField()

    class Meta:
        model = Schedule
        fields = ("not_before", "until", "time_zone", "note", "released_at", "sentence")

    def get_sentence(self, schedule: Schedule) -> str:
        return scheduling.sentence(schedule)


class PromotionSerializer(serializers.ModelSerializer[Promotion]):
    application = serializers.CharField(source="stage.application.slug", read_only=True)
    environment = serializers.CharField(source="stage.environment.slug", read_only=True)
    version = VersionInShortSerializer(read_only=True)
    from_version = VersionInShortSerializer(read_only=True, allow_null=True)
    requested_by = serializers.CharField(source="requested_by_name", read_only=True)
    waits_since = serializers.DateTimeField(read_only=True, allow_null=True)
    is_open = serializers.BooleanField(read_only=True)
    is_retryable = serializers.BooleanField(read_only=True)
    schedule = ScheduleSerializer(read_only=True, allow_null=True, default=None)

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
            "release",
            "wave",
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
            "schedule",
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
    broken_glass = BreakGlassSerializer(many=True, read_only=True)
    automatic_rollback = AutomaticRollbackSerializer(read_only=True, allow_null=True, default=None)
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
            "broken_glass",
            "automatic_rollback",
            "verification_runs",
        )
