"""The chain: one, however many write at once; refused to be changed; every tampering found with its place."""

from __future__ import annotations

import threading
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from promotions.audit import chain
from promotions.audit.verify import verify
from promotions.models import AuditEntry, AuditHead
from promotions.workflow import record
from tests.audit.conftest import Tamper, without_triggers

TABLE = "promotions_auditentry"


def findings(anchor: str = "") -> list[str]:
    return [str(finding) for finding in verify(anchor).findings]


def test_entries_are_numbered_without_gaps_and_each_names_the_one_before(trail: list[AuditEntry]) -> None:
    assert [entry.number for entry in trail] == list(range(1, 11))
    hashes = [chain.START, *(entry.hash for entry in trail)]
    assert [entry.previous_hash for entry in trail] == hashes[:-1]
    head = AuditHead.objects.get()
    assert (head.number, head.hash) == (10, hashes[-1])
    assert findings() == []


def test_what_is_rolled_back_leaves_no_gap(trail: list[AuditEntry]) -> None:
    with transaction.atomic():
        record("thing.undone", subject="x", by=None)
        transaction.set_rollback(True)
    record("thing.done", subject="y", by=None)
    newest = AuditEntry.objects.latest("id")
    assert (newest.number, newest.id > trail[-1].id + 1) == (11, True)
    assert findings() == []


@pytest.mark.parametrize(
    "data",
    [
        {"deep": {"b": [1, None, True, {"ü": "\0\ud800"}], "a": 2**80}},
        {"floats": [1.0, 1e22, float("nan"), 0.1]},
        {"reason": "a\r\nb\tc\\ \u2028 😀 " * 500},
        {"set": {"x"}, "tuple": (1, 2), "object": object},
        {},
    ],
)
def test_whatever_is_recorded_reads_back_as_it_was_hashed(
    trail: list[AuditEntry], data: dict[str, object]
) -> None:
    record("thing.odd", subject="odd\0" * 100, by=None, **data)
    assert findings() == []


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE {TABLE} SET reason = 'better' WHERE number = 3",
        f"UPDATE {TABLE} SET actor_id = NULL",
        f"UPDATE {TABLE} SET number = NULL WHERE number = 10",
        f"DELETE FROM {TABLE} WHERE number = 10",
        f"TRUNCATE {TABLE}",
        "UPDATE promotions_audithead SET number = 9",
        "UPDATE promotions_audithead SET hash = repeat('0', 64)",
        "DELETE FROM promotions_audithead",
        "TRUNCATE promotions_audithead",
    ],
)
def test_the_database_refuses_every_change(trail: list[AuditEntry], statement: str) -> None:
    with pytest.raises(IntegrityError, match=r"never changed|only moves on"), connection.cursor() as cursor:
        cursor.execute(statement)
    assert findings() == []


def test_an_entry_can_not_be_changed_in_the_transaction_that_wrote_it_either(trail: list[AuditEntry]) -> None:
    def write_and_change() -> None:
        with transaction.atomic():
            record("thing.done", subject="x", by=None)
            AuditEntry.objects.filter(number=None).update(subject="y")

    with pytest.raises(IntegrityError, match="never changed"):
        write_and_change()


def test_nobody_can_give_an_entry_a_place_by_hand(trail: list[AuditEntry]) -> None:
    with pytest.raises(IntegrityError, match="never changed"):
        AuditEntry.objects.create(actor_name="a", action="x", subject="y", number=99, hash="0" * 64)


def test_an_entry_that_does_not_say_who_or_from_where_is_refused(trail: list[AuditEntry]) -> None:
    """Whatever is recorded anywhere in the product: the database itself holds it to this."""
    whole = {"actor_name": "a", "action": "b", "via": "page", "address": "c"}
    for name in whole:
        with pytest.raises(IntegrityError, match="audit_says_who_what_and_from_where"):
            AuditEntry.objects.create(**{**whole, name: ""})


