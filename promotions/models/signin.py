"""Sessions that know whose they are, and attempts to sign in."""

from __future__ import annotations

from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils import timezone


class Session(AbstractBaseSession):
    """Django's session with its person beside it, so that all of one person's can be ended."""

    # No foreign key: sessions of an account that is gone are nobody's, and end by themselves.
    user_id = models.BigIntegerField(null=True, db_index=True)

    @classmethod
    def get_session_store_class(cls) -> type[SessionBase]:
        from promotions.sessions import SessionStore

        return SessionStore


class SignInAttempt(models.Model):
    """One try to sign in by password, forgotten after a while and when it succeeds.

    The account is kept as a keyed hash: people type passwords where the name belongs.
    """

    account = models.CharField(max_length=64)
    address = models.CharField(max_length=100)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [
            models.Index(fields=["account", "at"], name="attempt_account"),
            models.Index(fields=["address", "at"], name="attempt_address"),
            models.Index(fields=["at"], name="attempt_at"),
        ]

    def __str__(self) -> str:
        return f"{self.address} {self.at}"
