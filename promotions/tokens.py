"""API tokens: made once, shown once, kept as a digest."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from promotions.choices import TokenScope
from promotions.models import ApiToken
from promotions.workflow import person_name, record

# Secret scanners find leaked tokens by a prefix that nothing else has.
PREFIX = "slipway_"
_SERVICE = "service-"
_SHOW_USE_EVERY = timedelta(minutes=1)


def issue_token(
    user: User,
    *,
    name: str,
    by: User,
    expires_at: datetime | None = None,
    scopes: Sequence[str] = (TokenScope.READ,),
    applications: Sequence[str] = (),
    is_service: bool = False,
) -> tuple[ApiToken, str]:
    """Make a token and return it with its text, which nobody can see again.

    It allows what the user's roles allow, within `scopes` and, where some are named, `applications` (slugs).
    """
    text = PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        token = ApiToken.objects.create(
            user=user,
            name=name,
            digest=ApiToken.digest_of(text),
            expires_at=expires_at,
            scopes=list(scopes),
            applications=list(applications),
            is_service=is_service,
            created_by_name=person_name(by),
        )
        record(
            "token.issued",
            subject=f"token {token}",
            by=by,
            expires_at=str(expires_at or ""),
            scopes=token.scopes,
            applications=token.applications,
        )
    return token, text


def service_account(name: str) -> User:
    """Return the account `service-<name>`, made if need be: no password, roles like a person's.

    Raises ValueError when a person goes by that name: a token must never speak for somebody else.
    """
    user, _made = User.objects.get_or_create(
        username=f"{_SERVICE}{name}", defaults={"password": make_password(None)}
    )
    if user.has_usable_password() or user.is_superuser or SocialAccount.objects.filter(user=user).exists():
        raise ValueError(f"{user} is a person's account")
    return user


def revoke_token(token: ApiToken, *, by: User) -> None:
    """Make a token worthless at once."""
    with transaction.atomic():
        if ApiToken.objects.filter(pk=token.pk).delete()[0]:
            record("token.revoked", subject=f"token {token}", by=by)


def find_token(text: str) -> ApiToken | None:
    """Return the valid token of an active person with this text.

    The look-up is by the digest of a long random text, so that its timing tells nothing about any token.
    """
    now = timezone.now()
    token = (
        ApiToken.objects.select_related("user")
        .filter(digest=ApiToken.digest_of(text), user__is_active=True)
        .filter(Q(expires_at=None) | Q(expires_at__gt=now))
        .first()
    )
    if token is not None:
        _show_use(token, now)
    return token


def _show_use(token: ApiToken, now: datetime) -> None:
    """Keep when it was last used, to the minute: a busy client must not write on every request."""
    before = now - _SHOW_USE_EVERY
    if token.last_used_at is None or token.last_used_at < before:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
