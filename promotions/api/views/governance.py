"""Locks: what is closed, by whom and why."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from promotions import governing
from promotions.api.serializers.bodies import LockRequest, ReasonRequest
from promotions.api.serializers.governance import LockSerializer
from promotions.api.views.base import OUTCOMES, Records, caller, said
from promotions.models import Environment, Lock


class Locks(Records[Lock]):
    """Places closed by people. Lifted ones stay in the list."""

    queryset = Lock.objects.all()
    serializer_class = LockSerializer
    filters = {"application": "application__slug", "environment": "environment__slug"}
    orderings = {"set_at": "set_at"}

    def get_queryset(self) -> QuerySet[Lock]:
        seen = Q(application=None) | Q(application__in=self.applications())
        return Lock.objects.filter(seen).select_related("application", "environment")

    @extend_schema(request=LockRequest, responses={201: LockSerializer, **OUTCOMES})
    def create(self, request: Request) -> Response:
        """Close a place: nothing begins there, and what runs halts before its next outside effect."""
        body = said(LockRequest, request)
        slugs = body["application"], body["environment"]
        made = governing.lock(
            application=get_object_or_404(self.applications(), slug=slugs[0]) if slugs[0] else None,
            environment=get_object_or_404(Environment, slug=slugs[1]) if slugs[1] else None,
            by=caller(request),
            reason=body["reason"],
        )
        return Response(LockSerializer(made).data, status.HTTP_201_CREATED)

    @extend_schema(request=ReasonRequest, responses={200: LockSerializer, **OUTCOMES})
    @action(detail=True, methods=["post"])
    def lift(self, request: Request, pk: str) -> Response:
        """Open it again: what was halted goes on."""
        standing, body = self.get_object(), said(ReasonRequest, request)
        governing.lift(standing, by=caller(request), reason=body["reason"])
        standing.refresh_from_db()
        return Response(LockSerializer(standing).data)
