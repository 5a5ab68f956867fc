"""The one table of who may reach what. A route that stands in no line of it fails the walk."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """Who somebody is for scenario A's application; each may what those before may.

    OUTSIDER is signed in and holds no role; ADMIN administers the whole site.
    """

    ANONYMOUS = 0
    OUTSIDER = 1
    VIEWER = 2
    DEVELOPER = 3
    APPROVER = 4
    ADMIN = 5


ANONYMOUS, OUTSIDER, VIEWER, DEVELOPER, APPROVER, ADMIN = Level


@dataclass(frozen=True)
class Rule:
    """`sees`: from which level on it exists. `acts`: from which level on a POST does something; None: never.

    `hidden` is the answer to signed-in people below `sees`, `refused` to those who see and may not act.
    `reads` is False for an address that takes no GET.
    """

    sees: Level
    acts: Level | None = None
    reads: bool = True
    hidden: int = 404
    refused: int = 409


def machinery(acts: Level | None = None, reads: bool = True) -> Rule:
    """What belongs to no application: forbidden rather than hidden, for everybody knows that it is there."""
    return Rule(ADMIN, acts, reads, hidden=403, refused=403)


_SIGNED_IN, _LOOK = Rule(OUTSIDER), Rule(VIEWER)

RULES: dict[str, Rule] = {
    "healthz": Rule(ANONYMOUS),
    "sign-in": Rule(ANONYMOUS, acts=ANONYMOUS),
    "oidc-begin": Rule(ANONYMOUS),
    "oidc-callback": Rule(ANONYMOUS),
    "sign-out": Rule(ANONYMOUS, acts=ANONYMOUS, reads=False),
    "set-language": Rule(ANONYMOUS, acts=ANONYMOUS),
    "matrix": _SIGNED_IN,
    "promotions": _SIGNED_IN,
    "approvals": _SIGNED_IN,
    "approvals-list": _SIGNED_IN,
    "approvals-count": _SIGNED_IN,
    "notifications": Rule(OUTSIDER, acts=OUTSIDER),
    "account": _SIGNED_IN,
    "audit": _SIGNED_IN,
    "audit-export": _SIGNED_IN,
    "token-make": Rule(OUTSIDER, acts=OUTSIDER, reads=False),
    "token-revoke": Rule(OUTSIDER, acts=OUTSIDER, reads=False),
    "sign-out-everywhere": Rule(OUTSIDER, acts=OUTSIDER, reads=False),
    "locks": _SIGNED_IN,
    "lock": Rule(OUTSIDER, acts=APPROVER),
    "lock-lift": Rule(VIEWER, acts=APPROVER),
    "version-block": Rule(VIEWER, acts=APPROVER),
    "application": _LOOK,
    "stage-access": _LOOK,
    "candidates": _LOOK,
    "promotion": _LOOK,
    "promotion-actions": _LOOK,
    "run": _LOOK,
    "run-log": _LOOK,
    "audit-entry": _LOOK,
    "promote": Rule(VIEWER, acts=DEVELOPER),
    "stage-pin": Rule(VIEWER, acts=DEVELOPER),
    "promotion-approve": Rule(VIEWER, acts=APPROVER),
    "promotion-reject": Rule(VIEWER, acts=APPROVER),
    "promotion-freeze-exception": Rule(VIEWER, acts=APPROVER),
    "promotion-abort": Rule(VIEWER, acts=DEVELOPER),
    "promotion-retry": Rule(VIEWER, acts=DEVELOPER, reads=False),
    "promotion-roll-back": Rule(VIEWER, acts=DEVELOPER),
    "releases": _SIGNED_IN,
    # Asking for what one may not see asks for nothing: the form comes back.
    "release-new": Rule(OUTSIDER, acts=DEVELOPER),
    "release": _LOOK,
    "release-state": _LOOK,
    "release-approve": Rule(VIEWER, acts=APPROVER),
    "release-reject": Rule(VIEWER, acts=APPROVER),
    "release-freeze-exception": Rule(VIEWER, acts=APPROVER),
    "release-abort": Rule(VIEWER, acts=DEVELOPER),
    "release-retry": Rule(VIEWER, acts=DEVELOPER, reads=False),
    "release-roll-back": Rule(VIEWER, acts=DEVELOPER),
    "stage-history": _LOOK,
    "stage-roll-back": Rule(VIEWER, acts=DEVELOPER),
    "promotion-break-glass": Rule(VIEWER, acts=ADMIN),
    "promote-break-glass": Rule(VIEWER, acts=ADMIN),
    "reviews": _SIGNED_IN,
    "review-close": Rule(VIEWER, acts=APPROVER),
    "deliveries": machinery(),
    "delivery": machinery(acts=ADMIN),
    "upstreams": machinery(),
    "service-tokens": machinery(),
    "service-token-make": machinery(acts=ADMIN, reads=False),
    "service-token-revoke": machinery(acts=ADMIN, reads=False),
    "api-root": _SIGNED_IN,
    "api-schema": _SIGNED_IN,
    "api-docs": _SIGNED_IN,
    "api-application-list": _SIGNED_IN,
    "api-environment-list": _SIGNED_IN,
    "api-stage-list": _SIGNED_IN,
    "api-version-list": _SIGNED_IN,
    "api-approval-list": _SIGNED_IN,
    "api-run-list": _SIGNED_IN,
    "api-audit-list": _SIGNED_IN,
    "api-application-detail": _LOOK,
    "api-environment-detail": _LOOK,
    "api-stage-detail": _LOOK,
    "api-stage-preview": _LOOK,
    "api-stage-access": _LOOK,
    "api-stage-may": _LOOK,
    "api-stage-pin": Rule(VIEWER, acts=DEVELOPER, reads=False),
    "api-stage-unpin": Rule(VIEWER, acts=DEVELOPER, reads=False),
    "api-version-detail": _LOOK,
    "api-version-block": Rule(VIEWER, acts=APPROVER, reads=False),
    "api-version-unblock": Rule(VIEWER, acts=APPROVER, reads=False),
    "api-run-detail": _LOOK,
    "api-run-logs": _LOOK,
    "api-audit-detail": _LOOK,
    "api-promotion-list": Rule(OUTSIDER, acts=DEVELOPER),
    "api-promotion-detail": _LOOK,
    "api-promotion-approve": Rule(VIEWER, acts=APPROVER, reads=False),
    "api-promotion-reject": Rule(VIEWER, acts=APPROVER, reads=False),
    "api-promotion-abort": Rule(VIEWER, acts=DEVELOPER, reads=False),
    "api-promotion-freeze-exception": Rule(VIEWER, acts=APPROVER, reads=False),
    "api-promotion-checks": Rule(VIEWER, acts=DEVELOPER, reads=False),
    "api-promotion-retry": Rule(VIEWER, acts=DEVELOPER, reads=False),
    "api-promotion-roll-back": Rule(VIEWER, acts=DEVELOPER, reads=False),
    "api-release-list": Rule(OUTSIDER, acts=DEVELOPER),
    "api-release-preview": Rule(OUTSIDER, acts=VIEWER, reads=False),
    "api-release-detail": _LOOK,
    "api-release-approve": Rule(VIEWER, acts=APPROVER, reads=False),
    "api-release-reject": Rule(VIEWER, acts=APPROVER, reads=False),
    "api-release-freeze-exception": Rule(VIEWER, acts=APPROVER, reads=False),
    "api-release-abort": Rule(VIEWER, acts=DEVELOPER, reads=False),
    "api-release-retry": Rule(VIEWER, acts=DEVELOPER, reads=False),
    "api-release-roll-back": Rule(VIEWER, acts=DEVELOPER, reads=False),
    "api-lock-list": Rule(OUTSIDER, acts=APPROVER),
    "api-lock-detail": _LOOK,
    "api-lock-lift": Rule(VIEWER, acts=APPROVER, reads=False),
    "api-stage-history": _LOOK,
    "api-stage-roll-back": Rule(VIEWER, acts=DEVELOPER),
    "api-stage-break-glass": Rule(VIEWER, acts=ADMIN, reads=False),
    "api-promotion-break-glass": Rule(VIEWER, acts=ADMIN, reads=False),
    "api-review-list": _SIGNED_IN,
    "api-review-detail": _LOOK,
    "api-review-close": Rule(VIEWER, acts=APPROVER, reads=False),
    "api-delivery-list": machinery(),
    "api-delivery-detail": machinery(),
    "api-delivery-replay": machinery(acts=ADMIN, reads=False),
    "api-upstream-list": machinery(),
    "api-upstream-detail": machinery(),
}
# Django's administration has one rule for all its addresses, whatever their names.
ADMINISTRATION = "admin:"
# Sockets, by their path: who is let in. What each one then hears is in tests/live.
SOCKETS: dict[str, Level] = {"live/": OUTSIDER}
