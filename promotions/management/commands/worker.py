"""`manage.py worker`: background jobs and observers in one process. Run as many as you like."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, cast

import structlog
from django.core.management.base import BaseCommand
from procrastinate.contrib.django import app
from procrastinate.contrib.django.django_connector import DjangoConnector

from promotions.observers.supervisor import Supervisor

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    help = "Advance promotions, process webhooks and watch the upstreams."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGTERM or SIGINT; jobs under way are finished, leases are given back."""
        stop = threading.Event()
        observers = threading.Thread(target=Supervisor(stop).run, name="observers")
        observers.start()
        try:
            asyncio.run(self._work())
        finally:
            stop.set()
            observers.join(timeout=10)
            log.info("stopped")

    async def _work(self) -> None:
        # The worker's own signal handling waits for the jobs under way.
        connector = cast(DjangoConnector, app.connector)
        worker_app = app.with_connector(connector.get_worker_connector())
        async with worker_app.open_async():
            await worker_app.run_worker_async(
                install_signal_handlers=True, shutdown_graceful_timeout=5, wait=True
            )
