"""`manage.py web`: the web process alone, for containers and service managers."""

from __future__ import annotations

import argparse
import os
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand

from promotions import environ
from promotions.bootstrap.environment import ROOT
from promotions.bootstrap.stack import web_command


class Command(BaseCommand):
    help = "Serve pages, API, webhooks and websockets. The database must be reachable and migrated."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000)")

    def handle(self, *, host: str, port: int, **options: Any) -> None:
        if missing := environ.problems():
            raise ImproperlyConfigured("\n".join(missing))
        os.environ["PYTHONPATH"] = str(ROOT)
        command = web_command(host, port)
        # The server takes this process's place, so that a container's signals reach it directly.
        os.execv(command[0], command)
