"""For probes and load balancers."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from promotions.health import problems
from promotions.views.permissions import Permission, requires


@requires(Permission.ANYONE)
def healthz(request: HttpRequest) -> HttpResponse:
    """200 when this process can serve, else 503 with a sentence that tells an outsider nothing useful."""
    found = problems()
    text = "\n".join(found) or "ok"
    return HttpResponse(f"{text}\n", status=503 if found else 200, content_type="text/plain; charset=utf-8")