TAMPERINGS = {
    "a changed letter": (
        f"UPDATE {TABLE} SET reason = replace(reason, 'R', 'S') WHERE number = 4",
        ["4: Its content was changed after it was written"],
    ),
    "a changed hash of the content": (
        f"UPDATE {TABLE} SET content_hash = repeat('1', 64) WHERE number = 4",
        ["4: Its content was changed", "4: Its hash does not fit its place"],
    ),
    "another person": (f"UPDATE {TABLE} SET actor_id = 1 WHERE number = 10", ["10: Its content was changed"]),
    "a removed row": (f"DELETE FROM {TABLE} WHERE number = 5", ["5: Entry 5 of the chain was removed."]),
    "removed rows": (
        f"DELETE FROM {TABLE} WHERE number BETWEEN 5 AND 7",
        ["5: The entries 5 to 7 of the chain were removed."],
    ),
    "a removed start": (f"DELETE FROM {TABLE} WHERE number = 1", ["1: Entry 1 of the chain was removed."]),
    "a cut tail": (
        f"DELETE FROM {TABLE} WHERE number > 8",
        ["9: The entries 9 to 10 of the chain were removed."],
    ),
    "everything gone": (f"DELETE FROM {TABLE}", ["1: The entries 1 to 10 of the chain were removed."]),
    "a swapped pair": (
        f"UPDATE {TABLE} a SET number = -b.number, hash = b.hash, previous_hash = b.previous_hash"
        f" FROM {TABLE} b WHERE a.number + b.number = 7 AND a.number IN (3, 4);"
        f" UPDATE {TABLE} SET number = -number WHERE number < 0",
        ["3: Its hash does not fit its place", "4: Its hash does not fit its place"],
    ),
    "swapped contents": (
        f"UPDATE {TABLE} a SET subject = b.subject, reason = b.reason"
        f" FROM {TABLE} b WHERE a.number + b.number = 7 AND a.number IN (3, 4)",
        ["3: Its content was changed", "4: Its content was changed"],
    ),
    "a head that is gone": ("DELETE FROM promotions_audithead", ["The head of the chain was removed"]),
    "a head put back": (
        f"UPDATE promotions_audithead SET number = 8, hash = (SELECT hash FROM {TABLE} WHERE number = 8)",
        ["9: Entries stand behind the head of the chain"],
    ),
    "a row written around the trigger": (
        f"INSERT INTO {TABLE} (at, actor_username, actor_name, via, address, client, action, subject, reason,"
        " application, environment, tag, digest, commit, manifest_commit, change_hash, data, content_hash,"
        " previous_hash, hash) VALUES"
        " (now(), '', 'a', 'page', 'b', '', 'x', '', '', '', '', '', '', '', '', '', '{}', '', '', '')",
        ["Entry "],
    ),
}


@pytest.mark.parametrize("case", TAMPERINGS)
def test_a_tampering_is_found_and_its_place_told(tamper: Tamper, case: str) -> None:
    statement, expected = TAMPERINGS[case]
    tamper(statement)
    found = findings()
    assert len(found) == len(expected), found
    for said, beginning in zip(found, expected, strict=True):
        assert said.startswith(beginning)


def test_triggers_that_are_switched_off_are_told(trail: list[AuditEntry]) -> None:
    with without_triggers("audit_refuse_truncate", "audit_refuse_head_truncate"):
        found = findings()
    assert [finding.split(" of ")[0] for finding in found] == [
        "The trigger audit_refuse_truncate",
        "The trigger audit_refuse_head_truncate",
    ]


def test_a_chain_rewritten_with_its_head_is_only_found_by_a_hash_noted_elsewhere(
    trail: list[AuditEntry], tamper: Tamper
) -> None:
    """The limit of what a database can prove about itself (docs/adr/0005-audit-chain.md)."""
    noted = trail[-1].hash
    tamper(f"DELETE FROM {TABLE} WHERE number > 8")
    tamper(f"UPDATE promotions_audithead SET number = 8, hash = '{trail[7].hash}'")
    assert findings() == []
    assert findings(trail[7].hash) == []
    (found,) = findings(noted)
    assert "cut off or rewritten" in found


def test_the_command_says_that_all_is_well_or_fails_and_says_where(
    trail: list[AuditEntry], tamper: Tamper
) -> None:
    out = StringIO()
    call_command("verify_audit", "--head", trail[4].hash.upper(), stdout=out)
    assert out.getvalue() == f"10 entries are as they were written; head 10 {trail[-1].hash}\n"
    tamper(f"DELETE FROM {TABLE} WHERE number = 5")
    with pytest.raises(CommandError, match="1 findings in 9 entries"):
        call_command("verify_audit", stdout=out)
    assert "5: Entry 5 of the chain was removed." in out.getvalue()


def test_people_who_write_at_once_make_one_chain(trail: list[AuditEntry]) -> None:
    start, errors = threading.Barrier(6), []

    def write(name: int) -> None:
        try:
            start.wait(10)
            for number in range(10):
                with transaction.atomic():
                    record("thing.done", subject=f"{name}/{number}/a", by=None)
                    record("thing.done", subject=f"{name}/{number}/b", by=None)
        except Exception as error:  # noqa: BLE001
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=[name]) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert AuditHead.objects.get().number == 130
    assert findings() == []


def test_two_transactions_that_record_first_and_lock_afterwards_do_not_block_each_other(
    trail: list[AuditEntry],
) -> None:
    """The chain is locked at the commit: a transaction that recorded something holds nobody up before."""
    recorded, other_done = threading.Event(), threading.Event()

    def long_one() -> None:
        with transaction.atomic():
            record("thing.slow", subject="slow", by=None)
            recorded.set()
            assert other_done.wait(10)
        connection.close()

    thread = threading.Thread(target=long_one)
    thread.start()
    assert recorded.wait(10)
    record("thing.fast", subject="fast", by=None)
    other_done.set()
    thread.join(20)
    newest = AuditEntry.objects.order_by("-number").values_list("action", flat=True)[:2]
    assert list(newest) == ["thing.slow", "thing.fast"]
    assert findings() == []
