"""Applications, environments, stages, versions."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from promotions import dryrun, governing, operations, pins
from promotions.api.serializers.bodies import PinRequest, ReasonRequest, VendorProblem
from promotions.api.serializers.catalogue import (
    AnswerSerializer,
    ApplicationSerializer,
    EnvironmentSerializer,
    PersonAccessSerializer,
    PreviewSerializer,
    StageSerializer,
    VersionSerializer,
)
from promotions.api.views.base import NOT_FOUND, OUTCOMES, Records, caller, said, version_or_404
from promotions.api.views.recovery import StageRecovery
from promotions.choices import Risk
from promotions.models import Application, Environment, ImageVersion, Stage
from promotions.policy.access import may_see_machinery
from promotions.present.access import stage_access


class Applications(Records[Application]):
    queryset = Application.objects.all()
    serializer_class = ApplicationSerializer
    lookup_field = "slug"
    lookup_value_regex = "[-a-zA-Z0-9_]+"
    orderings = {"name": "name", "slug": "slug"}

    def get_queryset(self) -> QuerySet[Application]:
        return (
            self.applications()
            .select_related("source_connection")
            .prefetch_related("images__connection", "stages__environment")
        )


class Environments(Records[Environment]):
    queryset = Environment.objects.all()
    serializer_class = EnvironmentSerializer
    lookup_field = "slug"
    lookup_value_regex = "[-a-zA-Z0-9_]+"
    filters = {"risk": "risk"}
    choices = {"risk": Risk.values}
    orderings = {"order": "order", "slug": "slug"}

    def get_queryset(self) -> QuerySet[Environment]:
        """Return all of them to whoever holds any role at all."""
        if self.applications().exists() or (may_see_machinery(self.request.user) and not self.is_narrowed()):
            return Environment.objects.all()
        return Environment.objects.none()


class Stages(StageRecovery):
    """One Application in one Environment, with the three answers: desired, running, promoted."""

    queryset = Stage.objects.all()
    serializer_class = StageSerializer
    filters = {"application": "application__slug", "environment": "environment__slug"}
    orderings = {"application": "application__name", "environment": "environment__order"}

    def get_queryset(self) -> QuerySet[Stage]:
        return (
            Stage.objects.filter(application__in=self.applications())
            .select_related(
                "application__source_connection",
                "environment",
                "image",
                "manifest_connection",
                "argocd_connection",
                "verification_connection",
                "state__desired_version",
                "state__running_version",
                "state__promoted__version",
                "history",
                "automation__version",
            )
            .prefetch_related("pins__version")
        )

    @extend_schema(
        parameters=[OpenApiParameter("version", int, required=True, description="The ImageVersion's id")],
        responses={200: PreviewSerializer, 404: NOT_FOUND, 503: VendorProblem},
        filters=False,
    )
    @action(detail=True, methods=["get"])
    def preview(self, request: Request, pk: str) -> Response:
        """Show the change that a promotion would make at the branch's tip, and every gate's refusal."""
        stage = self.get_object()
        version = version_or_404(request.query_params.get("version", ""), self.applications())
        seen = operations.preview(stage, version, caller(request))
        return Response(PreviewSerializer(seen).data)

    @extend_schema(request=PinRequest, responses={200: StageSerializer, **OUTCOMES}, filters=False)
    @action(detail=True, methods=["post"])
    def pin(self, request: Request, pk: str) -> Response:
        """Keep a Stage that promotes automatically at a version, until a person lifts the pin."""
        stage, body = self.get_object(), said(PinRequest, request)
        version = version_or_404(str(body["version"]), self.applications())
        pins.pin(stage, version, by=caller(request), reason=body["reason"])
        return Response(StageSerializer(self.get_object()).data)

    @extend_schema(request=ReasonRequest, responses={200: StageSerializer, **OUTCOMES}, filters=False)
    @action(detail=True, methods=["post"])
    def unpin(self, request: Request, pk: str) -> Response:
        """Let automatic promotion go on."""
        stage, body = self.get_object(), said(ReasonRequest, request)
        pins.unpin(stage, by=caller(request), reason=body["reason"])
        return Response(StageSerializer(self.get_object()).data)

    @extend_schema(responses={200: PersonAccessSerializer(many=True), 404: NOT_FOUND}, filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def access(self, request: Request, pk: str) -> Response:
        """Say who may do what here, and because of which grants."""
        return Response([PersonAccessSerializer(row).data for row in stage_access(self.get_object())])

    @extend_schema(responses={200: AnswerSerializer, 404: NOT_FOUND}, filters=False)
    @action(detail=True, methods=["get"], url_path=r"may/(?P<version>[0-9]{1,18})")
    def may(self, request: Request, pk: str, version: str) -> Response:
        """Answer whether the version may go to the Stage now, and if not, why not and when it may.

        It asks what Slipway knows already: unlike `preview` it computes no change and asks no vendor.
        """
        answer = dryrun.may(self.get_object(), version_or_404(version, self.applications()), caller(request))
        return Response(AnswerSerializer(answer).data)


class Versions(Records[ImageVersion]):
    """Immutable builds. The digest is the identity, tags are labels that may move."""

    queryset = ImageVersion.objects.all()
    serializer_class = VersionSerializer
    filters = {
        "application": "image__application__slug",
        "image": "image__slug",
        "tag": "tag",
        "digest": "digest",
        "commit": "commit",
    }
    orderings = {"created_at": "created_at", "tag": "tag"}

    def get_queryset(self) -> QuerySet[ImageVersion]:
        return (
            ImageVersion.objects.filter(image__application__in=self.applications())
            .select_related("image__application")
            .prefetch_related("blocks")
        )

    @extend_schema(request=ReasonRequest, responses={200: VersionSerializer, **OUTCOMES})
    @action(detail=True, methods=["post"])
    def block(self, request: Request, pk: str) -> Response:
        """Mark a version as bad: it is promoted nowhere."""
        version, body = self.get_object(), said(ReasonRequest, request)
        governing.block(version, by=caller(request), reason=body["reason"])
        return Response(VersionSerializer(self.get_object()).data)

    @extend_schema(request=ReasonRequest, responses={200: VersionSerializer, **OUTCOMES})
    @action(detail=True, methods=["post"])
    def unblock(self, request: Request, pk: str) -> Response:
        """Take the mark away."""
        version, body = self.get_object(), said(ReasonRequest, request)
        governing.unblock(version, by=caller(request), reason=body["reason"])
        return Response(VersionSerializer(self.get_object()).data)
