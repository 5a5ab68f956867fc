"""One promotion, what may be done about it, and the list of all."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render

from promotions import comparisons
from promotions.choices import PromotionStatus
from promotions.models import Promotion
from promotions.policy import Refused, one_look
from promotions.policy.access import visible_applications
from promotions.present import actions
from promotions.present import promotion as present
from promotions.present.promotions import promotion_rows
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.rendering import CONFLICT, page, problem_context
from promotions.workflow import StaleState

_ROWS = 50


@requires(Permission.SIGNED_IN)
def promotions(request: PageRequest) -> HttpResponse:
    visible = Promotion.objects.for_pages().filter(stage__application__in=visible_applications(request.user))
    visible = visible.prefetch_related("steps")
    status = request.GET.get("status", "")
    if status in PromotionStatus.values:
        visible = visible.filter(status=status)
    shown = Paginator(visible, _ROWS).get_page(request.GET.get("page"))
    context = {
        "rows": promotion_rows(shown.object_list),
        "shown": shown,
        "status": status,
        "statuses": PromotionStatus.choices,
    }
    return page(request, "promotions.html", context)


@requires(Permission.SEE_APPLICATION)
def promotion(request: PageRequest, promotion: Promotion) -> HttpResponse:
    if promotion.from_version:
        comparisons.want(promotion.stage.application, promotion.from_version.commit, promotion.version.commit)
    return promotion_page(request, promotion)


@requires(Permission.SEE_APPLICATION)
def promotion_actions(request: PageRequest, promotion: Promotion) -> HttpResponse:
    """The part of the page that depends on who looks."""
    context = {"actions": actions.of_promotion(promotion, request.user), "promotion_id": promotion.pk}
    return render(request, "parts/promotion_actions.html", context)


@one_look()
def promotion_page(
    request: PageRequest, promotion: Promotion, *, error: Refused | StaleState | None = None
) -> HttpResponse:
    """Show the promotion as it is now; with an error, why what was asked was not done (409)."""
    promotion.refresh_from_db()
    context = {
        "promotion": present.page(str(promotion.pk)),
        "promotion_id": promotion.pk,
        "actions": actions.of_promotion(promotion, request.user),
        **(problem_context(error) if error else {}),
    }
    return page(
        request,
        "promotion.html",
        context,
        wants=f"promotion:{promotion.pk}",
        status=CONFLICT if error else 200,
    )
