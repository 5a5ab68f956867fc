"""Who may do what at one Stage."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404

from promotions.models import Application
from promotions.present.access import stage_access
from promotions.present.matrix import stages
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.rendering import page


@requires(Permission.SEE_APPLICATION)
def access(request: PageRequest, application: Application, environment: str) -> HttpResponse:
    stage = get_object_or_404(stages(), application=application, environment__slug=environment)
    return page(request, "stage_access.html", {"stage": stage, "people": stage_access(stage)})
