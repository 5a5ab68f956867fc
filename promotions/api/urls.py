"""The addresses below /api/."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.routers import DefaultRouter

# drf-spectacular finds extensions by their having been imported.
from promotions.api import openapi as openapi
from promotions.api.views.approvals import Approvals
from promotions.api.views.audit import AuditEntries
from promotions.api.views.catalogue import Applications, Environments, Stages, Versions
from promotions.api.views.governance import Locks
from promotions.api.views.machinery import Deliveries, Runs, Upstreams
from promotions.api.views.promotions import Promotions
from promotions.api.views.recovery import Reviews
from promotions.api.views.releases import Releases

router = DefaultRouter()
# Names of their own: the pages have their "application", "run" and so on.
router.register("applications", Applications, basename="api-application")
router.register("environments", Environments, basename="api-environment")
router.register("stages", Stages, basename="api-stage")
router.register("versions", Versions, basename="api-version")
router.register("promotions", Promotions, basename="api-promotion")
router.register("releases", Releases, basename="api-release")
router.register("approvals", Approvals, basename="api-approval")
router.register("locks", Locks, basename="api-lock")
router.register("reviews", Reviews, basename="api-review")
router.register("runs", Runs, basename="api-run")
router.register("deliveries", Deliveries, basename="api-delivery")
router.register("upstreams", Upstreams, basename="api-upstream")
router.register("audit", AuditEntries, basename="api-audit")

# The split view keeps its script in a file of its own, which our Content-Security-Policy asks for.
docs = SpectacularSwaggerSplitView.as_view(url_name="api-schema")

urlpatterns = [
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs/", login_required(docs), name="api-docs"),
    path("", include(router.urls)),
]
