"""How every page is put together: its live wishes, the header, and refusals as HTTP 409."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from promotions.policy import Refused
from promotions.policy.access import may_replay, may_see_machinery
from promotions.present.governance import emergency_stop
from promotions.present.upstreams import freshness
from promotions.views.permissions import PageRequest
from promotions.workflow import StaleState

CONFLICT = 409


def page(
    request: PageRequest,
    template: str,
    context: dict[str, Any],
    *,
    wants: str = "",
    status: int = 200,
) -> HttpResponse:
    """Render a page for a signed-in person. `wants` are the fragments it shows ("cell run:5 log:5")."""
    sees = may_see_machinery(request.user)
    frame = {
        "live_since": request.live_since,
        "live_wants": f"{wants} upstreams:all approvals".strip(),
        "upstreams": freshness(),
        "may_see_machinery": sees,
        "may_administer": sees and may_replay(request.user),
        "emergency_stop": emergency_stop(),
    }
    return render(request, template, {**frame, **context}, status=status)


def problem_context(error: Refused | StaleState) -> dict[str, Any]:
    """Return what a page shows of an operation that changed nothing."""
    if isinstance(error, Refused):
        return {"refused": error.refusals}
    return {"stale": str(error)}
