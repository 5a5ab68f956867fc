"""What can go wrong when Slipway talks to a vendor.

Every adapter turns its client's exceptions into one of these, so that callers decide by kind and
never by vendor. The message is a sentence for a release manager; it quotes the vendor's own words
and never contains a credential.
"""

from __future__ import annotations


class IntegrationError(Exception):
    """The base of every failure of an outside system.

    `vendor` is the adapter's name ("gitlab", "argocd", ...); `status` is the HTTP status, where there
    was one; `retry_after` is in seconds, where the vendor named it.
    """

    def __init__(
        self, message: str, *, vendor: str = "", status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.vendor = vendor
        self.status = status
        self.retry_after = retry_after


class Unavailable(IntegrationError):
    """No usable answer: refused connection, time-out, 5xx, 429. The outcome of a write is unknown."""


class Unauthorized(IntegrationError):
    """The credentials are missing, wrong or expired, or lack the right. Repeating will not help."""


class NotFound(IntegrationError):
    """The thing asked for does not exist (or the vendor hides it from these credentials)."""


class Rejected(IntegrationError):
    """The vendor understood and refused; nothing changed there."""


class Conflict(IntegrationError):
    """The thing changed since it was read; read again, then decide."""
