"""Scenario A with one of everything, seen by everybody; GitLab answers."""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from promotions import operations
from promotions.choices import DeliveryOutcome
from promotions.models import (
    ApiToken,
    AuditEntry,
    Environment,
    FreezeWindow,
    Lock,
    NotificationChannel,
    Pin,
    Release,
    Residence,
    Stage,
)
from promotions.models.release import hash_of
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
    cookies: SimpleCookie

    def client(self) -> Client:
        """Return a browser of the visitor, who signed in before: what it sets stays in it."""
        client = Client()
        client.cookies = SimpleCookie(self.cookies.output(header="", sep=";"))
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
    # Only what is promoted automatically can be pinned.
    Stage.objects.filter(pk=catalogue.production.pk).update(promote="automatically")
    who = visitor(level, people)
    token = issue_token(who, name="own", by=who)[0] if who else None
    arguments = {
        **of_people(people, token),
        **of_catalogue(catalogue),
        **of_promotions(catalogue, somebody),
        **of_releases(catalogue, somebody),
        **of_governance(catalogue),
        **of_machinery(catalogue),
    }
    browser = Client()
    if who is not None:
        browser.force_login(who)
    return World(catalogue, people, who, token, arguments, bodies(catalogue), browser.cookies)


Arguments = dict[str, tuple[object, ...]]


def of_people(people: cast.People, token: ApiToken | None) -> Arguments:
    service = issue_token(service_account("ci"), name="ci", by=people.admin, is_service=True)[0]
    return {
        "oidc-*": ("nobody",),
        "token-revoke": (token.pk if token else 1,),
        "service-token-revoke": (service.pk,),
    }


def of_catalogue(catalogue: cast.Catalogue) -> Arguments:
    slug, newer = catalogue.application.slug, catalogue.newer.pk
    # What ran in production before can be rolled back to.
    Residence.objects.create(stage=catalogue.production, version=catalogue.newer)
    return {
        "promote-break-glass": (slug, "production", newer),
        "stage-history": (slug, "production"),
        "stage-roll-back": (slug, "production", newer),
        "application": (slug,),
        "stage-access": (slug, "production"),
        "candidates": (slug, "production"),
        "stage-pin": (slug, "production"),
        "promote": (slug, "production", newer),
        "version-block": (newer,),
        "api-application-detail": (slug,),
        "api-environment-detail": ("production",),
        "api-stage-list": (),
        "api-stage-may": (catalogue.production.pk, newer),
        "api-stage-*": (catalogue.production.pk,),
        "api-version-list": (),
        "api-version-*": (newer,),
    }


def of_promotions(catalogue: cast.Catalogue, somebody: User) -> Arguments:
    waiting = cast.make_promotion(catalogue, somebody)
    NotificationChannel.objects.create(slug="direct", url="env:NOWHERE", personal="username")
    record("promotion.requested", subject=waiting, by=somebody, promotion=waiting)
    entry = AuditEntry.objects.get(promotion=waiting)
    # Glass that a stranger broke waits for review.
    review = cast.make_review(waiting, somebody)
    return {
        "review-close": (review.pk,),
        "api-review-list": (),
        "api-review-*": (review.pk,),
        "promotion": (waiting.pk,),
        "promotion-*": (waiting.pk,),
        "audit-entry": (entry.pk,),
        "audit-export": ("csv",),
        "api-promotion-list": (),
        "api-promotion-checks": (waiting.pk, "tests"),
        "api-promotion-*": (waiting.pk,),
        "api-audit-detail": (entry.pk,),
    }


def of_releases(catalogue: cast.Catalogue, somebody: User) -> Arguments:
    # What it brought is in the past; who may see the application may see it.
    release = cast.make_member(catalogue, somebody).release
    assert release
    return {
        "release-new": (),
        "release": (release.pk,),
        "release-*": (release.pk,),
        "api-release-list": (),
        "api-release-preview": (),
        "api-release-*": (release.pk,),
    }


def of_governance(catalogue: cast.Catalogue) -> Arguments:
    # A lock that holds nothing up here.
    lock = Lock.objects.create(
        application=catalogue.application,
        environment=catalogue.dev.environment,
        reason="An incident",
        set_by_name="Ada Weber",
    )
    return {"lock-lift": (lock.pk,), "api-lock-list": (), "api-lock-*": (lock.pk,)}


def of_machinery(catalogue: cast.Catalogue) -> Arguments:
    run = cast.make_run(catalogue)
    log = run.task_runs.get(task="build").logs.get()
    delivery = cast.make_delivery(catalogue, outcome=DeliveryOutcome.FAILED)
    upstream = cast.make_upstream(catalogue.gitlab, "branch")
    return {
        "run": (run.pk,),
        "run-log": (run.pk, log.pk),
        "delivery": (delivery.pk,),
        "api-run-detail": (run.pk,),
        "api-run-logs": (run.pk, log.pk),
        "api-delivery-list": (),
        "api-delivery-*": (delivery.pk,),
        "api-upstream-detail": (upstream.pk,),
    }


