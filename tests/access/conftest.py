"""Scenario A with one of everything, seen by everybody; GitLab answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from promotions import operations
from promotions.choices import DeliveryOutcome
from promotions.models import ApiToken, AuditEntry, Residence, Stage
from promotions.tokens import issue_token, service_account
from promotions.workflow import record
from tests import cast
from tests.access.rules import Level
from tests.api.conftest import catalogue, gitlab, people
from tests.integrations.loopback import Loopback

__all__ = ["catalogue", "gitlab", "people"]


@dataclass
class World:
    """What addresses speak of, and what is said when something is posted there."""

    catalogue: cast.Catalogue
    people: cast.People
    visitor: User | None
    token: ApiToken | None
    arguments: dict[str, tuple[object, ...]]
    bodies: dict[str, dict[str, Any]]

    def client(self) -> Client:
        client = Client()
        if self.visitor is not None:
            client.force_login(self.visitor)
        return client

    def url(self, name: str) -> str:
        """Return the route's address; a route with arguments that nobody gave here fails."""
        default: tuple[object, ...] = ()
        for prefix, arguments in self.arguments.items():
            if name == prefix or (prefix.endswith("*") and name.startswith(prefix[:-1])):
                default = arguments
                break
        asks = name in ("api-stage-preview", "api-stage-roll-back")
        query = f"?version={self.catalogue.newer.pk}" if asks else ""
        return reverse(name, args=default) + query

    def post(self, name: str, client: Client) -> Any:
        body = self.bodies.get(name, {})
        if name.startswith("api-"):
            return client.post(self.url(name), body, content_type="application/json")
        return client.post(self.url(name), body)


def visitor(level: Level, people: cast.People) -> User | None:
    order = (None, people.outsider, people.viewer, people.requester, people.approver, people.admin)
    return order[level]


@pytest.fixture
def world(level: Level, catalogue: cast.Catalogue, people: cast.People, gitlab: Loopback) -> World:
    """The promotion was asked for by somebody who plays no other part: nobody approves their own."""
    somebody = User.objects.create_user("somebody")
    who = visitor(level, people)
    token = issue_token(who, name="own", by=who)[0] if who else None
    service = issue_token(service_account("ci"), name="ci", by=people.admin, is_service=True)[0]
    waiting = cast.make_promotion(catalogue, somebody)
    record("promotion.requested", subject=waiting, by=somebody, promotion=waiting)
    entry = AuditEntry.objects.get(promotion=waiting)
    # What ran in production before can be rolled back to; glass that a stranger broke waits for review.
    Residence.objects.create(stage=catalogue.production, version=catalogue.newer)
    review = cast.make_review(waiting, somebody)
    run = cast.make_run(catalogue)
    log = run.task_runs.get(task="build").logs.get()
    delivery = cast.make_delivery(catalogue, outcome=DeliveryOutcome.FAILED)
    upstream = cast.make_upstream(catalogue.gitlab, "branch")
    slug = catalogue.application.slug
    arguments: dict[str, tuple[object, ...]] = {
        "oidc-*": ("nobody",),
        "application": (slug,),
        "stage-access": (slug, "production"),
        "candidates": (slug, "production"),
        "promote": (slug, "production", catalogue.newer.pk),
        "promote-break-glass": (slug, "production", catalogue.newer.pk),
        "stage-history": (slug, "production"),
        "stage-roll-back": (slug, "production", catalogue.newer.pk),
        "review-close": (review.pk,),
        "promotion": (waiting.pk,),
        "promotion-*": (waiting.pk,),
        "run": (run.pk,),
        "run-log": (run.pk, log.pk),
        "delivery": (delivery.pk,),
        "audit-entry": (entry.pk,),
        "audit-export": ("csv",),
        "token-revoke": (token.pk if token else 1,),
        "service-token-revoke": (service.pk,),
        "api-application-detail": (slug,),
        "api-environment-detail": ("production",),
        "api-stage-list": (),
        "api-stage-*": (catalogue.production.pk,),
        "api-version-detail": (catalogue.newer.pk,),
        "api-promotion-list": (),
        "api-promotion-*": (waiting.pk,),
        "api-review-list": (),
        "api-review-*": (review.pk,),
        "api-run-detail": (run.pk,),
        "api-run-logs": (run.pk, log.pk),
        "api-delivery-list": (),
        "api-delivery-*": (delivery.pk,),
        "api-upstream-detail": (upstream.pk,),
        "api-audit-detail": (entry.pk,),
    }
    return World(catalogue, people, who, token, arguments, bodies(catalogue))


def bodies(catalogue: cast.Catalogue) -> dict[str, dict[str, Any]]:
    # Read anew: GitLab got its address after the catalogue was made.
    seen = operations.preview(Stage.objects.get(pk=catalogue.production.pk), catalogue.newer, None).change
    assert seen is not None
    token = {"name": "new", "scopes": ["read"], "days": 7}
    stage, version = catalogue.production.pk, catalogue.newer.pk
    glass = {"gates": ["freeze"], "reason": "Now", "confirm": str(catalogue.production)}
    return {
        "promotion-break-glass": {**glass, "seen_hash": cast.HASH},
        "promote-break-glass": {**glass, "seen_hash": seen.hash},
        "stage-roll-back": {"seen_hash": seen.hash, "reason": "Back"},
        "review-close": {"comment": "Fine"},
        "api-promotion-break-glass": {**glass, "change_hash": cast.HASH},
        "api-stage-break-glass": {**glass, "version": version},
        "api-stage-roll-back": {"version": version, "reason": "Back"},
        "api-review-close": {"comment": "Fine"},
        "promote": {"seen_hash": seen.hash, "reason": "Go"},
        "promotion-approve": {"seen_hash": cast.HASH},
        "promotion-reject": {"seen_hash": cast.HASH, "comment": "No"},
        "promotion-abort": {"reason": "No"},
        "promotion-roll-back": {"seen_hash": seen.hash, "reason": "Back"},
        "token-make": token,
        "service-token-make": {**token, "account": "new"},
        "api-promotion-list": {"stage": stage, "version": version, "reason": "Go"},
        "api-promotion-approve": {"change_hash": cast.HASH},
        "api-promotion-reject": {"change_hash": cast.HASH, "comment": "No"},
        "api-promotion-abort": {"reason": "No"},
        "api-promotion-roll-back": {"reason": "Back"},
    }


def prepare(name: str, world: World) -> None:
    """Bring the promotion to where the act makes sense."""
    promotion = world.catalogue.production.promotions.get()
    if name in ("promote", "promote-break-glass", "api-stage-break-glass", "api-promotion-list"):
        promotion.status = "rejected"
    elif name.endswith("retry"):
        promotion.status, promotion.step = "failed", "write"
        promotion.approvals.create(
            person=world.people.approver, person_name="Ada", decision="approved", change_hash=cast.HASH
        )
    elif name.endswith("roll-back"):
        # What runs now is what was promoted; the version before it is what comes back.
        promotion.status, promotion.target_commit = "succeeded", "b" * 40
        promotion.from_version = world.catalogue.newer
    else:
        return
    promotion.finished_at = timezone.now()
    promotion.save()
