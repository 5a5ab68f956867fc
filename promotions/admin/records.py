"""What happened: promotions, versions, runs, deliveries, audit. To look at; none of it is ever edited."""

from __future__ import annotations

from django.contrib import admin
from procrastinate.contrib.django.models import ProcrastinateJob

from promotions.adminsite import ReadOnly
from promotions.models import (
    AuditEntry,
    AutomaticRollback,
    Delivery,
    ImageVersion,
    Lock,
    PipelineRun,
    Promotion,
    ReviewTask,
    StageState,
    Upstream,
)

admin.site.unregister(ProcrastinateJob)


@admin.register(ProcrastinateJob)
class JobAdmin(ReadOnly):
    """The background work's own table came with an admin that asks for Django's permissions."""

    list_display = ("id", "task_name", "status", "attempts", "scheduled_at", "queueing_lock")
    list_filter = ("status", "task_name")
    search_fields = ("task_name", "queueing_lock", "lock")


@admin.register(Lock)
class LockAdmin(ReadOnly):
    """Set and lifted on the site's own pages."""

    list_display = ("application", "environment", "reason", "set_by_name", "set_at", "lifted_at")
    list_select_related = ("application", "environment")


@admin.register(ReviewTask)
class ReviewTaskAdmin(ReadOnly):
    """Opened by broken glass and closed on the site's own pages."""

    list_display = ("promotion", "glass", "person", "opened_at", "closed_by_name", "closed_at")
    list_select_related = (
        "promotion__version",
        "promotion__stage__application",
        "promotion__stage__environment",
        "glass",
        "person",
    )


@admin.register(AutomaticRollback)
class AutomaticRollbackAdmin(ReadOnly):
    list_display = ("promotion", "cause", "state", "message", "rollback", "decided_at")
    list_filter = ("state", "cause")
    list_select_related = ("promotion", "rollback")


@admin.register(Promotion)
class PromotionAdmin(ReadOnly):
    list_display = ("id", "stage", "version", "kind", "status", "requested_by_name", "requested_at")
    list_filter = ("status", "kind", "stage__environment", "stage__application")
    list_select_related = ("stage__application", "stage__environment", "version")
    search_fields = ("version__tag", "version__commit", "requested_by_name", "reason", "written_commit")
    date_hierarchy = "requested_at"


@admin.register(ImageVersion)
class ImageVersionAdmin(ReadOnly):
    list_display = ("tag", "image", "digest", "commit", "created_at", "missing_since")
    list_filter = ("image",)
    list_select_related = ("image",)
    search_fields = ("tag", "digest", "commit")


@admin.register(StageState)
class StageStateAdmin(ReadOnly):
    list_display = ("stage", "desired_tag", "running_tag", "sync_status", "health_status")
    list_filter = ("sync_status", "health_status", "stage__environment")
    list_select_related = ("stage__application", "stage__environment")


@admin.register(PipelineRun)
class PipelineRunAdmin(ReadOnly):
    list_display = ("name", "pipeline", "application", "status", "reason", "created_at")
    list_filter = ("status", "pipeline", "application")
    list_select_related = ("application",)
    search_fields = ("name", "commit")


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly):
    list_display = ("id", "source", "kind", "outcome", "received_at", "duplicates")
    list_filter = ("outcome", "source__connection", "kind")
    list_select_related = ("source__connection",)
    search_fields = ("kind", "summary", "message")
    fields = (
        "source",
        "kind",
        "summary",
        "outcome",
        "message",
        "received_at",
        "processed_at",
        "attempts",
        "duplicates",
        "dedupe_key",
        "body_text",
    )
    readonly_fields = ("body_text",)

    @admin.display(description="body")
    def body_text(self, delivery: Delivery) -> str:
        """The raw body as text; it is escaped like any other."""
        return bytes(delivery.body).decode("utf-8", errors="replace")


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    list_display = ("id", "at", "actor_name", "action", "subject")
    list_filter = ("action",)
    search_fields = ("actor_name", "subject", "change_hash")
    # The account may be gone; the name in the entry stays.
    exclude = ("actor",)
    date_hierarchy = "at"


@admin.register(Upstream)
class UpstreamAdmin(ReadOnly):
    list_display = ("name", "kind", "state", "message", "seen_at", "holder")
    list_filter = ("kind", "state", "connection")
    list_select_related = ("connection",)
    search_fields = ("name", "message")
