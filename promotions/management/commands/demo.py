"""`manage.py demo`: scenario A on one machine, with every outside system simulated."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from promotions import demo
from promotions.bootstrap.environment import ROOT
from promotions.bootstrap.processes import StopRequested
from promotions.bootstrap.stack import Stack, require_free_port, reset
from promotions.management.migrating import migrate, release_connections

HOST = "127.0.0.1"


class Command(BaseCommand):
    scenario = "a"
    help = "Start Slipway with scenario A or others and simulated GitLab, Tekton, Argo CD and registry."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="where to listen on 127.0.0.1 (8000)")
        parser.add_argument("--data-dir", help="where everything is kept (.data)")
        parser.add_argument("--reset", action="store_true", help="forget earlier runs and start over")
        parser.add_argument(
            "--scenario", default="a", help="which ways of promoting to show: a, b, c, d, e, or all (a)"
        )
        parser.add_argument("--no-browser", action="store_true", help="do not open a browser")

    def handle(self, *, port: int, reset: bool, no_browser: bool, scenario: str, **options: Any) -> None:
        try:
            demo.chosen(scenario)
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.scenario = scenario
        try:
            self.run_demo(port, start_over=reset, browser=not no_browser)
        except StopRequested:
            self.say("Stopped.")

    def run_demo(self, port: int, *, start_over: bool, browser: bool) -> None:
        data_dir = Path(settings.DATA_DIR)
        stack = Stack(data_dir, say=self.say, log_to_files=True)

        def before() -> None:
            require_free_port(HOST, port)
            if start_over:
                reset(data_dir)

        with stack.running(note=f"at {settings.BASE_URL}", before=before):
            # The catalogue refers to the simulated vendors' secrets by variables; children inherit them.
            os.environ.update(demo.environment())
            ready_file = self.start_sandbox(stack)
            migrate()
            urls = stack.wait_for_json(ready_file)
            os.environ["SLIPWAY_DEMO_CHAT_URL"] = demo.chat_address(urls)
            os.environ["SLIPWAY_DEMO_DIRECT_URL"] = demo.direct_address(urls)
            people = demo.prepare(urls, settings.BASE_URL, self.scenario)
            release_connections()
            # Not before: whoever waits for /healthz may sign in the moment it answers.
            stack.add_web(HOST, port)
            stack.add_worker()
            stack.wait_until_healthy(HOST, port)
            self.welcome(urls, people)
            if browser and has_screen():
                webbrowser.open(settings.BASE_URL)
            stack.supervisor.run()

    def start_sandbox(self, stack: Stack) -> Path:
        """Start the simulated vendors; the file in which they will write where they listen."""
        ready_file = stack.data_dir / "sandbox-ready.json"
        ready_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "integrations.sandbox", "--scenario", self.scenario]
        command += ["--data-dir", str(stack.data_dir / "sandbox"), "--ready-file", str(ready_file)]
        # The same ports on every start: the catalogue and clones people made keep working.
        command += ["--ports-file", str(stack.data_dir / "sandbox-ports.json")]
        command += ["--hook-base", settings.BASE_URL]
        stack.add("sandbox", command, PYTHONPATH=str(ROOT))
        return ready_file

    def welcome(self, urls: dict[str, str], people: list[tuple[str, str, str]]) -> None:
        width = max((len(name) for name, _, _ in people), default=0)
        self.say(f"\nSlipway is ready:  {settings.BASE_URL}")
        if "control" in urls:
            self.say(f"Play the vendors:  {urls['control']}")
        self.say("\nSign in as:")
        for name, role, password in people:
            self.say(f"  {name:<{width}}  {password}  ({role})")
        self.say(f"\nData and logs: {settings.DATA_DIR}. Ctrl-C stops everything.")

    def say(self, line: str) -> None:
        # Written at once: whoever started us through a pipe waits for these lines.
        self.stdout.write(line)
        self.stdout.flush()


def has_screen() -> bool:
    """Whether somebody sits at this terminal and a browser could open a window."""
    display = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.stdout.isatty() and bool(display)
