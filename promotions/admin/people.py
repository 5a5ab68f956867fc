"""People, groups and what they may do where."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from promotions.adminsite import Editable
from promotions.models import RoleGrant
from promotions.workflow import record

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class PersonAdmin(Editable, UserAdmin):  # type: ignore[type-arg]
    """What a person may do is said by role grants alone, so Django's permissions are not shown."""

    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("first_name", "last_name", "email")}),
        (_("Access"), {"fields": ("is_active", "groups")}),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
    )
    filter_horizontal = ("groups",)
    list_display = ("username", "first_name", "last_name", "email", "is_active", "last_login")
    list_filter = ("is_active", "groups")
    readonly_fields = ("last_login", "date_joined")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A superuser is above all roles: only another one may change the account or its password."""
        if isinstance(obj, User) and obj.is_superuser and not getattr(request.user, "is_superuser", False):
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_change_permission(request, obj)


@admin.register(Group)
class TeamAdmin(Editable):
    fields = ("name",)
    search_fields = ("name",)
    ordering = ("name",)


@admin.register(RoleGrant)
class RoleGrantAdmin(Editable):
    """Where the catalogue file has a `roles` section, applying it takes back what it does not list."""

    list_display = ("user", "group", "role", "application", "environment")
    list_filter = ("role", "application", "environment")
    list_select_related = ("user", "group", "application", "environment")
    search_fields = ("user__username", "group__name")
    autocomplete_fields = ("user", "group", "application")

    def save_model(self, request: HttpRequest, obj: RoleGrant, form: Any, change: bool) -> None:
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            _record("role.changed" if change else "role.granted", obj, request)

    def delete_model(self, request: HttpRequest, obj: RoleGrant) -> None:
        with transaction.atomic():
            _record("role.withdrawn", obj, request)
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[RoleGrant]) -> None:
        with transaction.atomic():
            for grant in queryset:
                _record("role.withdrawn", grant, request)
            super().delete_queryset(request, queryset)


def _record(action: str, grant: RoleGrant, request: HttpRequest) -> None:
    by = request.user if isinstance(request.user, User) else None
    record(
        action,
        subject=f"role {grant}",
        by=by,
        application=str(grant.application or "all"),
        environment=str(grant.environment or "all"),
    )
