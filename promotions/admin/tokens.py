"""API tokens: made and revoked, never read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from promotions.adminsite import Editable, actor
from promotions.models import ApiToken
from promotions.tokens import issue_token, revoke_token

# Where the text of a new token waits, within one request, for the page that shows it.
_ISSUED = "slipway.issued_token"


@admin.register(ApiToken)
class ApiTokenAdmin(Editable):
    list_display = ("name", "user", "scopes", "created_at", "expires_at", "last_used_at")
    list_filter = ("expires_at",)
    list_select_related = ("user",)
    search_fields = ("name", "user__username")
    autocomplete_fields = ("user",)
    fields = ("user", "name", "expires_at", "scopes", "applications")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        token, text = issue_token(
            obj.user,
            name=obj.name,
            by=actor(request),
            expires_at=obj.expires_at,
            scopes=obj.scopes,
            applications=obj.applications,
        )
        obj.pk = token.pk
        request.META[_ISSUED] = text

    def response_add(
        self, request: HttpRequest, obj: ApiToken, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the token, this once. It travels in this answer alone, in no message, cookie or session."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "token": obj,
            "text": request.META.pop(_ISSUED),
        }
        response = TemplateResponse(request, "admin/token_issued.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    def delete_model(self, request: HttpRequest, obj: ApiToken) -> None:
        revoke_token(obj, by=actor(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        with transaction.atomic():
            for token in queryset.select_related("user"):
                revoke_token(token, by=actor(request))
