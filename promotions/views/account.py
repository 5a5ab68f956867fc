"""One's own tokens and sessions, and for administrators the tokens of services."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from promotions import tokens
from promotions.forms import ServiceTokenForm, TokenForm
from promotions.identity import sessions
from promotions.models import ApiToken, Application
from promotions.policy.access import visible_applications
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.rendering import page

_UNPROCESSABLE = 422


@never_cache
@requires(Permission.SIGNED_IN)
def account(request: PageRequest) -> HttpResponse:
    return _own_page(request, TokenForm(applications=_choices(visible_applications(request.user))))


@never_cache
@requires(Permission.SIGNED_IN, "POST")
def make_token(request: PageRequest) -> HttpResponse:
    form = TokenForm(request.POST, applications=_choices(visible_applications(request.user)))
    if not form.is_valid():
        return _own_page(request, form, status=_UNPROCESSABLE)
    return _issued(request, form, request.user, is_service=False)


@requires(Permission.SIGNED_IN, "POST")
def revoke(request: PageRequest, token_id: int) -> HttpResponse:
    """One's own alone: another person's token does not exist here."""
    token = get_object_or_404(ApiToken, pk=token_id, user=request.user)
    tokens.revoke_token(token, by=request.user)
    messages.success(request, _("The token %(name)s is worth nothing any more.") % {"name": token.name})
    return redirect("account")


@requires(Permission.SIGNED_IN, "POST")
def sign_out_everywhere(request: PageRequest) -> HttpResponse:
    """End this session too: whoever feels watched wants to begin anew."""
    sessions.sign_out_everywhere(request.user, by=request.user)
    logout(request)
    return redirect("sign-in")


@never_cache
@requires(Permission.ADMINISTER)
def service_tokens(request: PageRequest) -> HttpResponse:
    return _service_page(request, ServiceTokenForm(applications=_choices(Application.objects.all())))


@never_cache
@requires(Permission.ADMINISTER, "POST")
def make_service_token(request: PageRequest) -> HttpResponse:
    form = ServiceTokenForm(request.POST, applications=_choices(Application.objects.all()))
    if not form.is_valid():
        return _service_page(request, form, status=_UNPROCESSABLE)
    try:
        user = tokens.service_account(form.cleaned_data["account"])
    except ValueError:
        form.add_error("account", _("This is a person's account. Choose another name."))
        return _service_page(request, form, status=_UNPROCESSABLE)
    return _issued(request, form, user, is_service=True)


@requires(Permission.ADMINISTER, "POST")
def revoke_service(request: PageRequest, token_id: int) -> HttpResponse:
    token = get_object_or_404(ApiToken, pk=token_id, is_service=True)
    tokens.revoke_token(token, by=request.user)
    messages.success(request, _("The token %(name)s is worth nothing any more.") % {"name": token.name})
    return redirect("service-tokens")


def _choices(applications: QuerySet[Application]) -> list[tuple[str, str]]:
    return list(applications.order_by("name").values_list("slug", "name"))


def _issued(request: PageRequest, form: TokenForm, user: User, *, is_service: bool) -> HttpResponse:
    """Show the token, this once. It travels in this answer alone, in no message, cookie or session."""
    said = form.cleaned_data
    token, text = tokens.issue_token(
        user,
        name=said["name"],
        by=request.user,
        expires_at=timezone.now() + timedelta(days=said["days"]),
        scopes=said["scopes"],
        applications=said["applications"],
        is_service=is_service,
    )
    context = {"token": token, "text": text, "back": "service-tokens" if is_service else "account"}
    response = page(request, "token_issued.html", context)
    response.headers["Cache-Control"] = "no-store"
    return response


def _own_page(request: PageRequest, form: TokenForm, status: int = 200) -> HttpResponse:
    context = {
        "form": form,
        "tokens": ApiToken.objects.filter(user=request.user).order_by("-id"),
        "sessions": sessions.open_sessions(request.user),
        "groups": request.user.groups.order_by("name"),
        "now": timezone.now(),
    }
    return page(request, "account.html", context, status=status)


def _service_page(request: PageRequest, form: ServiceTokenForm, status: int = 200) -> HttpResponse:
    found = ApiToken.objects.filter(is_service=True).select_related("user").order_by("-id")
    context = {"form": form, "tokens": found, "now": timezone.now()}
    return page(request, "service_tokens.html", context, status=status)
