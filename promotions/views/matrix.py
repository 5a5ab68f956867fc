"""The first page: which version is where."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpResponse

from promotions.models import Environment
from promotions.policy.access import visible_applications
from promotions.present import matrix as present
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.rendering import page

_ROWS = 100


@requires(Permission.SIGNED_IN)
def matrix(request: PageRequest) -> HttpResponse:
    query = request.GET.get("q", "").strip()
    visible = visible_applications(request.user)
    found = visible.filter(name__icontains=query) if query else visible
    shown = Paginator(found.order_by("name"), _ROWS).get_page(request.GET.get("page"))
    context = {
        "rows": present.rows(shown.object_list),
        "environments": Environment.objects.all(),
        "shown": shown,
        "query": query,
        "has_any": bool(shown.paginator.count) or visible.exists(),
    }
    return page(request, "matrix.html", context, wants="cell")
