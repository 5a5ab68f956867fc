"""Runs, deliveries, upstreams."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from promotions import deliveries
from promotions.api.serializers.bodies import Nothing
from promotions.api.serializers.machinery import (
    DeliveryDetailSerializer,
    DeliverySerializer,
    RunDetailSerializer,
    RunSerializer,
    UpstreamSerializer,
)
from promotions.api.views.base import (
    FORBIDDEN,
    MACHINERY,
    NOT_FOUND,
    OUTCOMES,
    MayReplay,
    Records,
    caller,
    said,
)
from promotions.choices import DeliveryOutcome, RunStatus, UpstreamState, Vendor
from promotions.models import Delivery, PipelineRun, StepLog, Upstream
from promotions.policy.access import may_see_machinery


class Runs(Records[PipelineRun]):
    """Pipeline runs: builds and verifications, kept after the cluster has pruned them."""

    queryset = PipelineRun.objects.all()
    serializer_class = RunSerializer
    detail_serializer = RunDetailSerializer
    filters = {
        "application": "application__slug",
        "promotion": "promotion",
        "status": "status",
        "pipeline": "pipeline",
        "name": "name",
        "commit": "commit",
    }
    choices = {"status": RunStatus.values}
    numbers = ("promotion",)
    orderings = {"created_at": "created_at", "completed_at": "completed_at"}

    def get_queryset(self) -> QuerySet[PipelineRun]:
        """A run that belongs to no application is machinery."""
        visible = Q(application__in=self.applications())
        if may_see_machinery(self.request.user) and not self.is_narrowed():
            visible |= Q(application=None)
        runs = PipelineRun.objects.filter(visible).select_related("connection", "application")
        if self.action == "list":
            return runs
        return runs.prefetch_related("task_runs__logs")

    @extend_schema(
        parameters=[OpenApiParameter("log_id", int, OpenApiParameter.PATH)],
        responses={(200, "text/plain"): OpenApiTypes.STR, 404: NOT_FOUND},
        filters=False,
    )
    @action(detail=True, methods=["get"], url_path="logs/(?P<log_id>[0-9]{1,18})")
    def logs(self, request: Request, pk: str, log_id: str) -> HttpResponse:
        """Return everything that was kept of what one step printed."""
        log = get_object_or_404(StepLog, pk=log_id, task_run__run=self.get_object())
        response = HttpResponse(log.text, content_type="text/plain; charset=utf-8")
        # What a build prints must never become a page of ours.
        response.headers["Content-Disposition"] = "attachment"
        return response


class Deliveries(Records[Delivery]):
    """Received webhooks, kept raw."""

    queryset = Delivery.objects.select_related("source__connection")
    serializer_class = DeliverySerializer
    detail_serializer = DeliveryDetailSerializer
    permission_classes = MACHINERY
    filters = {
        "vendor": "source__connection__vendor",
        "connection": "source__connection__slug",
        "outcome": "outcome",
        "kind": "kind",
    }
    choices = {"outcome": DeliveryOutcome.values, "vendor": Vendor.values}
    orderings = {"received_at": "received_at"}

    def get_queryset(self) -> QuerySet[Delivery]:
        found = super().get_queryset()
        return found.defer("body", "headers") if self.action == "list" else found

    @extend_schema(request=Nothing, responses={200: DeliveryDetailSerializer, 403: FORBIDDEN, **OUTCOMES})
    @action(detail=True, methods=["post"], permission_classes=(*MACHINERY, MayReplay))
    def replay(self, request: Request, pk: str) -> Response:
        """Have it processed again, as if it had just come. For admins of the whole site."""
        delivery = self.get_object()
        said(Nothing, request)
        deliveries.replay(delivery, by=caller(request))
        delivery.refresh_from_db()
        return Response(DeliveryDetailSerializer(delivery).data)


class Upstreams(Records[Upstream]):
    """What is watched, and how fresh our picture of it is."""

    queryset = Upstream.objects.select_related("connection")
    serializer_class = UpstreamSerializer
    permission_classes = MACHINERY
    filters = {"kind": "kind", "connection": "connection__slug", "state": "state"}
    choices = {"state": UpstreamState.values}
    orderings = {"name": "name", "seen_at": "seen_at"}
