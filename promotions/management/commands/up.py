"""`manage.py up`: Slipway against the real systems named in a catalogue file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand

from promotions import environ
from promotions.bootstrap.processes import StopRequested
from promotions.bootstrap.stack import CannotStart, Stack, require_free_port
from promotions.management.migrating import migrate, release_connections


class Command(BaseCommand):
    help = "Start Slipway (web and worker) against the connections in a catalogue file."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--config", type=Path, help="catalogue file to apply before starting")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000)")
        parser.add_argument("--data-dir", help="where the embedded database is kept (.data)")

    def handle(self, *, config: Path | None, host: str, port: int, **options: Any) -> None:
        if missing := environ.problems():
            raise ImproperlyConfigured("\n".join(missing))
        if config is not None and not config.is_file():
            raise CannotStart(f"The configuration file {config} does not exist.")
        try:
            self.run_up(config, host, port)
        except StopRequested:
            self.say("Stopped.")

    def run_up(self, config: Path | None, host: str, port: int) -> None:
        stack = Stack(Path(settings.DATA_DIR), say=self.say, log_to_files=False)
        with stack.running(note=f"at {settings.BASE_URL}", before=lambda: require_free_port(host, port)):
            migrate()
            if config is not None:
                call_command("apply_catalog", str(config))
            release_connections()
            stack.add_web(host, port)
            stack.add_worker()
            stack.wait_until_healthy(host, port)
            self.say(f"Slipway is ready: {settings.BASE_URL} (listening on {host}:{port})")
            stack.supervisor.run()

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
