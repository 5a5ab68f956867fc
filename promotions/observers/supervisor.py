"""Run the observers this worker holds the lease for, and let others take over when it dies."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from django.db import DatabaseError, InterfaceError
from django.forms.models import model_to_dict

from promotions.choices import Vendor
from promotions.models import Connection, Stage, Upstream
from promotions.observers import applications, branches, images, leases, runs
from promotions.observers.freshness import Freshness, database_work

log = structlog.get_logger(__name__)
Observe = Callable[[Freshness, threading.Event], None]

OBSERVERS: dict[str, Observe] = {
    "branches": branches.observe,
    "images": images.observe,
    "applications": applications.observe,
    "pipelineruns": runs.observe_runs,
    "taskruns": runs.observe_tasks,
}
KINDS = {
    Vendor.GITLAB: ("branches",),
    Vendor.GIT: ("branches",),
    Vendor.HARBOR: ("images",),
    Vendor.DISTRIBUTION: ("images",),
    Vendor.ARGOCD: ("applications",),
    Vendor.TEKTON: ("pipelineruns", "taskruns"),
}


def declare() -> list[Upstream]:
    """Have a row for each thing the catalogue makes worth watching, and none for anything else."""
    with_manifests = set(Stage.objects.order_by().values_list("manifest_connection", flat=True).distinct())
    wanted = {
        f"{kind}:{connection.slug}": (kind, connection)
        for connection in Connection.objects.all()
        for kind in KINDS[Vendor(connection.vendor)]
        if kind != "branches" or connection.pk in with_manifests
    }
    known = list(Upstream.objects.select_related("connection"))
    # This is asked every few seconds, and nearly always there is nothing to change.
    if {upstream.name for upstream in known} == set(wanted):
        return known
    Upstream.objects.exclude(name__in=wanted).delete()
    for name, (kind, connection) in wanted.items():
        Upstream.objects.get_or_create(name=name, defaults={"kind": kind, "connection": connection})
    return list(Upstream.objects.select_related("connection"))


@dataclass
class _Watch:
    """`settings` are those the observer was started with: a changed connection needs a new one."""

    thread: threading.Thread
    stop: threading.Event
    settings: dict[str, object]


@dataclass
class Supervisor:
    """One per worker process. `run` blocks until `stop` is set."""

    stop: threading.Event
    holder: str = field(
        default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    )
    term: timedelta = leases.TERM
    renew_every: float = leases.RENEW_EVERY
    _watches: dict[int, _Watch] = field(default_factory=dict)

    def run(self) -> None:
        """Take leases, start and stop observers, until told to end."""
        while not self.stop.is_set():
            try:
                with database_work():
                    self._turn()
            except Exception as error:
                # The outermost loop. Without the database we can't renew: others take over, so we let go.
                log.warning("leases can't be renewed", error=str(error), exc_info=not _is_outage(error))
                self._stop_all()
            self.stop.wait(self.renew_every)
        self._stop_all()
        try:
            with database_work():
                leases.release(self.holder)
        except DatabaseError as error:
            log.warning("leases can't be given back: they end by themselves", error=str(error))

    def _turn(self) -> None:
        upstreams = {upstream.pk: upstream for upstream in declare()}
        for pk in [pk for pk in self._watches if pk not in upstreams]:
            self._watches.pop(pk).stop.set()
        held = leases.acquire_all(upstreams.values(), self.holder, term=self.term)
        for pk, upstream in upstreams.items():
            watch = self._watches.get(pk)
            if pk not in held:
                if watch is not None:
                    self._watches.pop(pk).stop.set()
            elif watch is None or not watch.thread.is_alive():
                self._watches[pk] = self._start(upstream)
            elif watch.settings != model_to_dict(upstream.connection):
                # Started anew at the next turn, when the old thread has ended.
                watch.stop.set()

    def _start(self, upstream: Upstream) -> _Watch:
        stop = threading.Event()
        thread = threading.Thread(target=_observe, args=(upstream, stop), name=upstream.name, daemon=True)
        thread.start()
        log.info("watching", upstream=upstream.name)
        return _Watch(thread, stop, model_to_dict(upstream.connection))

    def _stop_all(self) -> None:
        for watch in self._watches.values():
            watch.stop.set()
        for watch in self._watches.values():
            watch.thread.join(timeout=2)
        self._watches.clear()


def _is_outage(error: Exception) -> bool:
    return isinstance(error, DatabaseError | InterfaceError)


def _observe(upstream: Upstream, stop: threading.Event) -> None:
    """An observer's outermost loop: a defect of ours must not end the watch for good."""
    pause = 1.0
    while not stop.is_set():
        try:
            OBSERVERS[upstream.kind](Freshness(upstream), stop)
        except Exception:
            log.exception("an observer failed", upstream=upstream.name)
            stop.wait(pause)
            pause = min(60.0, pause * 2)
