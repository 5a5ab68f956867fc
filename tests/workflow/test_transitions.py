"""The one writer of a promotion's status: what may follow what, and what is written with it."""

from __future__ import annotations

import itertools

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from promotions.choices import OPEN_STATUSES, PromotionStatus
from promotions.models import Announcement, AuditEntry, Promotion
from promotions.workflow import StaleState, transition
from tests import cast

S = PromotionStatus
ALLOWED = {
    S.REQUESTED: {S.APPROVED, S.REJECTED, S.ABORTED, S.SUPERSEDED},
    S.APPROVED: {S.RUNNING, S.REQUESTED, S.ABORTED, S.SUPERSEDED, S.ERRORED},
    S.RUNNING: {S.SUCCEEDED, S.FAILED, S.ERRORED, S.ABORTED, S.REQUESTED, S.SUPERSEDED},
    S.FAILED: {S.RUNNING, S.APPROVED},
    S.ERRORED: {S.RUNNING, S.APPROVED},
}
PAIRS = list(itertools.product(S, S))


def promotion_in(status: str, catalogue: cast.Catalogue, people: cast.People) -> Promotion:
    finished = None if status in OPEN_STATUSES else timezone.now()
    return cast.make_promotion(catalogue, people.requester, status=status, finished_at=finished)


def test_every_pair_of_statuses_is_allowed_or_refused_as_the_table_says(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    for before, after in PAIRS:
        promotion = promotion_in(before, catalogue, people)
        if after in ALLOWED.get(before, set()):
            transition(promotion, after, by=None)
            promotion.refresh_from_db()
            assert promotion.status == after
            assert (promotion.finished_at is None) == (after in OPEN_STATUSES)
        else:
            with pytest.raises(ValueError, match="can't go from"):
                transition(promotion, after, by=None)
            promotion.refresh_from_db()
            assert promotion.status == before
        promotion.delete()


def test_nothing_leaves_a_final_status() -> None:
    assert {S.SUCCEEDED, S.REJECTED, S.ABORTED, S.SUPERSEDED}.isdisjoint(ALLOWED)


def test_a_transition_leaves_an_audit_row_with_the_change_it_was_about(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    promotion = promotion_in(S.REQUESTED, catalogue, people)
    transition(promotion, S.APPROVED, by=people.approver, message="Go.")
    (entry,) = AuditEntry.objects.filter(promotion=promotion)
    assert (entry.action, entry.actor_name, entry.change_hash) == (
        "promotion.approved",
        "Ada Weber",
        cast.HASH,
    )
    assert entry.data == {"before": "requested", "after": "approved", "message": "Go."}


def test_audit_row_and_status_stand_or_fall_together(catalogue: cast.Catalogue, people: cast.People) -> None:
    promotion = promotion_in(S.REQUESTED, catalogue, people)

    with transaction.atomic():
        transition(promotion, S.APPROVED, by=people.approver)
        assert AuditEntry.objects.count() == 1
        transaction.set_rollback(True)
    promotion.refresh_from_db()
    assert promotion.status == S.REQUESTED
    assert not AuditEntry.objects.exists()


def test_who_saw_an_older_status_is_told_and_changes_nothing(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    promotion = promotion_in(S.REQUESTED, catalogue, people)
    seen = Promotion.objects.get(pk=promotion.pk)
    transition(promotion, S.REJECTED, by=people.approver)
    with pytest.raises(StaleState, match="no longer waiting for approval"):
        transition(seen, S.APPROVED, by=people.admin)
    assert list(AuditEntry.objects.values_list("action", flat=True)) == ["promotion.rejected"]


def test_the_database_itself_refuses_a_second_open_promotion_and_an_impossible_row(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    promotion = promotion_in(S.REQUESTED, catalogue, people)
    wrong = (
        lambda: cast.make_promotion(catalogue, people.requester),
        lambda: Promotion.objects.filter(pk=promotion.pk).update(status="done"),
        lambda: Promotion.objects.filter(pk=promotion.pk).update(finished_at=timezone.now()),
        lambda: Promotion.objects.filter(pk=promotion.pk).update(status=S.FAILED),
    )
    for act in wrong:
        with pytest.raises(IntegrityError), transaction.atomic():
            act()


def test_a_transition_is_announced_to_every_page_that_shows_it_after_the_commit_only(
    transactional_db: None, catalogue: cast.Catalogue, people: cast.People
) -> None:
    promotion = promotion_in(S.REQUESTED, catalogue, people)
    with transaction.atomic():
        transition(promotion, S.APPROVED, by=people.approver)
        assert not Announcement.objects.exists()
    stage = str(catalogue.production.pk)
    told = set(Announcement.objects.values_list("fragment", "key", "application_id"))
    application = catalogue.application.pk
    assert told >= {
        ("promotion", str(promotion.pk), application),
        ("cell", stage, application),
        ("stage", stage, application),
    }


def test_a_failing_announcement_does_not_undo_or_hide_what_was_committed(
    transactional_db: None, catalogue: cast.Catalogue, people: cast.People
) -> None:
    promotion = promotion_in(S.REQUESTED, catalogue, people)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE promotions_announcement RENAME TO away")
    try:
        transition(promotion, S.APPROVED, by=people.approver)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE away RENAME TO promotions_announcement")
    promotion.refresh_from_db()
    assert promotion.status == S.APPROVED
