"""Releases: several versions asked for, decided on, stopped and tried again as one."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from promotions import releases
from promotions.api.serializers.bodies import (
    AbortRequest,
    ApprovalRequest,
    ExceptionRequest,
    Nothing,
    RejectionRequest,
    RollBackRequest,
)
from promotions.api.serializers.releases import (
    ItemsRequest,
    ReleasePreviewSerializer,
    ReleaseRequest,
    ReleaseSerializer,
)
from promotions.api.views.base import OUTCOMES, Records, caller, said, version_or_404
from promotions.choices import TokenScope
from promotions.models import Promotion, Release, Stage
from promotions.releases import Item

_MADE = {201: ReleaseSerializer, **OUTCOMES}
_DONE = {200: ReleaseSerializer, **OUTCOMES}


class Releases(Records[Release]):
    """Several versions that go together. Shown to who may see every part."""

    queryset = Release.objects.all()
    serializer_class = ReleaseSerializer
    scopes = {"approve": TokenScope.APPROVE, "reject": TokenScope.APPROVE, "preview": TokenScope.READ}
    orderings = {"requested_at": "requested_at"}

    def get_queryset(self) -> QuerySet[Release]:
        hidden = Promotion.objects.exclude(stage__application__in=self.applications())
        return Release.objects.exclude(promotions__in=hidden).prefetch_related(
            "promotions__stage__application",
            "promotions__stage__environment",
            "promotions__version__image",
            "promotions__from_version__image",
        )

    def _answer(self, release: Release, code: int = status.HTTP_200_OK) -> Response:
        fresh = get_object_or_404(self.get_queryset(), pk=release.pk)
        headers = {}
        if code == status.HTTP_201_CREATED:
            headers["Location"] = reverse("api-release-detail", args=[release.pk], request=self.request)
        return Response(ReleaseSerializer(fresh).data, code, headers=headers)

    def _items(self, rows: list[dict[str, Any]]) -> list[Item]:
        stages = Stage.objects.select_related(
            "application__source_connection", "environment", "image", "manifest_connection"
        ).filter(application__in=self.applications())
        return [
            Item(
                get_object_or_404(stages, pk=row["stage"]),
                version_or_404(str(row["version"]), self.applications()),
                row["wave"],
            )
            for row in rows
        ]

    @extend_schema(request=ItemsRequest, responses={200: ReleasePreviewSerializer, **OUTCOMES})
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """Say what a Release would write, and why it may not be asked for. Changes nothing."""
        body: dict[str, Any] = dict(said(ItemsRequest, request))
        seen = releases.preview(self._items(body["items"]), caller(request))
        answer = {
            "change_hash": seen.hash,
            "parts": seen.parts,
            "refusals": [why.as_dict() for why in seen.refusals],
        }
        return Response(ReleasePreviewSerializer(answer).data)

    @extend_schema(request=ReleaseRequest, responses=_MADE)
    def create(self, request: Request) -> Response:
        """Ask for all of it at once, or for nothing."""
        body: dict[str, Any] = dict(said(ReleaseRequest, request))
        made = releases.request_release(
            self._items(body["items"]),
            name=body["name"],
            reason=body["reason"],
            by=caller(request),
            pause=body["pause"],
            seen_hash=body.get("change_hash"),
        )
        return self._answer(made, status.HTTP_201_CREATED)

    @extend_schema(request=ApprovalRequest, responses=_DONE)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Approve everything in it that waits for you, bound to the hash of the whole."""
        release, body = self.get_object(), said(ApprovalRequest, request)
        releases.approve(
            release, by=caller(request), change_hash=body["change_hash"], comment=body["comment"]
        )
        return self._answer(release)

    @extend_schema(request=RejectionRequest, responses=_DONE)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str) -> Response:
        """Reject it: all of it ends; the comment says why."""
        release, body = self.get_object(), said(RejectionRequest, request)
        releases.reject(release, by=caller(request), change_hash=body["change_hash"], comment=body["comment"])
        return self._answer(release)

    @extend_schema(request=ExceptionRequest, responses=_DONE)
    @action(detail=True, methods=["post"], url_path="freeze-exception")
    def freeze_exception(self, request: Request, pk: str) -> Response:
        """Let all of it go that a freeze holds; an approver's, never the requester's."""
        release, body = self.get_object(), said(ExceptionRequest, request)
        releases.except_from_freeze(
            release, by=caller(request), change_hash=body["change_hash"], reason=body["reason"]
        )
        return self._answer(release)

    @extend_schema(request=AbortRequest, responses=_DONE)
    @action(detail=True, methods=["post"])
    def abort(self, request: Request, pk: str) -> Response:
        """Stop all of it before its next outside effect. What is already in Git stays there."""
        release, body = self.get_object(), said(AbortRequest, request)
        releases.abort(release, by=caller(request), reason=body["reason"])
        return self._answer(release)

    @extend_schema(request=Nothing, responses=_DONE)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Resume everything in it that failed, each at the step that ended it."""
        release = self.get_object()
        said(Nothing, request)
        releases.retry(release, by=caller(request))
        return self._answer(release)

    @extend_schema(request=RollBackRequest, responses=_MADE)
    @action(detail=True, methods=["post"], url_path="roll-back")
    def roll_back(self, request: Request, pk: str) -> Response:
        """Ask for the versions that it replaced: a Release of its own."""
        release, body = self.get_object(), said(RollBackRequest, request)
        made = releases.roll_back(
            release, by=caller(request), reason=body["reason"], seen_hash=body.get("change_hash")
        )
        return self._answer(made, status.HTTP_201_CREATED)
