"""Who may enter, and what every table here has in common."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Model, URLField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from promotions.policy.access import may_replay

_answers: WeakKeyDictionary[HttpRequest, bool] = WeakKeyDictionary()


def is_site_admin(user: User | AnonymousUser) -> bool:
    """Tell whether the person is an administrator of the whole site: the one right that counts in here.

    Django's own permissions and `is_staff` play no part, so that there is one place to look for who may what.
    """
    return may_replay(user)


def may_enter(request: HttpRequest) -> bool:
    """Tell whether who asks administers the site: a page asks sixty times, and the database once."""
    if request not in _answers:
        _answers[request] = is_site_admin(request.user)
    return _answers[request]


def actor(request: HttpRequest) -> User:
    """Return who works here; nobody anonymous gets this far."""
    assert isinstance(request.user, User)
    return request.user


class SlipwayAdminSite(admin.AdminSite):
    site_title = _("Slipway administration")
    site_header = _("Slipway administration")
    index_title = _("Tables")

    def has_permission(self, request: HttpRequest) -> bool:
        return may_enter(request)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send strangers to the one sign-in page; who is signed in and is no administrator may not enter."""
        target = request.GET.get("next", request.get_full_path())
        if self.has_permission(request):
            return redirect("admin:index")
        if request.user.is_authenticated:
            raise PermissionDenied
        return redirect_to_login(target, settings.LOGIN_URL)


# Generic for the type checker alone: at run time Django's class takes no parameters.
class Editable(admin.ModelAdmin):  # type: ignore[type-arg]
    """A table that administrators of the site may change."""

    # Django 6 will assume https by itself; until then its forms warn about every URL without this.
    formfield_overrides = {URLField: {"assume_scheme": "https"}}

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_enter(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_enter(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_enter(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_enter(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_enter(request)


class ReadOnly(Editable):
    """A table to look at."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
