"""What waits for the caller's decision."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework.mixins import ListModelMixin
from rest_framework.viewsets import GenericViewSet

from promotions.api.scopes import SIGNED_IN, applications_of
from promotions.api.serializers.promotions import WaitingSerializer
from promotions.api.views.base import caller
from promotions.models import Promotion
from promotions.policy.awaiting import awaiting


class Approvals(ListModelMixin, GenericViewSet[Promotion]):
    """Promotions that the caller may approve now and whose quorum lacks them, the longest wait first."""

    queryset = Promotion.objects.none()
    serializer_class = WaitingSerializer
    permission_classes = SIGNED_IN

    def get_queryset(self) -> QuerySet[Promotion]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        waiting = [promotion.pk for promotion in awaiting(caller(self.request))]
        visible = Promotion.objects.for_pages().filter(stage__application__in=applications_of(self.request))
        return visible.filter(pk__in=waiting).prefetch_related("steps").order_by("status_at", "id")
