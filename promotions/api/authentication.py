"""Who asks: a bearer token, or the session of the pages."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from promotions.audit.origin import through_token
from promotions.models import ApiToken
from promotions.tokens import find_token


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`. A request that carries one needs no CSRF token: browsers add none."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        scheme, _space, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = find_token(text.strip())
        if token is None:
            raise AuthenticationFailed(_("The token is unknown or has expired."))
        through_token(token.name)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="slipway"'
