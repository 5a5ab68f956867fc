"""The catalogue, to look at: its source is the file that `manage.py apply_catalog` reads."""

from __future__ import annotations

from django.contrib import admin

from promotions.adminsite import ReadOnly
from promotions.models import (
    Application,
    Connection,
    Environment,
    FreezeWindow,
    Image,
    NotificationChannel,
    Stage,
    WebhookSource,
)


@admin.register(Connection)
class ConnectionAdmin(ReadOnly):
    list_display = ("slug", "vendor", "url", "secret")
    list_filter = ("vendor",)
    search_fields = ("slug", "url", "host")


@admin.register(WebhookSource)
class WebhookSourceAdmin(ReadOnly):
    list_display = ("connection", "path", "refused_count", "last_refused_at")
    list_filter = ("connection__vendor",)
    list_select_related = ("connection",)
    readonly_fields = ("path", "refused_count", "last_refused_at")


@admin.register(Environment)
class EnvironmentAdmin(ReadOnly):
    list_display = ("slug", "name", "order", "risk", "required_approvals")
    list_filter = ("risk",)


@admin.register(FreezeWindow)
class FreezeWindowAdmin(ReadOnly):
    list_display = ("slug", "reason", "starts", "ends", "lasts", "begins_at", "ends_at", "time_zone")


@admin.register(NotificationChannel)
class NotificationChannelAdmin(ReadOnly):
    list_display = ("slug", "personal", "url", "events", "told_at", "troubled_since")


@admin.register(Application)
class ApplicationAdmin(ReadOnly):
    list_display = ("slug", "name", "source_connection", "source_project")
    list_select_related = ("source_connection",)
    search_fields = ("slug", "name", "source_project")


@admin.register(Image)
class ImageAdmin(ReadOnly):
    list_display = ("repository", "slug", "application", "connection")
    list_filter = ("connection",)
    list_select_related = ("application", "connection")
    search_fields = ("repository", "application__slug")


@admin.register(Stage)
class StageAdmin(ReadOnly):
    list_display = (
        "application",
        "environment",
        "manifest_project",
        "manifest_path",
        "write_mode",
        "promotable",
        "promote",
    )
    list_filter = ("environment", "write_mode", "edit_style", "promotable")
    list_select_related = ("application", "environment")
    search_fields = ("application__slug", "manifest_project", "manifest_path", "argocd_application")
