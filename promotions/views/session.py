"""Signing in and out."""

from __future__ import annotations

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from promotions.views.permissions import Permission, requires


@sensitive_post_parameters()
@never_cache
@requires(Permission.ANYONE, "GET", "POST")
def sign_in(request: HttpRequest) -> HttpResponse:
    """Ask for name and password; go on to where the visitor wanted."""
    if request.user.is_authenticated:
        return redirect(_next(request))
    form = AuthenticationForm(request, data=request.POST or None)
    if request.method == "POST" and form.is_valid():
        auth.login(request, form.get_user())
        return redirect(_next(request))
    return render(request, "sign_in.html", {"form": form, "next": _next(request)})


@requires(Permission.ANYONE, "POST")
def sign_out(request: HttpRequest) -> HttpResponse:
    auth.logout(request)
    return redirect("sign-in")


def _next(request: HttpRequest) -> str:
    """Return where to go, on this site only: a link to our sign-in must not lead elsewhere."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return wanted
    return resolve_url(settings.LOGIN_REDIRECT_URL)
