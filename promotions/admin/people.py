"""People, groups and what they may do where."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from promotions.adminsite import Editable, ReadOnly, actor
from promotions.identity.sessions import sign_out_everywhere
from promotions.models import RoleGrant
from promotions.workflow import record

admin.site.unregister(User)
admin.site.unregister(Group)
# Of allauth only identities are kept: there are no addresses, no stored tokens, no providers in tables.
for table in (EmailAddress, SocialAccount, SocialApp, SocialToken):
    admin.site.unregister(table)


@admin.register(SocialAccount)
class IdentityAdmin(ReadOnly):
    """Who signs in through which provider; taking one away is cutting that way in."""

    list_display = ("user", "provider", "uid", "last_login")
    list_select_related = ("user",)
    search_fields = ("user__username", "provider")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_view_permission(request, obj)

    def delete_model(self, request: HttpRequest, obj: SocialAccount) -> None:
        with transaction.atomic():
            record(
                "person.identity-removed",
                subject=f"person {obj.user}",
                by=actor(request),
                provider=obj.provider,
            )
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[SocialAccount]) -> None:
        for identity in queryset.select_related("user"):
            self.delete_model(request, identity)


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
    actions = ("end_sessions",)
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

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Groups are saved after the person: what was before is still in the tables here."""
        with transaction.atomic():
            before = _standing(form.instance, form.initial) if change else ""
            super().save_related(request, form, formsets, change)
            after = _standing(form.instance)
            action = "person.changed" if change else "person.added"
            fields = ", ".join(field for field in form.changed_data if "password" not in field)
            record(
                action,
                subject=f"person {form.instance}",
                by=actor(request),
                before=before,
                after=after,
                fields=fields,
            )

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        with transaction.atomic():
            response = super().user_change_password(request, id, form_url)
            if request.method == "POST" and response.status_code == 302:
                person = User.objects.get(pk=id)
                record("person.password-changed", subject=f"person {person}", by=actor(request))
        assert isinstance(response, HttpResponse)
        return response

    @admin.action(description=_("Sign out everywhere"))
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for person in queryset:
            sign_out_everywhere(person, by=actor(request))

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        with transaction.atomic():
            record("person.deleted", subject=f"person {obj}", by=actor(request), before=_standing(obj))
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for person in queryset:
            self.delete_model(request, person)


def _standing(person: User, initial: dict[str, Any] | None = None) -> str:
    """Say whether a person is active and in which groups, as the tables or a form's beginning have it."""
    is_active = initial.get("is_active", True) if initial else person.is_active
    groups = ", ".join(sorted(group.name for group in person.groups.all()))
    return f"{'active' if is_active else 'switched off'}; groups: {groups or '–'}"


@admin.register(Group)
class TeamAdmin(Editable):
    """What hangs on a group goes with it: the entry says which roles and people."""

    fields = ("name",)
    search_fields = ("name",)
    ordering = ("name",)

    def save_model(self, request: HttpRequest, obj: Group, form: Any, change: bool) -> None:
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            action = "group.renamed" if change else "group.added"
            before = str(form.initial.get("name", ""))
            record(action, subject=f"group {obj}", by=actor(request), before=before, after=obj.name)

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        with transaction.atomic():
            people = ", ".join(obj.user_set.order_by("username").values_list("username", flat=True))
            roles = "; ".join(str(grant) for grant in obj.role_grants.all())
            before = f"people: {people or '–'}; roles: {roles or '–'}"
            record("group.deleted", subject=f"group {obj}", by=actor(request), before=before)
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Group]) -> None:
        for group in queryset:
            self.delete_model(request, group)


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
    record(
        action,
        subject=f"role {grant}",
        by=actor(request),
        application=str(grant.application or "all"),
        environment=str(grant.environment or "all"),
    )
