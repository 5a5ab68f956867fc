"""What every viewset shares."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiResponse
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import ReadOnlyModelViewSet

from promotions.api.querying import Filters
from promotions.api.scopes import SIGNED_IN, NotNarrowed, applications_of, token_of
from promotions.api.serializers.bodies import Body, Conflict, Problem
from promotions.models import Application, ImageVersion
from promotions.policy.access import may_replay, may_see_machinery

Row = TypeVar("Row", bound=Model)

CONFLICT = OpenApiResponse(Conflict, "Refused, or no longer as you saw it")
FORBIDDEN = OpenApiResponse(Problem, "You may not")
NOT_FOUND = OpenApiResponse(Problem, "There is none, or you may not see it")
OUTCOMES = {404: NOT_FOUND, 409: CONFLICT}


class Records(ReadOnlyModelViewSet[Row]):
    """List and retrieve. `detail_serializer` is used for one; lists may be filtered and ordered."""

    filter_backends = (Filters,)
    filters: ClassVar[dict[str, str]] = {}
    choices: ClassVar[dict[str, list[str]]] = {}
    numbers: ClassVar[tuple[str, ...]] = ()
    orderings: ClassVar[dict[str, str]] = {}
    permission_classes = SIGNED_IN
    # The token's scope for each action that changes something; `promote` where none is named.
    scopes: ClassVar[dict[str, str]] = {}
    lookup_value_regex = "[0-9]{1,18}"
    detail_serializer: type[BaseSerializer[Row]] | None = None

    def get_serializer_class(self) -> type[BaseSerializer[Row]]:
        if self.action != "list" and self.detail_serializer is not None:
            return self.detail_serializer
        return super().get_serializer_class()

    def applications(self) -> QuerySet[Application]:
        """Return what the caller may see, with this token."""
        return applications_of(self.request)

    def is_narrowed(self) -> bool:
        """Tell whether the caller's token is for single applications only."""
        token = token_of(self.request)
        return token is not None and bool(token.applications)


class SeesMachinery(BasePermission):
    """Whoever may see what belongs to no application."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return may_see_machinery(request.user)


class MayReplay(BasePermission):
    """Admins of the whole site."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return may_replay(request.user)


MACHINERY: tuple[type[BasePermission], ...] = (*SIGNED_IN, NotNarrowed, SeesMachinery)


def caller(request: Request) -> User:
    """Return who asks; every view lets only signed-in people through."""
    assert isinstance(request.user, User)
    return request.user


def said(body: type[Body], request: Request) -> dict[str, str]:
    """Return the request's body as its shape says; raises ValidationError, which answers 400."""
    serializer = body(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def version_or_404(number: str, applications: QuerySet[Application]) -> ImageVersion:
    """Return the version with this id among what the caller may see."""
    if not (number.isascii() and number.isdigit()):
        raise ValidationError({"version": ["The id of an ImageVersion is needed."]})
    if len(number) > 18:
        raise Http404
    visible = ImageVersion.objects.select_related("image").filter(image__application__in=applications)
    return get_object_or_404(visible, pk=int(number))
