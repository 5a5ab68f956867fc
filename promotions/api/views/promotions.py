"""Promotions: asked for, decided on, stopped, tried again, rolled back. The same operations as the pages."""

from __future__ import annotations

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from promotions import emergency, governing, operations, scheduling
from promotions.api.serializers.bodies import (
    AbortRequest,
    ApprovalRequest,
    BreakGlassRequest,
    CheckRequest,
    ExceptionRequest,
    Nothing,
    RejectionRequest,
    RollBackRequest,
    ScheduledRequest,
)
from promotions.api.serializers.promotions import PromotionDetailSerializer, PromotionSerializer
from promotions.api.views.base import OUTCOMES, Records, caller, said, version_or_404
from promotions.api.views.recovery import glass_of
from promotions.choices import CheckState, PromotionKind, PromotionStatus, TokenScope
from promotions.models import Promotion, Stage
from promotions.policy.schedule import BadTime, When
from promotions.workflow import StaleState

_MADE = {201: PromotionDetailSerializer, **OUTCOMES}
_DONE = {200: PromotionDetailSerializer, **OUTCOMES}


def _when(stage: Stage, body: dict[str, str]) -> When | None:
    """Return the times that were asked for; raises ValidationError, which answers 400."""
    times = (body.get(name, "") for name in ("not_before", "until", "time_zone"))
    try:
        return scheduling.read(stage, *times)
    except BadTime as error:
        raise ValidationError({error.field: [str(error)]}) from error


class Promotions(Records[Promotion]):
    """Requests to bring a version to a Stage, and their execution."""

    queryset = Promotion.objects.all()
    serializer_class = PromotionSerializer
    detail_serializer = PromotionDetailSerializer
    scopes = {
        "approve": TokenScope.APPROVE,
        "reject": TokenScope.APPROVE,
        "break_glass": TokenScope.APPROVE,
    }
    filters = {
        "application": "stage__application__slug",
        "environment": "stage__environment__slug",
        "stage": "stage",
        "version": "version",
        "status": "status",
        "kind": "kind",
        "requested_by": "requested_by__username",
    }
    choices = {"status": PromotionStatus.values, "kind": PromotionKind.values}
    numbers = ("stage", "version")
    orderings = {"requested_at": "requested_at", "status_at": "status_at", "finished_at": "finished_at"}

    def get_queryset(self) -> QuerySet[Promotion]:
        promotions = Promotion.objects.for_pages().filter(stage__application__in=self.applications())
        if self.action == "list":
            return promotions.defer("diff", "previous_diff").prefetch_related("steps")
        return promotions.select_related(
            "stage__image", "stage__manifest_connection", "stage__application__source_connection"
        ).prefetch_related("steps", "approvals", "verification_runs", "checks", "broken_glass__review")

    def _answer(self, promotion: Promotion, code: int = status.HTTP_200_OK) -> Response:
        """Answer with the promotion as it is now."""
        fresh = get_object_or_404(self.get_queryset(), pk=promotion.pk)
        headers = {}
        if code == status.HTTP_201_CREATED:
            headers["Location"] = reverse("api-promotion-detail", args=[promotion.pk], request=self.request)
        return Response(PromotionDetailSerializer(fresh).data, code, headers=headers)

    @extend_schema(request=ScheduledRequest, responses=_MADE)
    def create(self, request: Request) -> Response:
        """Ask for a version to be brought to a Stage. The same request again gets the same promotion."""
        body = said(ScheduledRequest, request)
        stages = Stage.objects.select_related(
            "application__source_connection", "environment", "image", "manifest_connection"
        )
        stage = get_object_or_404(stages.filter(application__in=self.applications()), pk=body["stage"])
        promotion = operations.request_promotion(
            stage,
            version_or_404(str(body["version"]), self.applications()),
            by=caller(request),
            reason=body["reason"],
            seen_hash=body.get("change_hash"),
            when=_when(stage, body),
        )
        return self._answer(promotion, status.HTTP_201_CREATED)

    @extend_schema(request=ApprovalRequest, responses=_DONE)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Approve exactly the change with this hash."""
        promotion, body = self.get_object(), said(ApprovalRequest, request)
        operations.approve(
            promotion, by=caller(request), change_hash=body["change_hash"], comment=body["comment"]
        )
        return self._answer(promotion)

    @extend_schema(request=RejectionRequest, responses=_DONE)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str) -> Response:
        """Reject the change; the comment says why."""
        promotion, body = self.get_object(), said(RejectionRequest, request)
        operations.reject(
            promotion, by=caller(request), change_hash=body["change_hash"], comment=body["comment"]
        )
        return self._answer(promotion)

    @extend_schema(request=AbortRequest, responses=_DONE)
    @action(detail=True, methods=["post"])
    def abort(self, request: Request, pk: str) -> Response:
        """Stop before the next outside effect. What is already in Git stays there."""
        promotion, body = self.get_object(), said(AbortRequest, request)
        operations.abort(promotion, by=caller(request), reason=body["reason"])
        return self._answer(promotion)

    @extend_schema(request=Nothing, responses=_DONE)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Resume a failed or errored promotion at the step that ended it."""
        promotion = self.get_object()
        said(Nothing, request)
        operations.retry(promotion, by=caller(request))
        return self._answer(promotion)

    @extend_schema(request=ExceptionRequest, responses=_DONE)
    @action(detail=True, methods=["post"], url_path="freeze-exception")
    def freeze_exception(self, request: Request, pk: str) -> Response:
        """Let this promotion go although its Stage is frozen; an approver's, never the requester's."""
        promotion, body = self.get_object(), said(ExceptionRequest, request)
        governing.except_from_freeze(
            promotion, by=caller(request), change_hash=body["change_hash"], reason=body["reason"]
        )
        return self._answer(promotion)

    @extend_schema(request=BreakGlassRequest, responses=_DONE)
    @action(detail=True, methods=["post"], url_path="break-glass")
    def break_glass(self, request: Request, pk: str) -> Response:
        """Let this promotion pass the named gates. The chat is told, and somebody else must review it."""
        promotion, body = self.get_object(), said(BreakGlassRequest, request)
        emergency.break_glass(
            promotion, glass_of(dict(body)), by=caller(request), change_hash=body["change_hash"]
        )
        return self._answer(promotion)

    @extend_schema(request=CheckRequest, responses=_DONE)
    @action(detail=True, methods=["post"], url_path=r"checks/(?P<name>[-a-zA-Z0-9_]{1,50})")
    def checks(self, request: Request, pk: str, name: str) -> Response:
        """Report an outside check's state for the change as it is now."""
        promotion, body = self.get_object(), said(CheckRequest, request)
        seen = body.get("change_hash")
        if seen is not None and seen != promotion.change_hash:
            raise StaleState(_("The change is no longer the one that was checked."))
        governing.report_check(
            promotion,
            name,
            by=caller(request),
            state=CheckState(body["state"]),
            message=body["message"],
            link=body["link"],
        )
        return self._answer(promotion)

    @extend_schema(request=RollBackRequest, responses=_MADE)
    @action(detail=True, methods=["post"], url_path="roll-back")
    def roll_back(self, request: Request, pk: str) -> Response:
        """Ask for the version that this promotion replaced: a promotion with its own diff and approval."""
        promotion, body = self.get_object(), said(RollBackRequest, request)
        made = operations.roll_back(
            promotion, by=caller(request), reason=body["reason"], seen_hash=body.get("change_hash")
        )
        return self._answer(made, status.HTTP_201_CREATED)
