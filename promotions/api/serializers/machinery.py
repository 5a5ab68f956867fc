"""Runs, deliveries, upstreams, audit entries."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from promotions import log
from promotions.models import AuditEntry, Delivery, PipelineRun, StepLog, TaskRun, Upstream


class LogSerializer(serializers.ModelSerializer[StepLog]):
    """`complete` once nothing more will come; the text itself is at /api/runs/<run>/logs/<id>/."""

    class Meta:
        model = StepLog
        fields = ("id", "container", "attempt", "complete", "truncated")


class TaskRunSerializer(serializers.ModelSerializer[TaskRun]):
    logs = LogSerializer(many=True, read_only=True)

    class Meta:
        model = TaskRun
        fields = (
            "id",
            "name",
            "task",
            "status",
            "reason",
            "message",
            "attempt",
            "steps",
            "results",
            "started_at",
            "completed_at",
            "logs",
        )


class RunSerializer(serializers.ModelSerializer[PipelineRun]):
    connection = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    application = serializers.CharField(
        source="application.slug", read_only=True, allow_null=True, default=None
    )

    class Meta:
        model = PipelineRun
        fields: tuple[str, ...] = (
            "id",
            "connection",
            "application",
            "promotion",
            "namespace",
            "name",
            "pipeline",
            "status",
            "reason",
            "message",
            "commit",
            "created_at",
            "started_at",
            "completed_at",
            "gone_at",
            "web_url",
        )


class RunDetailSerializer(RunSerializer):
    tasks = TaskRunSerializer(source="task_runs", many=True, read_only=True)

    class Meta(RunSerializer.Meta):
        fields = (*RunSerializer.Meta.fields, "params", "results", "plan", "skipped", "tasks")


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    connection = serializers.CharField(source="source.connection.slug", read_only=True)
    vendor = serializers.CharField(source="source.connection.vendor", read_only=True)

    class Meta:
        model = Delivery
        fields: tuple[str, ...] = (
            "id",
            "source",
            "connection",
            "vendor",
            "received_at",
            "kind",
            "summary",
            "outcome",
            "message",
            "processed_at",
            "attempts",
            "duplicates",
        )


class RawBodyField(serializers.CharField):
    """The bytes as text; what is no UTF-8 shows as U+FFFD."""

    def to_representation(self, value: Any) -> str:
        return bytes(value).decode("utf-8", errors="replace")


class HeadersField(serializers.DictField):
    """A secret that the receiver should not have kept is not shown either."""

    def to_representation(self, value: Any) -> dict[str, str]:
        return {name: log.HIDDEN if log.SECRET_KEYS.search(name) else text for name, text in value.items()}


class DeliveryDetailSerializer(DeliverySerializer):
    headers = HeadersField(child=serializers.CharField(), read_only=True)
    body = RawBodyField(read_only=True)

    class Meta(DeliverySerializer.Meta):
        fields = (*DeliverySerializer.Meta.fields, "dedupe_key", "headers", "body")


class UpstreamSerializer(serializers.ModelSerializer[Upstream]):
    connection = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)

    class Meta:
        model = Upstream
        fields = (
            "id",
            "name",
            "kind",
            "connection",
            "what",
            "state",
            "message",
            "seen_at",
            "troubled_since",
            "holder",
            "held_until",
        )


class AuditEntrySerializer(serializers.ModelSerializer[AuditEntry]):
    actor = serializers.CharField(source="actor_name", read_only=True)
    promotion = serializers.IntegerField(source="promotion_id", read_only=True, allow_null=True)

    class Meta:
        model = AuditEntry
        fields = (
            "id",
            "number",
            "at",
            "actor",
            "actor_username",
            "via",
            "address",
            "client",
            "action",
            "subject",
            "reason",
            "application",
            "environment",
            "promotion",
            "tag",
            "digest",
            "commit",
            "manifest_commit",
            "change_hash",
            "data",
            "content_hash",
            "previous_hash",
            "hash",
        )
