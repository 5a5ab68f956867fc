"""From the command line to the right interpreter and environment, then into Django or pytest."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from promotions.bootstrap.environment import ROOT, SetUpFailed, ensure
from promotions.bootstrap.postgres import PostgresFailed
from promotions.bootstrap.stack import CannotStart, generated_secret

RUNTIME_LOCK = ROOT / "requirements.lock"
DEVELOPMENT_LOCK = ROOT / "requirements-dev.lock"
FOR_DEVELOPERS = {"test", "install-development"}


def main(argv: list[str]) -> int:
    """Run one command of manage.py; the exit code."""
    command = argv[1] if len(argv) > 1 else "help"
    try:
        ensure(DEVELOPMENT_LOCK if command in FOR_DEVELOPERS else RUNTIME_LOCK, argv=argv)
        if command == "install-development":
            return 0  # the linters' packages are there now; that was all
        if command == "test":
            from promotions.bootstrap.testing import run

            run(argv[2:])
        use_data_dir(argv[2:])
        if command == "demo":
            demo_settings(argv[2:])
        return manage(argv)
    except (SetUpFailed, CannotStart, PostgresFailed) as error:
        print(f"slipway: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def manage(argv: list[str]) -> int:
    """Hand the command to Django. A missing or wrong setting is one line, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promotions.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(argv)
    except ImproperlyConfigured as error:
        print(f"slipway: {error}", file=sys.stderr)
        return 2
    return 0


def use_data_dir(arguments: list[str]) -> Path:
    """Settle the data folder before the settings are read: option, then variable, then `.data`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--data-dir", default=os.environ.get("SLIPWAY_DATA_DIR") or str(ROOT / ".data"))
    chosen = Path(parser.parse_known_args(arguments)[0].data_dir).expanduser().resolve()
    os.environ["SLIPWAY_DATA_DIR"] = str(chosen)
    return chosen


def demo_settings(arguments: list[str]) -> None:
    """The demo brings its own settings, so that it starts whatever the shell has exported."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--port", type=int, default=8000)
    try:
        port = parser.parse_known_args(arguments)[0].port
    except SystemExit:
        return  # Django's parser sees the same mistake and prints the full usage
    os.environ.pop("SECRET_KEY", None)
    key = generated_secret(Path(os.environ["SLIPWAY_DATA_DIR"]))
    os.environ["SECRET_KEY_FILE"] = str(key)
    os.environ["ALLOWED_HOSTS"] = "127.0.0.1,localhost"
    os.environ["BASE_URL"] = f"http://127.0.0.1:{port}"
    os.environ.pop("CSRF_TRUSTED_ORIGINS", None)
