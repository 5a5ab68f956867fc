"""What is watched, and how fresh our picture of it is."""

from __future__ import annotations

from django.http import HttpResponse

from promotions.present import upstreams as present
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.rendering import page


@requires(Permission.SEE_MACHINERY)
def upstreams(request: PageRequest) -> HttpResponse:
    return page(request, "upstreams.html", {"rows": present.rows(), "channels": present.channels()})
