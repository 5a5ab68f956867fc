"""Logging: one line per event, for people or as JSON, and no secret in either."""

from __future__ import annotations

import logging
import logging.config
import re
import sys
from typing import Any

from django.core.exceptions import ImproperlyConfigured

# Where rich is installed, structlog imports all of it for coloured tracebacks. We print none, and it is a
# tenth of what a process takes to start.
_hidden = sys.modules.setdefault("rich", None) is None  # type: ignore[arg-type]
import structlog  # noqa: E402

if _hidden:
    del sys.modules["rich"]

SECRET_KEYS = re.compile(r"token|password|passwd|secret|authorization|cookie|api[-_]?key|credential", re.I)
# user:password@ in an address, bearer and basic headers, GitLab's tokens, and secrets in a query.
SECRET_TEXT = re.compile(
    r"(?P<kept>://[^/\s:@]*:)[^/\s@]+(?=@)"
    r"|(?P<kept_header>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|\bgl[a-z]{2,6}-[A-Za-z0-9_.-]{16,}"
    r"|(?P<kept_query>[?&](?:private_token|access_token|token|secret|password)=)[^&\s]+",
    re.I,
)
HIDDEN = "[hidden]"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def configure(*, json: bool, level: str) -> None:
    """Send everything, the libraries' records included, to standard error in one shape."""
    if level.upper() not in LEVELS:
        raise ImproperlyConfigured(f"LOG_LEVEL must be one of {', '.join(LEVELS)}, not {level!r}.")
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(handlers(shared, json=json, level=level.upper()))


def handlers(shared: list[structlog.typing.Processor], *, json: bool, level: str) -> dict[str, Any]:
    """The standard library's side: one handler whose formatter runs the same processors."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False)
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        # procrastinate logs every periodic job three times at INFO; httpx every request's full address,
        # secrets in its query included.
        "loggers": {name: {"level": "WARNING"} for name in ("httpx", "httpcore", "procrastinate")},
    }


def hide_secrets(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Replace the values of keys that name a secret, and secrets inside any text."""
    return {
        key: HIDDEN if value and SECRET_KEYS.search(key) else without_secrets(value)
        for key, value in event.items()
    }


def without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return SECRET_TEXT.sub(replacement, value)
    if isinstance(value, dict):
        return hide_secrets(None, "", value)
    if isinstance(value, list | tuple):
        return type(value)(without_secrets(each) for each in value)
    return value


def replacement(match: re.Match[str]) -> str:
    return next((group for group in match.groups() if group), "") + HIDDEN
