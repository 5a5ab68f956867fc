"""From a verified identity to one of our people, with the groups that the provider says today."""

from __future__ import annotations

from collections.abc import Iterable

import structlog
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib import auth, messages
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from promotions.identity.config import SignInProvider
from promotions.workflow import record

log = structlog.get_logger(__name__)

_BACKEND = "django.contrib.auth.backends.ModelBackend"
_MOST_GROUPS = 2000


def safe_next(request: HttpRequest, wanted: str) -> str:
    """Return where to go, on this site only: a link to our sign-in must not lead elsewhere."""
    if url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return wanted
    return resolve_url(settings.LOGIN_REDIRECT_URL)


def sign_in_identity(
    request: HttpRequest, config: SignInProvider, account: SocialAccount, then: str
) -> HttpResponse:
    """Sign the person in whose identity was verified; their groups become what the provider says."""
    claims = dict(account.extra_data)
    with transaction.atomic():
        user = account.user if account.pk else _new_person(config, account, claims)
        if not user.is_active:
            return _back(request, _("This account is switched off. An administrator can switch it on again."))
        sync_groups(user, config, claims)
        record("session.started", subject=f"sign-in of {user}", by=user, method=config.name)
    if request.user.is_authenticated and request.user != user:
        auth.logout(request)
    auth.login(request, user, backend=_BACKEND)
    # Groups are read at sign-in alone, so a session must not last for weeks.
    request.session.set_expiry(round(config.session_hours * 3600))
    return redirect(safe_next(request, then))


def _new_person(config: SignInProvider, account: SocialAccount, claims: dict[str, object]) -> User:
    """Make the account of somebody who comes for the first time; nobody's account is taken over by name."""
    wanted = _username(claims)
    user = _unclaimed(wanted) if config.claim_accounts else None
    if user is None:
        user = _create(wanted, config)
        user.first_name, user.last_name = _names(claims)
        if claims.get("email_verified") is True:
            user.email = str(claims.get("email") or "")[:254]
        user.save()
    account.user = user
    account.save()
    record("person.joined", subject=f"person {user}", by=user, provider=config.name, issuer=config.issuer)
    return user


def _username(claims: dict[str, object]) -> str:
    wanted = str(claims.get("preferred_username") or claims.get("nickname") or "person")
    return "".join(c for c in wanted if c.isalnum() or c in "@.+-_")[:130] or "person"


def _unclaimed(name: str) -> User | None:
    """An account that the catalogue made for somebody who was still to come."""
    for user in User.objects.select_for_update().filter(username=name, is_superuser=False):
        if not user.has_usable_password() and not SocialAccount.objects.filter(user=user).exists():
            return user
    return None


def _create(wanted: str, config: SignInProvider) -> User:
    for name in (wanted, *(f"{wanted}-{config.id}{number}"[-150:] for number in ("", *range(2, 100)))):
        try:
            with transaction.atomic():
                return User.objects.create_user(name)
        except IntegrityError:
            continue
    raise RuntimeError("a hundred people of one name")


def _names(claims: dict[str, object]) -> tuple[str, str]:
    first, last = str(claims.get("given_name") or ""), str(claims.get("family_name") or "")
    if not first and not last:
        first, _space, last = str(claims.get("name") or "").partition(" ")
    return first[:150], last[:150]


def sync_groups(user: User, config: SignInProvider, claims: dict[str, object]) -> None:
    """Put the person into the groups that the claim names and take them out of the others it could name.

    Without a mapping those are all groups of the same names; groups never named by the provider's mapping
    are left to the administrators.
    """
    said = _said(claims.get(config.groups_claim))
    if config.groups is None:
        managed = Group.objects.all()
        wanted = set(managed.filter(name__in=said))
    else:
        for name in set(config.groups.values()):
            Group.objects.get_or_create(name=name)
        managed = Group.objects.filter(name__in=config.groups.values())
        wanted = set(managed.filter(name__in={config.groups[word] for word in said if word in config.groups}))
    before = set(user.groups.filter(pk__in=managed.values("pk")))
    if before == wanted:
        return
    user.groups.remove(*(before - wanted))
    user.groups.add(*(wanted - before))
    record(
        "person.groups-changed",
        subject=f"person {user}",
        by=user,
        reason=_("%(provider)s says so.") % {"provider": config.name},
        before=_listed(before),
        after=_listed(wanted),
    )


def _said(claim: object) -> set[str]:
    """Return the claim's groups: a list of texts, or one text; anything else is none."""
    if isinstance(claim, str):
        return {claim}
    if not isinstance(claim, list):
        return set()
    return {word for word in claim[:_MOST_GROUPS] if isinstance(word, str)}


def _listed(groups: Iterable[Group]) -> str:
    return ", ".join(sorted(group.name for group in groups)) or "–"


def refused(request: HttpRequest, provider: str, error: str, exception: Exception | None) -> HttpResponse:
    """Send the visitor back to the sign-in with a sentence; what exactly was wrong is for the log."""
    log.warning("a sign-in was refused", provider=provider, error=error, problem=str(exception or ""))
    if error == "cancelled":
        return _back(request, _("You cancelled signing in with %(provider)s.") % {"provider": provider})
    sentence = _(
        "Signing in with %(provider)s did not work. Try once more; the log tells an administrator why."
    )
    return _back(request, sentence % {"provider": provider})


def _back(request: HttpRequest, sentence: str) -> HttpResponse:
    messages.error(request, sentence)
    return redirect("sign-in")