def bodies(catalogue: cast.Catalogue) -> dict[str, dict[str, Any]]:
    # Read anew: GitLab got its address after the catalogue was made.
    seen = operations.preview(Stage.objects.get(pk=catalogue.production.pk), catalogue.newer, None).change
    assert seen is not None
    token = {"name": "new", "scopes": ["read"], "days": 7}
    stage, version = catalogue.production.pk, catalogue.newer.pk
    place = {"application": catalogue.application.slug, "environment": "production", "reason": "Halt"}
    item = {"stage": stage, "version": version}
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
        "release-new": {
            f"stage-{stage}": version,
            "name": "November",
            "reason": "Go",
            "seen_hash": hash_of([(stage, version, seen.hash)]),
        },
        "release-reject": {"comment": "No"},
        "release-freeze-exception": {"reason": "A security hole"},
        "api-release-freeze-exception": {"reason": "A security hole"},
        "release-abort": {"reason": "No"},
        "release-roll-back": {"reason": "Back", "seen_hash": hash_of([(stage, version, seen.hash)])},
        "api-release-list": {"items": [item], "name": "November", "reason": "Go"},
        "api-release-preview": {"items": [item]},
        "api-release-reject": {"comment": "No"},
        "api-release-abort": {"reason": "No"},
        "api-release-roll-back": {"reason": "Back"},
        "lock": place,
        "lock-lift": {"reason": "Over"},
        "version-block": {"reason": "Loses data", "act": "block"},
        "promotion-freeze-exception": {"seen_hash": cast.HASH, "reason": "A security hole"},
        "promote": {"seen_hash": seen.hash, "reason": "Go"},
        "stage-pin": {"act": "pin", "version": version, "reason": "Stay"},
        "promotion-approve": {"seen_hash": cast.HASH},
        "promotion-reject": {"seen_hash": cast.HASH, "comment": "No"},
        "promotion-abort": {"reason": "No"},
        "promotion-roll-back": {"seen_hash": seen.hash, "reason": "Back"},
        "notifications": {"direct-events": ["failed"]},
        "token-make": token,
        "service-token-make": {**token, "account": "new"},
        "api-promotion-list": {"stage": stage, "version": version, "reason": "Go"},
        "api-stage-pin": {"version": version, "reason": "Stay"},
        "api-stage-unpin": {"reason": "Go on"},
        "api-promotion-approve": {"change_hash": cast.HASH},
        "api-promotion-reject": {"change_hash": cast.HASH, "comment": "No"},
        "api-promotion-abort": {"reason": "No"},
        "api-promotion-freeze-exception": {"change_hash": cast.HASH, "reason": "A security hole"},
        "api-promotion-checks": {"state": "passed"},
        "api-lock-list": place,
        "api-lock-lift": {"reason": "Over"},
        "api-version-block": {"reason": "Loses data"},
        "api-version-unblock": {"reason": "Mended"},
        "api-promotion-roll-back": {"reason": "Back"},
    }


REQUESTS = (
    "promote",
    "promote-break-glass",
    "api-stage-break-glass",
    "api-promotion-list",
    "release-new",
    "api-release-list",
)


def prepare(name: str, world: World) -> None:
    """Bring the promotion to where the act makes sense."""
    promotion = world.catalogue.production.promotions.get()
    if "release-" in name and not name.endswith(("-new", "-list")):
        promotion.release = Release.objects.get()
        if name.endswith("roll-back"):
            # The version before it is what comes back: here the one whose change the bodies know.
            promotion.version, promotion.from_version = world.catalogue.old, world.catalogue.newer
        promotion.save()
        whole = promotion.release.change_hash
        if name.endswith("freeze-exception"):
            FreezeWindow.objects.create(slug="fair", starts="0 0 * * *", lasts=24 * 60)
        if name in ("release-approve", "release-reject", "release-freeze-exception"):
            world.bodies.setdefault(name, {})["seen_hash"] = whole
        elif name.endswith(("-approve", "-reject", "-freeze-exception")):
            world.bodies.setdefault(name, {})["change_hash"] = whole
    if name == "api-version-unblock":
        world.catalogue.newer.blocks.create(reason="Loses data", set_by_name="Ada Weber")
    if name == "api-promotion-checks":
        rule = {"name": "tests", "url": "", "secret": "", "group": ""}
        Environment.objects.filter(slug="production").update(policy={"checks": [rule]})
    if name.endswith("unpin"):
        Pin.objects.create(
            stage=world.catalogue.production, version=world.catalogue.old, reason="Stay", set_by_name="Ada"
        )
        return
    if name in REQUESTS:
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
