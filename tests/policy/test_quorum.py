"""No sequence of acts brings a promotion to running without the quorum of its Environment."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from promotions import engine, governing, operations
from promotions.choices import Decision, PromotionStatus, Role
from promotions.manifests import Change
from promotions.models import (
    Approval,
    AuditEntry,
    Connection,
    Environment,
    FreezeException,
    FreezeWindow,
    ImageVersion,
    Lock,
    Promotion,
    RoleGrant,
    VersionBlock,
)
from promotions.policy import Refused
from promotions.policy.access import holds
from promotions.workflow import StaleState
from tests import cast

NAMES = ("requester", "approver", "second", "viewer", "admin")
HASHES = ("a" * 64, "b" * 64)
Act = Callable[[Promotion], None]
PRESENT = ""
# Frozen since before this century and for longer than the next.
ALWAYS = {"begins_at": "1999-01-01T00:00", "ends_at": "2199-01-01T00:00"}
# What leads on is likelier than what stops: a promotion that was aborted tells nothing more.
LIKELY = (
    "approve",
    "approve",
    "approve",
    "advance",
    "advance",
    "change moves",
    "retry",
    "lose role",
    "leave",
)
GOVERNED = ("lock", "lift", "freeze", "thaw", "except", "block", "unblock", "expire")
RARE = (*GOVERNED, "reject", "abort", "gain role", "ask for more", "image is deleted", "image is back")
acts = st.one_of(
    st.tuples(st.sampled_from(LIKELY), st.sampled_from(("approver", "second")), st.just(PRESENT)),
    st.tuples(st.sampled_from(LIKELY), st.sampled_from(("approver", "second")), st.just(PRESENT)),
    st.tuples(st.sampled_from(LIKELY + RARE), st.sampled_from(NAMES), st.sampled_from((PRESENT, *HASHES))),
)


def person(name: str) -> User:
    return User.objects.get(username=name)


def do(act: str, name: str, change_hash: str, promotion: Promotion) -> None:
    """Do one thing, as a page, a worker, an administrator or another system would."""
    by = person(name)
    change_hash = change_hash or promotion.change_hash
    doing: dict[str, Callable[[], object]] = {
        "approve": lambda: operations.approve(promotion, by=by, change_hash=change_hash),
        "reject": lambda: operations.reject(promotion, by=by, change_hash=change_hash, comment="no"),
        "abort": lambda: operations.abort(promotion, by=by, reason=""),
        "retry": lambda: operations.retry(promotion, by=by),
        "advance": lambda: engine.advance(promotion.pk),
        "change moves": lambda: change_moves(promotion),
        "lose role": lambda: RoleGrant.objects.filter(user=by).delete(),
        "gain role": lambda: RoleGrant.objects.get_or_create(user=by, role=Role.APPROVER),
        "leave": lambda: User.objects.filter(pk=by.pk).update(is_active=False),
        "ask for more": lambda: Environment.objects.update(required_approvals=2),
        "image is deleted": lambda: ImageVersion.objects.update(missing_since=timezone.now()),
        "image is back": lambda: ImageVersion.objects.update(missing_since=None),
        "lock": lambda: Lock.objects.get_or_create(lifted_at=None, defaults={"reason": "x"}),
        "lift": lambda: Lock.objects.update(lifted_at=timezone.now()),
        "freeze": lambda: FreezeWindow.objects.get_or_create(slug="all", defaults=ALWAYS),
        "thaw": lambda: FreezeWindow.objects.all().delete(),
        "except": lambda: governing.except_from_freeze(
            promotion, by=by, change_hash=change_hash, reason="now"
        ),
        "block": lambda: governing.block(promotion.version, by=by, reason="bad"),
        "unblock": lambda: governing.unblock(promotion.version, by=by, reason="good"),
        "expire": lambda: Approval.objects.update(at=timezone.now() - timedelta(hours=3)),
    }
    with contextlib.suppress(Refused, StaleState):
        doing[act]()


def change_moves(promotion: Promotion) -> None:
    """The branch moved so that the change is another one; it is noticed while waiting and when writing."""
    if promotion.status in (PromotionStatus.REQUESTED, PromotionStatus.RUNNING):
        other = HASHES[promotion.change_hash == HASHES[0]]
        change = Change(edits=(), files={}, diff="", hash=other)
        engine.replace_change(promotion, "c" * 40, change)


def begun() -> int:
    return AuditEntry.objects.filter(action="promotion.running").count()


def quorum_holds(promotion: Promotion) -> bool:
    """Count anew, from the rows alone: nothing of the policy's own code but the meaning of a role."""
    standing = Approval.objects.filter(
        at__gt=timezone.now() - timedelta(hours=2),
        promotion=promotion,
        decision=Decision.APPROVED,
        fallen_at=None,
        change_hash=promotion.change_hash,
    ).exclude(person=promotion.requested_by)
    people = {
        each.person_id
        for each in standing
        if each.person is not None and holds(each.person, Role.APPROVER, promotion.stage)
    }
    return len(people) >= Environment.objects.get(pk=promotion.stage.environment_id).required_approvals


