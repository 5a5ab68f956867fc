"""The webhook inbox."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse

from promotions import deliveries as operations
from promotions.choices import DeliveryOutcome
from promotions.models import Delivery
from promotions.policy.access import may_replay
from promotions.present import deliveries as present
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.rendering import CONFLICT, page, problem_context
from promotions.workflow import StaleState


@requires(Permission.SEE_MACHINERY)
def deliveries(request: PageRequest) -> HttpResponse:
    outcome = request.GET.get("outcome", "")
    key = outcome if outcome in DeliveryOutcome.values else "all"
    context = {
        "deliveries": present.inbox(key),
        "outcome": key,
        "outcomes": DeliveryOutcome.choices,
        "refused_sources": present.refused_sources(),
    }
    # What is pushed is the whole inbox: a page that shows a part of it is as of its loading.
    return page(request, "deliveries.html", context, wants="deliveries:all" if key == "all" else "")


@requires(Permission.SEE_MACHINERY, "GET", "POST")
def delivery(request: PageRequest, delivery_id: int) -> HttpResponse:
    found = get_object_or_404(Delivery.objects.select_related("source__connection"), pk=delivery_id)
    if request.method != "POST":
        return _page(request, found)
    if not may_replay(request.user):
        raise PermissionDenied
    try:
        operations.replay(found, by=request.user)
    except StaleState as error:
        found.refresh_from_db()
        return _page(request, found, error)
    return redirect(reverse("delivery", args=[found.pk]))


def _page(request: PageRequest, found: Delivery, error: StaleState | None = None) -> HttpResponse:
    context = {
        "detail": present.detail(found),
        "may_replay": may_replay(request.user),
        **(problem_context(error) if error else {}),
    }
    return page(request, "delivery.html", context, status=CONFLICT if error else 200)
