"""The audit trail: searched, read entry by entry, exported."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone

from promotions.audit.export import FORMATS, export
from promotions.audit.search import AuditSearch
from promotions.models import AuditEntry
from promotions.present import audit as present
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.rendering import page
from promotions.workflow import record

_UNPROCESSABLE = 422


@requires(Permission.SIGNED_IN)
def audit(request: PageRequest) -> HttpResponse:
    form = AuditSearch(request.GET)
    if not form.is_valid():
        return page(request, "audit.html", {"form": form}, status=_UNPROCESSABLE)
    before = request.GET.get("before", "")
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    asked = {name: request.GET[name] for name in form.fields if request.GET.get(name)}
    context = {
        "form": form,
        "shown": present.page(form.find(request.user), number),
        "asked": urlencode(asked),
        "formats": FORMATS,
    }
    return page(request, "audit.html", context)


@requires(Permission.SEE_APPLICATION)
def audit_entry(request: PageRequest, entry: AuditEntry) -> HttpResponse:
    return page(request, "audit_entry.html", {"detail": present.detail(entry)})


@requires(Permission.SIGNED_IN)
def audit_export(request: PageRequest, kind: str) -> HttpResponseBase:
    """Send everything that fits the search as a file. Who took a copy is itself part of the trail."""
    form = AuditSearch(request.GET)
    if kind not in FORMATS:
        raise Http404
    if not form.is_valid():
        return page(request, "audit.html", {"form": form}, status=_UNPROCESSABLE)
    asked = {name: str(value) for name, value in form.cleaned_data.items() if value}
    record("audit.exported", subject=f"audit trail as {kind}", by=request.user, search=asked)
    response = StreamingHttpResponse(export(form.find(request.user), kind), content_type=FORMATS[kind])
    name = f"slipway-audit-{timezone.now():%Y%m%d-%H%M%S}.{kind}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
