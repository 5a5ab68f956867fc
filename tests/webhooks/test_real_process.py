"""Processes that are killed at the worst moment lose nothing that was answered 2xx."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from django.db import connection, transaction
from procrastinate.contrib.django.models import ProcrastinateJob

from promotions.bootstrap.stack import web_command
from promotions.choices import DeliveryOutcome, Vendor
from promotions.models import Delivery, WebhookSource
from promotions.webhooks import processing
from tests import cast
from tests.system import ROOT, free_port, wait_for
from tests.webhooks.conftest import SECRET, fixture_body, make_source, post

PROCESS = (
    "import django; django.setup(); from promotions.webhooks import processing; processing.process_pending()"
)


@contextmanager
def web_process(environ: dict[str, str]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        web_command("127.0.0.1", port), cwd=ROOT, env={**environ, "BASE_URL": base, "HOOK_SECRET": SECRET}
    )
    try:
        wait_for(lambda: status_of(f"{base}/healthz"), lambda status: status == 200, what="the web's start")
        yield base, process
    finally:
        process.kill()
        process.wait(timeout=10)


def status_of(url: str) -> int:
    try:
        return httpx.get(url, trust_env=False, verify=False).status_code
    except httpx.TransportError:
        return 0


@pytest.fixture
def environ(database_environ: dict[str, str]) -> dict[str, str]:
    return {**database_environ, "PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "promotions.settings"}


def test_every_202_stands_in_the_table_when_the_web_process_is_killed_at_once(
    environ: dict[str, str],
) -> None:
    """Batch commit before the 2xx: eight senders post as fast as they can until the process is gone."""
    source = make_source(Vendor.HARBOR)
    accepted: list[bytes] = []
    with web_process(environ) as (base, process):

        def send(sender: int) -> None:
            for number in range(100_000):
                body = b"[%d, %d]" % (sender, number)
                try:
                    answer = post(base + source.path, body, {"Authorization": SECRET})
                except httpx.TransportError:
                    return
                assert answer.status_code == 202
                accepted.append(body)

        threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(accepted), lambda count: count > 150, what="the first deliveries")
        process.kill()
        for thread in threads:
            thread.join(20)
    kept = {bytes(body) for body in Delivery.objects.values_list("body", flat=True)}
    assert set(accepted) <= kept
    assert len(kept) <= len(accepted) + 8, "at most the ones that were under way"
    assert (
        ProcrastinateJob.objects.filter(task_name="promotions.process_deliveries", status="todo").count() == 1
    )


def test_a_worker_killed_in_the_middle_of_a_delivery_loses_neither_it_nor_its_looks(
    environ: dict[str, str],
) -> None:
    catalogue = cast.make_catalogue()
    event = json.loads(fixture_body("gitlab/webhook-push-branch.json"))
    event["project"]["path_with_namespace"] = cast.MANIFEST_PROJECT
    source = WebhookSource.objects.create(connection=catalogue.gitlab)
    delivery = Delivery.objects.create(source=source, dedupe_key="x", body=json.dumps(event).encode())
    with transaction.atomic():
        # The looks can't be queued: the worker stands in the middle of its transaction.
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE procrastinate_jobs IN EXCLUSIVE MODE")
        worker = subprocess.Popen([sys.executable, "-c", PROCESS], cwd=ROOT, env=environ)
        try:
            wait_for(somebody_waits, bool, what="the worker's standing still")
        finally:
            worker.kill()
            worker.wait(timeout=10)
    # What it waited for is granted to it first; only its session's end gives up the delivery's row.
    wait_for(others_at_work, lambda count: not count, what="the end of the dead worker's session")
    delivery.refresh_from_db()
    assert (delivery.outcome, delivery.attempts) == (DeliveryOutcome.PENDING, 1)
    assert not ProcrastinateJob.objects.exists()
    processing.process_pending()
    delivery.refresh_from_db()
    assert delivery.outcome == DeliveryOutcome.PROCESSED
    assert ProcrastinateJob.objects.filter(task_name="promotions.look_at_branch").count() == 2


def others_at_work() -> int:
    return counted("pg_stat_activity WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND datid")


def somebody_waits() -> int:
    return counted("pg_locks WHERE NOT granted AND database")


def counted(which: str) -> int:
    """Count what of a view belongs to this test's database; the text ends with the column that says so."""
    with connection.cursor() as cursor:
        own = "(SELECT oid FROM pg_database WHERE datname = current_database())"
        cursor.execute(f"SELECT count(*) FROM {which} = {own}")
        return int(cursor.fetchone()[0])


def test_a_body_on_which_workers_die_is_given_up_after_five_and_the_rest_goes_on(
    transactional_db: None,
) -> None:
    """Each worker is killed while it holds the delivery: the sixth marks it failed and does the next one."""
    catalogue = cast.make_catalogue()
    source = WebhookSource.objects.create(connection=catalogue.gitlab)
    killer = Delivery.objects.create(source=source, dedupe_key="x", body=b"{}")
    for _ in range(5):
        # What a worker does before it dies: it counts the attempt, in a transaction of its own.
        assert processing._next() == killer.pk
    behind = Delivery.objects.create(source=source, dedupe_key="y", body=b"{}")
    assert processing.process_pending() == 1
    outcomes = [Delivery.objects.get(pk=each.pk).outcome for each in (killer, behind)]
    assert outcomes == [DeliveryOutcome.FAILED, DeliveryOutcome.UNREADABLE]
