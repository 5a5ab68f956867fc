"""The audit trail."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView

from promotions.api.querying import Filters, parameter, refuse_unknown
from promotions.api.serializers.machinery import AuditEntrySerializer
from promotions.api.views.base import Records
from promotions.audit.search import AuditSearch, visible_entries
from promotions.models import AuditEntry


class AuditFilters(Filters):
    """The search of the page, and `before=<id>`: the keyset for reading on without counting."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> QuerySet[Any]:
        if getattr(view, "action", "list") != "list":
            return queryset
        refuse_unknown(request, {*AuditSearch.base_fields, "before", "limit", "offset"})
        form = AuditSearch(request.query_params)
        if not form.is_valid():
            raise ValidationError(
                {name: [str(error) for error in errors] for name, errors in form.errors.items()}
            )
        found = form.find(request.user) & queryset.order_by()
        before = request.query_params.get("before", "")
        if before:
            if not (before.isascii() and before.isdigit() and len(before) < 19):
                raise ValidationError({"before": [_('"%s" is not a number.') % before]})
            found = found.filter(pk__lt=int(before))
        return found

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        named = [parameter(name, str(field.label)) for name, field in AuditSearch.base_fields.items()]
        return [*named, parameter("before", "Entries older than the one with this id.")]


class AuditEntries(Records[AuditEntry]):
    """Who did what, when, from where and why. Never changed."""

    queryset = AuditEntry.objects.all()
    serializer_class = AuditEntrySerializer
    filter_backends = (AuditFilters,)

    def get_queryset(self) -> QuerySet[AuditEntry]:
        visible = visible_entries(self.request.user)
        if not self.is_narrowed():
            return visible
        return visible.filter(application__in=self.applications().values("slug"))
