"""Default closed: every view names the permission it needs, and gets only what its visitor may see."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect

from promotions.audit.search import visible_entries
from promotions.live import latest_number
from promotions.models import (
    Application,
    AuditEntry,
    ImageVersion,
    PipelineRun,
    Promotion,
    Release,
    ReviewTask,
)
from promotions.policy.access import may_replay, may_see_machinery, visible_applications

View = Callable[..., HttpResponseBase]


class Permission(StrEnum):
    """What a visitor needs. SEE_APPLICATION also turns the id in the address into the object itself."""

    ANYONE = "anyone"
    SIGNED_IN = "signed-in"
    SEE_APPLICATION = "see-application"
    SEE_MACHINERY = "see-machinery"
    REPLAY = "replay"
    ADMINISTER = "administer"


class PageRequest(HttpRequest):
    """A signed-in person's request. `live_since` is the newest announcement before any of its queries."""

    user: User
    live_since: int


def requires(permission: Permission, *methods: str) -> Callable[[View], View]:
    """Let only visitors with the permission pass, and only these methods (GET, when none is named).

    Anonymous visitors are sent to the sign-in. What a person may not see does not exist for them: 404.
    """
    allowed = methods or ("GET",)

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            if permission != Permission.ANYONE and not request.user.is_authenticated:
                return _to_sign_in(request)
            if request.method not in allowed and not (request.method == "HEAD" and "GET" in allowed):
                return HttpResponseNotAllowed(allowed)
            if permission != Permission.ANYONE:
                # Read before anything else: what changes while the page is made is then told to it.
                request.live_since = latest_number()  # type: ignore[attr-defined]
                kwargs = _admit(request.user, permission, kwargs)  # type: ignore[arg-type]
            return view(request, **kwargs)

        guarded.permission = permission  # type: ignore[attr-defined]
        return guarded

    return decorate


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """Send a person back to where they were after signing in; a part of a page sends the whole page there."""
    htmx = getattr(request, "htmx", None)
    here = (htmx.current_url_abs_path or "/") if htmx else request.get_full_path()
    if request.method not in ("GET", "HEAD"):
        here = "/"
    url = f"{reverse('sign-in')}?{urlencode({'next': here})}"
    return HttpResponseClientRedirect(url) if htmx else redirect(url)


def _admit(user: User, permission: Permission, kwargs: dict[str, Any]) -> dict[str, Any]:
    if permission == Permission.SEE_APPLICATION:
        return _with_objects(user, kwargs)
    if permission == Permission.SEE_MACHINERY and not may_see_machinery(user):
        raise PermissionDenied
    if permission in (Permission.REPLAY, Permission.ADMINISTER) and not may_replay(user):
        raise PermissionDenied
    return kwargs


def _with_objects(user: User, kwargs: dict[str, Any]) -> dict[str, Any]:
    for name, (argument, load) in _LOADERS.items():
        if name in kwargs:
            rest = {key: value for key, value in kwargs.items() if key != name}
            return {argument: load(user, kwargs[name]), **rest}
    raise ImproperlyConfigured("this address names nothing that belongs to an application")


def _application(user: User, slug: str) -> Application:
    return get_object_or_404(visible_applications(user), slug=slug)


def _promotion(user: User, pk: int) -> Promotion:
    visible = Promotion.objects.with_stage().filter(stage__application__in=visible_applications(user))
    return get_object_or_404(visible, pk=pk)


def _run(user: User, pk: int) -> PipelineRun:
    """A run that belongs to no application is machinery."""
    visible = Q(application__in=visible_applications(user))
    if may_see_machinery(user):
        visible |= Q(application=None)
    return get_object_or_404(PipelineRun.objects.filter(visible), pk=pk)


def _audit_entry(user: User, pk: int) -> AuditEntry:
    return get_object_or_404(visible_entries(user), pk=pk)


def _release(user: User, pk: int) -> Release:
    """Whoever may not see all of its parts sees none of it."""
    release = get_object_or_404(Release, pk=pk)
    parts = Application.objects.filter(stages__promotions__release=release)
    if parts.exclude(pk__in=visible_applications(user)).exists():
        raise Http404
    return release


def _version(user: User, pk: int) -> ImageVersion:
    visible = ImageVersion.objects.filter(image__application__in=visible_applications(user))
    return get_object_or_404(visible.select_related("image__application"), pk=pk)


def _review(user: User, pk: int) -> ReviewTask:
    visible = ReviewTask.objects.for_pages()
    return get_object_or_404(
        visible.filter(promotion__stage__application__in=visible_applications(user)), pk=pk
    )


_LOADERS: dict[str, tuple[str, Callable[[User, Any], object]]] = {
    "slug": ("application", _application),
    "promotion_id": ("promotion", _promotion),
    "release_id": ("release", _release),
    "run_id": ("run", _run),
    "entry_id": ("entry", _audit_entry),
    "review_id": ("task", _review),
    # After the slug: where both stand in an address, the application decides.
    "version_id": ("version", _version),
}
