"""Signing in and out."""

from __future__ import annotations

from datetime import datetime
from math import ceil

import structlog
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from django.conf import settings
from django.contrib import auth, messages
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from requests import RequestException

from promotions.identity import oidc, throttle
from promotions.identity.people import refused, safe_next
from promotions.views.permissions import Permission, requires
from promotions.workflow import record

log = structlog.get_logger(__name__)

_TOO_MANY = 429
_UNUSABLE = (RequestException, oidc.OAuth2Error, oidc.SecretMissing)


@sensitive_post_parameters()
@never_cache
@requires(Permission.ANYONE, "GET", "POST")
def sign_in(request: HttpRequest) -> HttpResponse:
    """Ask for name and password, or for a provider; go on to where the visitor wanted."""
    if request.user.is_authenticated:
        return redirect(_next(request))
    if request.method != "POST":
        return _page(request, AuthenticationForm(request))
    name, address = request.POST.get("username", ""), str(request.META.get("REMOTE_ADDR") or "")
    if again := throttle.attempt(name, address):
        return _too_many(request, again)
    form = AuthenticationForm(request, data=request.POST)
    if not form.is_valid():
        _tell_of_the_last(name, address)
        return _page(request, form)
    throttle.succeeded(name, address)
    user = form.get_user()
    assert isinstance(user, User)
    auth.login(request, user)
    record("session.started", subject=f"sign-in of {user}", by=user, method="password")
    return redirect(_next(request))


def _page(
    request: HttpRequest, form: AuthenticationForm, *, status: int = 200, problem: str = ""
) -> HttpResponse:
    context = {
        "form": form,
        "next": _next(request),
        "problem": problem,
        "providers": settings.SIGN_IN_PROVIDERS,
    }
    return render(request, "sign_in.html", context, status=status)


def _too_many(request: HttpRequest, again: datetime) -> HttpResponse:
    minutes = max(1, ceil((again - timezone.now()).total_seconds() / 60))
    sentence = ngettext(
        "Too many attempts to sign in. Try again in %(n)d minute, after %(time)s.",
        "Too many attempts to sign in. Try again in %(n)d minutes, after %(time)s.",
        minutes,
    )
    problem = sentence % {"n": minutes, "time": f"{timezone.localtime(again):%H:%M %Z}"}
    response = _page(request, AuthenticationForm(request), status=_TOO_MANY, problem=problem)
    response.headers["Retry-After"] = str(minutes * 60)
    return response


def _tell_of_the_last(name: str, address: str) -> None:
    """Once per lock-out, so that somebody who guesses can't fill the trail. What was typed is not kept."""
    if throttle.was_last(name, address):
        known = User.objects.filter(username=name).first()
        record("session.refused", subject=f"sign-in of {known or 'an unknown account'}", by=None)


@requires(Permission.ANYONE, "POST")
def sign_out(request: HttpRequest) -> HttpResponse:
    auth.logout(request)
    return redirect("sign-in")


@never_cache
@requires(Permission.ANYONE)
def oidc_begin(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Send the visitor to the provider.

    By GET: the page's Content-Security-Policy lets no form lead elsewhere, and a browser applies that to
    redirects too. Nothing happens here that the provider would not ask about.
    """
    config = oidc.provider_config(provider_id)
    if config is None:
        raise Http404
    try:
        return oidc.begin(request, config, then=_next(request))
    except _UNUSABLE as error:
        log.warning("a provider can't be used", provider=provider_id, problem=str(error))
        sentence = _("%(provider)s can't be reached, or is not set up rightly. Tell an administrator.")
        messages.error(request, sentence % {"provider": config.name})
        return redirect("sign-in")


@never_cache
@requires(Permission.ANYONE)
def oidc_callback(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Where the provider sends the visitor back to. Everything is checked in identity/oidc.py."""
    config = oidc.provider_config(provider_id)
    if config is None:
        raise Http404
    try:
        view = OAuth2CallbackView.adapter_view(oidc.StrictAdapter(request, provider_id))
        response = view(request)
    except _UNUSABLE as error:
        return refused(request, config.name, "", error)
    assert isinstance(response, HttpResponse)
    return response


def _next(request: HttpRequest) -> str:
    return safe_next(request, request.POST.get("next") or request.GET.get("next") or "")
