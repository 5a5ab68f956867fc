"""What waits for the visitor's decision: a page, its part that is loaded again, and the header's count."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from promotions.policy.awaiting import awaiting
from promotions.present.approvals import waiting_rows
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.rendering import page


@never_cache
@requires(Permission.SIGNED_IN)
def approvals(request: PageRequest) -> HttpResponse:
    return page(request, "approvals.html", {"rows": waiting_rows(request.user)})


@never_cache
@requires(Permission.SIGNED_IN)
def approvals_list(request: PageRequest) -> HttpResponse:
    return render(request, "parts/approvals.html", {"rows": waiting_rows(request.user)})


@never_cache
@requires(Permission.SIGNED_IN)
def approvals_count(request: PageRequest) -> HttpResponse:
    """It asks again at each sign, and does not load itself for ever."""
    context = {"approvals_waiting": len(awaiting(request.user)), "is_part": True}
    return render(request, "parts/approvals_count.html", context)
