"""Leases between real processes: one dies, is frozen, or stops in order, and another goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from django.utils import timezone

from promotions.choices import Vendor
from promotions.models import Connection, Upstream
from promotions.observers.supervisor import declare
from tests import cast
from tests.system import ROOT, wait_for

TERM = 1.2
# A supervisor as the worker runs it, with a shorter term.
WORKER = f"""
import signal, sys, threading
from datetime import timedelta
import django
django.setup()
from promotions.observers.supervisor import Supervisor
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
supervisor = Supervisor(stop, holder=sys.argv[1], term=timedelta(seconds={TERM}), renew_every=0.3)
thread = threading.Thread(target=supervisor.run)
thread.start()
while thread.is_alive():
    thread.join(0.1)
"""
Start = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(database_environ: dict[str, str]) -> Iterator[Start]:
    environ = {**database_environ, "DJANGO_SETTINGS_MODULE": "promotions.settings", "PYTHONPATH": str(ROOT)}
    with ExitStack() as stack:

        def started(name: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [sys.executable, "-c", WORKER, name], cwd=ROOT, env=environ, stderr=subprocess.DEVNULL
            )

            def end() -> None:
                process.kill()
                process.wait(timeout=10)

            stack.callback(end)
            return process

        yield started


def holders() -> set[str]:
    """Return who holds the leases; "" where one has ended or was given back."""
    now = timezone.now()
    rows = Upstream.objects.values_list("holder", "held_until")
    return {holder if until is not None and until >= now else "" for holder, until in rows}


def held_by(name: str, seconds: float = 15) -> None:
    wait_for(holders, lambda found: found == {name}, seconds=seconds, what=f"{name} holding everything")


@pytest.fixture
def watched(transactional_db: None, catalogue: cast.Catalogue) -> cast.Catalogue:
    Connection.objects.exclude(vendor__in=[Vendor.GITLAB, Vendor.HARBOR]).update(vendor=Vendor.DISTRIBUTION)
    return catalogue


def test_a_killed_and_then_a_frozen_holder_are_succeeded_and_an_orderly_one_gives_back_at_once(
    watched: cast.Catalogue, start: Start
) -> None:
    first = start("first")
    held_by("first")
    second = start("second")
    # The second is ready when it has tried: it asks for each lease all the time and gets none.
    first.kill()
    held_by("second", seconds=10)
    third = start("third")
    second.send_signal(signal.SIGSTOP)
    held_by("third", seconds=10)
    second.send_signal(signal.SIGCONT)
    # Woken up, it finds its leases lost: it stops in order and gives back nothing that is not its own.
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=10) == 0
    assert holders() == {"third"}
    third.send_signal(signal.SIGTERM)
    assert third.wait(timeout=10) == 0
    assert set(Upstream.objects.values_list("holder", flat=True)) == {""}


def test_upstreams_are_what_the_catalogue_makes_worth_watching_and_nothing_else(
    db: None, catalogue: cast.Catalogue
) -> None:
    names = {upstream.name for upstream in declare()}
    assert names == {
        "branches:gitlab",
        "images:harbor",
        "applications:argocd",
        "pipelineruns:tekton",
        "taskruns:tekton",
    }
    idle = Connection.objects.create(slug="idle", vendor=Vendor.GITLAB, url=cast.NOBODY)
    assert {upstream.name for upstream in declare()} == names, "no Stage keeps its manifests there"
    idle.vendor = Vendor.DISTRIBUTION
    idle.save()
    assert {upstream.name for upstream in declare()} == names | {"images:idle"}
    idle.delete()
    assert {upstream.name for upstream in declare()} == names
