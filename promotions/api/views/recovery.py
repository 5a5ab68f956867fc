"""Rolling back, breaking the glass and its reviews. The same operations as the pages."""

from __future__ import annotations

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from promotions import emergency, operations, rollbacks
from promotions.api.serializers.bodies import (
    PromoteThroughGlassRequest,
    ReviewRequest,
    StageRollBackRequest,
    VendorProblem,
)
from promotions.api.serializers.promotions import PromotionDetailSerializer
from promotions.api.serializers.recovery import (
    PastVersionSerializer,
    ReviewSerializer,
    RollBackPreviewSerializer,
)
from promotions.api.views.base import NOT_FOUND, OUTCOMES, Records, caller, said, version_or_404
from promotions.choices import TokenScope
from promotions.emergency import Glass
from promotions.models import ImageVersion, Promotion, ReviewTask, Stage
from promotions.policy import Refusal, Refused

_MADE = {201: PromotionDetailSerializer, **OUTCOMES}
_VERSION = OpenApiParameter("version", int, required=True, description="The ImageVersion's id")


def glass_of(body: dict[str, object]) -> Glass:
    gates = body["gates"]
    assert isinstance(gates, list)
    return Glass(frozenset(gates), str(body["reason"]), str(body["confirm"]))


def made(promotion: Promotion, request: Request) -> Response:
    """Answer 201 with the promotion and where it is."""
    fresh = Promotion.objects.for_pages().get(pk=promotion.pk)
    url = reverse("api-promotion-detail", args=[promotion.pk], request=request)
    return Response(PromotionDetailSerializer(fresh).data, status.HTTP_201_CREATED, headers={"Location": url})


class StageRecovery(Records[Stage]):
    """What a Stage ran, the way back to it, and the way through gates in an emergency."""

    # Broken glass takes the place of approvals, so it takes their scope.
    scopes = {"break_glass": TokenScope.APPROVE}

    @extend_schema(responses={200: PastVersionSerializer(many=True), 404: NOT_FOUND}, filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def history(self, request: Request, pk: str) -> Response:
        """List the versions that this Stage ran, the present one first: each can be rolled back to."""
        found = rollbacks.history(self.get_object())
        return Response(PastVersionSerializer(found, many=True).data)

    @extend_schema(
        parameters=[_VERSION],
        responses={200: RollBackPreviewSerializer, 404: NOT_FOUND, 503: VendorProblem},
        filters=False,
    )
    @action(detail=True, methods=["get"], url_path="roll-back")
    def roll_back(self, request: Request, pk: str) -> Response:
        """Show what a roll-back would change and take back, and every gate's refusal."""
        stage = self.get_object()
        version = self._past(stage, request.query_params.get("version", ""))
        seen = operations.preview(stage, version, caller(request), rolling_back=True)
        told = {
            "base_commit": seen.base_commit,
            "change": seen.change,
            "rendered": seen.rendered,
            "refusals": seen.refusals,
            "choices": seen.choices,
            "disagreement": seen.disagreement,
            "approvals_needed": seen.approvals_needed,
            "reverting": rollbacks.reverting(stage, version, seen.change),
        }
        return Response(RollBackPreviewSerializer(told).data)

    @extend_schema(request=StageRollBackRequest, responses=_MADE)
    @roll_back.mapping.post
    def request_roll_back(self, request: Request, pk: str) -> Response:
        """Ask for a version that this Stage ran before: a promotion with its own diff and approval."""
        stage, body = self.get_object(), said(StageRollBackRequest, request)
        promotion = rollbacks.request(
            stage,
            version_or_404(str(body["version"]), self.applications()),
            by=caller(request),
            reason=body["reason"],
            seen_hash=body.get("change_hash"),
        )
        return made(promotion, request)

    @extend_schema(request=PromoteThroughGlassRequest, responses=_MADE)
    @action(detail=True, methods=["post"], url_path="break-glass")
    def break_glass(self, request: Request, pk: str) -> Response:
        """Ask for a promotion past the named gates. The chat is told, and somebody else must review it."""
        stage, body = self.get_object(), said(PromoteThroughGlassRequest, request)
        promotion = operations.request_promotion(
            stage,
            version_or_404(str(body["version"]), self.applications()),
            by=caller(request),
            reason=body["reason"],
            seen_hash=body.get("change_hash"),
            glass=glass_of(dict(body)),
        )
        return made(promotion, request)

    def _past(self, stage: Stage, number: str) -> ImageVersion:
        version = version_or_404(number, self.applications())
        if not rollbacks.ran_here(stage, version):
            words = {"stage": stage, "version": version.label}
            sentence = _("%(stage)s never ran %(version)s, so it can't be rolled back to it.") % words
            raise Refused([Refusal("rollback", sentence, _("a developer, by promoting it"))])
        return version


class Reviews(Records[ReviewTask]):
    """What broken glass leaves: somebody else looks at it. Closed ones stay in the list."""

    queryset = ReviewTask.objects.all()
    serializer_class = ReviewSerializer
    filters = {
        "application": "promotion__stage__application__slug",
        "environment": "promotion__stage__environment__slug",
        "promotion": "promotion",
    }
    numbers = ("promotion",)
    orderings = {"opened_at": "opened_at", "closed_at": "closed_at"}
    scopes = {"close": TokenScope.APPROVE}

    def get_queryset(self) -> QuerySet[ReviewTask]:
        return ReviewTask.objects.for_pages().filter(promotion__stage__application__in=self.applications())

    @extend_schema(request=ReviewRequest, responses={200: ReviewSerializer, **OUTCOMES})
    @action(detail=True, methods=["post"])
    def close(self, request: Request, pk: str) -> Response:
        """Close it with what was found: an approver who had no part in the promotion."""
        task, body = self.get_object(), said(ReviewRequest, request)
        emergency.close_review(task, by=caller(request), comment=body["comment"])
        return Response(ReviewSerializer(get_object_or_404(self.get_queryset(), pk=task.pk)).data)
