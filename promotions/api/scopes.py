"""A token allows no more than its scopes say, whatever its person's roles are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import SAFE_METHODS, BasePermission, IsAuthenticated
from rest_framework.request import Request

from promotions.choices import TokenScope
from promotions.models import ApiToken, Application
from promotions.policy.access import visible_applications

if TYPE_CHECKING:
    # The framework loads its default permissions while it defines this class.
    from rest_framework.views import APIView


def token_of(request: Request) -> ApiToken | None:
    """Return the token that the request speaks with; None for the session of the pages."""
    return request.auth if isinstance(request.auth, ApiToken) else None


def applications_of(request: Request) -> QuerySet[Application]:
    """Return what the caller may see, with this token."""
    visible, token = visible_applications(request.user), token_of(request)
    if token is None or not token.applications:
        return visible
    return visible.filter(slug__in=token.applications)


class TokenScopes(BasePermission):
    """Reading needs `read`; acting needs the scope that the view names for its action, else `promote`."""

    message = _("This token may not be used for that: it lacks the scope.")

    def has_permission(self, request: Request, view: APIView) -> bool:
        token = token_of(request)
        if token is None:
            return True
        if request.method in SAFE_METHODS:
            return TokenScope.READ in token.scopes
        scopes: dict[str, str] = getattr(view, "scopes", {})
        return scopes.get(str(getattr(view, "action", "")), TokenScope.PROMOTE) in token.scopes


class NotNarrowed(BasePermission):
    """What belongs to no application is out of reach for a token that is only for some."""

    message = _("This token is for single applications, and this belongs to none.")

    def has_permission(self, request: Request, view: APIView) -> bool:
        token = token_of(request)
        return token is None or not token.applications


SIGNED_IN: tuple[type[BasePermission], ...] = (IsAuthenticated, TokenScopes)
