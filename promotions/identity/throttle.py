"""Too many attempts to sign in by password: per account and address, per account, per address.

Attempts are rows that are written before the password is looked at, so that any number of processes and of
attempts at the same moment count the same ones.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import salted_hmac

from promotions.models import SignInAttempt

WINDOW = timedelta(minutes=15)
# One person's typing errors; one account tried from many addresses; one address trying many accounts.
PER_BOTH, PER_ACCOUNT, PER_ADDRESS = 5, 30, 60


def account_key(name: str) -> str:
    """Return what stands for an account, whether it exists or not."""
    return salted_hmac("promotions.sign-in", name.strip().casefold()).hexdigest()


def attempt(name: str, address: str) -> datetime | None:
    """Count one attempt; return when to try again if there were too many, None when this one may go on."""
    account, now = account_key(name), timezone.now()
    made = SignInAttempt.objects.create(account=account, address=address[:100], at=now)
    again = [
        until
        for condition, most in (
            (Q(account=account, address=made.address), PER_BOTH),
            (Q(account=account), PER_ACCOUNT),
            (Q(address=made.address), PER_ADDRESS),
        )
        if (until := _until(condition, most, made, now))
    ]
    if not again:
        return None
    # What is refused unseen does not count: who waits as long as they are told may try again.
    made.delete()
    return max(again)


def _until(condition: Q, most: int, made: SignInAttempt, now: datetime) -> datetime | None:
    """Return when fewer than `most` attempts will lie within the window."""
    recent = SignInAttempt.objects.filter(condition, at__gt=now - WINDOW).exclude(pk=made.pk)
    times = list(recent.order_by("-at").values_list("at", flat=True)[:most])
    return times[-1] + WINDOW if len(times) == most else None


def succeeded(name: str, address: str) -> None:
    """Forget the attempts of an account from where its person has just signed in."""
    SignInAttempt.objects.filter(account=account_key(name), address=address[:100]).delete()


def was_last(name: str, address: str) -> bool:
    """Tell whether the account has just used up its attempts from there."""
    recent = SignInAttempt.objects.filter(account=account_key(name), address=address[:100])
    return recent.filter(at__gt=timezone.now() - WINDOW).count() == PER_BOTH


def forget_old() -> None:
    SignInAttempt.objects.filter(at__lte=timezone.now() - WINDOW).delete()
