"""pip's settings, told to uv in uv's words.

uv reads neither pip.conf nor PIP_* variables, so a machine that reaches its packages through a
mirror or a private certificate would work with pip and fail with uv. No index is ever named here:
what the user configured is carried over, and otherwise the installer's own default stands.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

# pip's option name -> the environment variable that tells uv (or its TLS and HTTP layer) the same.
TRANSLATION = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
OLD_SPELLING = {"UV_DEFAULT_INDEX": "UV_INDEX_URL", "UV_INDEX": "UV_EXTRA_INDEX_URL"}
COMMA_SEPARATED = {"UV_FIND_LINKS"}


def config_files(environ: Mapping[str, str]) -> list[Path]:
    """Where pip looks for its configuration, weakest first (pip's documented order)."""
    home = Path(environ.get("HOME") or "~").expanduser()
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    found = [Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf")]
    found += [Path("/Library/Application Support/pip/pip.conf"), home / ".pip/pip.conf"]
    found += [home / "Library/Application Support/pip/pip.conf", user / "pip/pip.conf"]
    chosen = environ.get("PIP_CONFIG_FILE")
    # pip reads no file at all when the variable names the null device.
    if chosen == os.devnull:
        return []
    return [*found, Path(chosen)] if chosen else found


def pip_settings(environ: Mapping[str, str], files: Iterable[Path]) -> dict[str, str]:
    """What pip would use for `pip install`: files first, PIP_* variables over them."""
    settings: dict[str, str] = {}
    for path in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (OSError, ValueError, configparser.Error):
            continue  # pip itself will complain about it, with its own words
        for section in ("global", "install"):
            if parser.has_section(section):
                settings.update({key.replace("_", "-"): value for key, value in parser.items(section)})
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            settings[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return settings


def uv_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for uv: the given one plus what pip's settings say and uv's do not."""
    result = dict(environ)
    settings = pip_settings(environ, config_files(environ))
    for option, variable in TRANSLATION.items():
        taken = variable in result or OLD_SPELLING.get(variable, variable) in result
        values = settings.get(option, "").split()
        if values and not taken:
            result[variable] = ("," if variable in COMMA_SEPARATED else " ").join(values)
    # pip takes the best match of all indexes, uv the first index that knows the name. The hashes in
    # the lock file decide which file is right, so looking everywhere is safe.
    result.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    if settings.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        result.setdefault("UV_NO_INDEX", "1")
    return result
