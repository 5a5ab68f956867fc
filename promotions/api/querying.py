"""Filters, ordering and pages of the lists. A parameter nobody knows is refused: it would hide a typo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.filters import BaseFilterBackend
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.request import Request
from rest_framework.views import APIView

from promotions.catalogue.problems import suggestion

Table = TypeVar("Table", bound=Model)
Row = TypeVar("Row")
Lookups = Mapping[str, str]


class Pages(LimitOffsetPagination):
    """`?limit=` (50, at most 200) and `?offset=`; the answer holds count, next, previous and results."""

    default_limit = 50
    max_limit = 200


class Filters(BaseFilterBackend):
    """`?name=value` for each of the view's `filters`, several values separated by commas; `?ordering=`.

    `filters` maps a parameter to a look-up, `choices` a parameter to its words, `orderings` a word to a
    field. A minus in front of an ordering turns it round. The primary key decides between equals.
    """

    def filter_queryset(
        self, request: Request, queryset: QuerySet[Table, Row], view: APIView
    ) -> QuerySet[Table, Row]:
        filters: Lookups = getattr(view, "filters", {})
        if getattr(view, "action", "list") != "list":
            return queryset
        refuse_unknown(request, {*filters, "ordering", "limit", "offset"})
        for name, lookup in filters.items():
            if values := [value for value in request.query_params.get(name, "").split(",") if value]:
                _check(name, values, view)
                queryset = queryset.filter(**{f"{lookup}__in": values})
        return _ordered(request.query_params.get("ordering", ""), queryset, view)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        choices = getattr(view, "choices", {})
        parameters = [
            parameter(name, f"One or several, separated by commas. {_listed(choices.get(name, ()))}".strip())
            for name in getattr(view, "filters", {})
        ]
        words = _listed(getattr(view, "orderings", {}))
        return [*parameters, parameter("ordering", f"{words} A minus in front turns it round.")]


def parameter(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"type": "string"},
    }


def _listed(words: Any) -> str:
    return f"Known: {', '.join(words)}." if words else ""


def refuse_unknown(request: Request, known: set[str]) -> None:
    unknown = set(request.query_params) - known
    if unknown:
        raise ValidationError(
            {name: [_("Unknown parameter.") + suggestion(name, known)] for name in sorted(unknown)}
        )


def _check(name: str, values: list[str], view: APIView) -> None:
    choices = getattr(view, "choices", {}).get(name)
    numbers = name in getattr(view, "numbers", ())
    for value in values:
        if choices is not None and value not in choices:
            raise ValidationError(
                {name: [_('"%s" is not one of them.') % value + suggestion(value, choices)]}
            )
        if numbers and not (value.isascii() and value.isdigit() and len(value) < 19):
            raise ValidationError({name: [_('"%s" is not a number.') % value]})
        if "\0" in value:
            raise ValidationError({name: [_("Holds a NUL character.")]})


def _ordered(wanted: str, queryset: QuerySet[Table, Row], view: APIView) -> QuerySet[Table, Row]:
    orderings: Lookups = getattr(view, "orderings", {})
    if not wanted:
        return queryset
    word, backwards = wanted.removeprefix("-"), wanted.startswith("-")
    if word not in orderings:
        raise ValidationError(
            {"ordering": [_('"%s" is not one of them.') % word + suggestion(word, orderings)]}
        )
    sign = "-" if backwards else ""
    return queryset.order_by(f"{sign}{orderings[word]}", f"{sign}pk")