def nothing_is_closed(promotion: Promotion) -> bool:
    """Read anew: no lock, no mark, no freeze without an exception for this very change."""
    exception = FreezeException.objects.filter(promotion=promotion).first()
    excepted = (
        exception is not None
        and exception.change_hash == promotion.change_hash
        and exception.person is not None
        and holds(exception.person, Role.APPROVER, promotion.stage)
        and exception.person != promotion.requested_by
    )
    return (
        not Lock.objects.filter(lifted_at=None).exists()
        and not VersionBlock.objects.filter(version=promotion.version, lifted_at=None).exists()
        and (excepted or not FreezeWindow.objects.exists())
    )


@pytest.fixture
def ready(catalogue: cast.Catalogue, people: cast.People) -> cast.Catalogue:
    User.objects.create_user("second")
    RoleGrant.objects.create(user=person("second"), role=Role.APPROVER, application=catalogue.application)
    # Writing ends at once: what counts here is whether it was begun.
    Connection.objects.update(secret="env:A_SECRET_THAT_NOBODY_SET")
    return catalogue


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(required=st.integers(1, 2), sequence=st.lists(acts, min_size=3, max_size=12))
def test_no_sequence_of_acts_runs_a_promotion_without_its_quorum(
    ready: cast.Catalogue, required: int, sequence: list[tuple[str, str, str]]
) -> None:
    with transaction.atomic():
        Environment.objects.update(required_approvals=required, policy={"approvals_expire": 120})
        made = cast.make_promotion(ready, person("requester"), change_hash=HASHES[0])
        for act, name, change_hash in sequence:
            before = begun()
            promotion = Promotion.objects.select_related("stage__environment", "version__image").get(
                pk=made.pk
            )
            do(act, name, change_hash, promotion)
            promotion = Promotion.objects.select_related("stage").get(pk=made.pk)
            note(f"{act} {name} {change_hash[:1]}: {promotion.status} ({promotion.message})")
            if begun() > before:
                assert quorum_holds(promotion)
                assert nothing_is_closed(promotion)
                assert promotion.version.missing_since is None
        transaction.set_rollback(True)


def test_the_sequences_are_able_to_run_one(ready: cast.Catalogue) -> None:
    """The property above would hold for a product that never runs anything."""
    made = cast.make_promotion(ready, person("requester"), change_hash=HASHES[0])
    for act, name in (("approve", "approver"), ("advance", "admin")):
        do(act, name, HASHES[0], Promotion.objects.get(pk=made.pk))
    assert begun() == 1
    made.refresh_from_db()
    assert made.status == PromotionStatus.ERRORED
    assert "A_SECRET_THAT_NOBODY_SET" in made.message
