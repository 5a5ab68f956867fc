"""Settings from the environment. A wrong one stops the start with a sentence that names it."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from promotions.identity.config import SignInProblem, SignInProvider, read_sign_in

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}
SHORTEST_KEY = 32


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def flag(name: str, *, default: bool) -> bool:
    """A yes or no. Anything else is refused: a typing error must not switch protection off."""
    value = os.environ.get(name)
    if value is None:
        return default
    if value.strip().lower() not in TRUE | FALSE:
        raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")
    return value.strip().lower() in TRUE


def seconds(name: str, *, default: float) -> timedelta:
    """A duration in seconds, not negative."""
    value = text(name, str(default))
    try:
        duration = timedelta(seconds=float(value))
    except (ValueError, OverflowError):
        duration = timedelta(-1)
    if duration < timedelta(0):
        raise ImproperlyConfigured(f"{name} must be a number of seconds, not {value!r}.")
    return duration


def words(name: str, default: str = "") -> list[str]:
    """A list, separated by commas."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def secret(name: str) -> str:
    """A secret from the variable NAME, or from the file that NAME_FILE names; "" when neither is set."""
    path = text(f"{name}_FILE")
    if not path:
        return os.environ.get(name, "")
    if os.environ.get(name):
        raise ImproperlyConfigured(f"Set {name} or {name}_FILE, not both.")
    try:
        value = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE cannot be read: {error}.") from None
    if not value:
        raise ImproperlyConfigured(f"{name}_FILE names an empty file: {path}.")
    return value


def secret_key() -> str:
    """Django's key. May be missing here: Django refuses on first use, and `up` before it starts."""
    key = secret("SECRET_KEY")
    if key and len(key) < SHORTEST_KEY:
        raise ImproperlyConfigured(f"SECRET_KEY must have at least {SHORTEST_KEY} characters.")
    return key


def base_url(default: str) -> str:
    """Where people reach Slipway, without a slash at the end."""
    value = text("BASE_URL", default).rstrip("/")
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.query:
        raise ImproperlyConfigured(f"BASE_URL must look like https://slipway.example.com, not {value!r}.")
    return value


def trusted_origins(name: str, base: str) -> list[str]:
    """Origins whose forms are accepted: the base URL's own and those named."""
    named = words(name)
    for origin in named:
        if urlsplit(origin).scheme not in {"http", "https"}:
            raise ImproperlyConfigured(f"{name} needs a scheme in every entry, {origin!r} has none.")
    return [base, *(origin for origin in named if origin != base)]


def sign_in_providers() -> tuple[SignInProvider, ...]:
    """The OpenID Connect providers in the file that SIGN_IN_FILE names."""
    try:
        return read_sign_in(text("SIGN_IN_FILE"))
    except SignInProblem as problem:
        raise ImproperlyConfigured(str(problem)) from None


def database(url: str) -> dict[str, Any]:
    """A PostgreSQL address as one entry of Django's DATABASES; query parameters are libpq options."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"}:
        # The address may hold a password, so it is not repeated.
        raise ImproperlyConfigured("DATABASE_URL must start with postgresql://.")
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise ImproperlyConfigured("DATABASE_URL names no database: postgresql://user@host:5432/NAME.")
    try:
        port = parts.port
    except ValueError:
        raise ImproperlyConfigured("DATABASE_URL has a port that is not a number.") from None
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    host = options.pop("host", None) or unquote(parts.hostname or "")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(port or options.pop("port", "")),
        "OPTIONS": options,
    }


def problems() -> list[str]:
    """What must be set before Slipway serves people, one sentence for each setting that is missing."""
    found = []
    if not secret("SECRET_KEY"):
        found.append("SECRET_KEY (or SECRET_KEY_FILE) is not set: a random text of 50 characters.")
    if not text("BASE_URL"):
        found.append("BASE_URL is not set: the address people open, for example https://slipway.example.com.")
    if not words("ALLOWED_HOSTS"):
        found.append("ALLOWED_HOSTS is not set: the host names Slipway answers to, separated by commas.")
    return found
