"""Settings come from the environment, and a missing or wrong one names itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bootstrap.conftest import ROOT

GOOD = {
    "SECRET_KEY": "k" * 50,
    "BASE_URL": "https://slipway.example.com",
    "ALLOWED_HOSTS": "slipway.example.com",
    "DATABASE_URL": "postgresql://ann:p%40ss@db.example:5433/slip?sslmode=require",
}
# manage.py reads the same, and then everything else: half a second more.
SHOW = "from django.conf import settings; print(repr(settings.{}))"


def python(data_dir: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Python with exactly these settings."""
    base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**base, "SLIPWAY_DATA_DIR": str(data_dir), **environ},
    )


def manage(data_dir: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py with exactly these settings."""
    return python(data_dir, "manage.py", *arguments, **environ)


def setting(data_dir: Path, name: str, **environ: str) -> str:
    environ |= {"DJANGO_SETTINGS_MODULE": "promotions.settings"}
    done = python(data_dir, "-c", SHOW.format(name), **environ)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_up_names_every_setting_that_is_missing(tmp_path: Path) -> None:
    done = manage(tmp_path, "up")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for name in ("SECRET_KEY", "BASE_URL", "ALLOWED_HOSTS"):
        assert f"{name} " in done.stderr
    assert not list(tmp_path.iterdir())


def test_up_refuses_a_configuration_file_that_does_not_exist(tmp_path: Path) -> None:
    done = manage(tmp_path, "up", "--config", "nowhere.yml", **GOOD)
    assert done.returncode == 1
    assert "nowhere.yml does not exist" in done.stderr


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"BASE_URL": "slipway.example.com"}, "BASE_URL must look like"),
        ({"DEBUG": "ture"}, "DEBUG must be true or false, not 'ture'."),
        ({"SECRET_KEY": "short"}, "SECRET_KEY must have at least 32 characters."),
        ({"SECRET_KEY": "", "SECRET_KEY_FILE": "/nonexistent"}, "SECRET_KEY_FILE cannot be read"),
        ({"SECRET_KEY_FILE": "/etc/hostname"}, "Set SECRET_KEY or SECRET_KEY_FILE, not both."),
        ({"DATABASE_URL": "mysql://u:hunter2@h/d"}, "DATABASE_URL must start with postgresql://."),
        ({"DATABASE_URL": "postgresql://h"}, "DATABASE_URL names no database"),
        ({"DATABASE_URL": "postgresql://h:abc/d"}, "DATABASE_URL has a port that is not a number."),
        ({"CSRF_TRUSTED_ORIGINS": "example.com"}, "CSRF_TRUSTED_ORIGINS needs a scheme"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL must be one of"),
    ],
)
def test_a_wrong_setting_names_itself(tmp_path: Path, wrong: dict[str, str], sentence: str) -> None:
    done = manage(tmp_path, "migrate", **{**GOOD, **wrong})
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "hunter2" not in done.stderr


def test_the_database_address_is_read_whole(tmp_path: Path) -> None:
    shown = setting(tmp_path, "DATABASES['default']", **GOOD)
    for part in (
        "'NAME': 'slip'",
        "'USER': 'ann'",
        "'PASSWORD': 'p@ss'",
        "'HOST': 'db.example'",
        "'PORT': '5433'",
    ):
        assert part in shown
    assert "'sslmode': 'require'" in shown


def test_without_an_address_the_embedded_server_of_the_data_folder_is_meant(tmp_path: Path) -> None:
    shown = setting(tmp_path, "DATABASES['default']['HOST']", SECRET_KEY="k" * 50)
    assert str(tmp_path) in shown


@pytest.mark.parametrize(("base", "secure"), [("https://s.example", "True"), ("http://s.example", "False")])
def test_cookies_are_secure_where_people_come_over_tls(tmp_path: Path, base: str, secure: str) -> None:
    environ = {**GOOD, "BASE_URL": base}
    shown = setting(tmp_path, "SESSION_COOKIE_SECURE), repr(settings.CSRF_COOKIE_SECURE", **environ)
    assert shown == f"{secure} {secure}"


def test_the_key_comes_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("f" * 50 + "\n")
    environ = {**GOOD, "SECRET_KEY": "", "SECRET_KEY_FILE": str(key)}
    assert setting(tmp_path, "SECRET_KEY", **environ) == repr("f" * 50)
