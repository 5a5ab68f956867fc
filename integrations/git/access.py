"""Credentials for the time of one call: in the environment or in a private folder, never in arguments."""

from __future__ import annotations

import base64
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from integrations.errors import Unauthorized
from integrations.git.remote import VENDOR, Remote

Config = tuple[tuple[str, str], ...]

# In SSH no agent, no configuration of the account, no question, and only host keys we were given.
_SSH_OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "GlobalKnownHostsFile": "/dev/null",
    "UpdateHostKeys": "no",
    "IdentitiesOnly": "yes",
    "IdentityAgent": "none",
    "PreferredAuthentications": "publickey",
    "ClearAllForwardings": "yes",
    "ControlPath": "none",
    "ServerAliveInterval": "15",
    "LogLevel": "ERROR",
}


@dataclass(frozen=True, slots=True)
class Access:
    """What Git must be told to reach the remote; lives as long as the call."""

    config: Config
    environ: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def access(remote: Remote, *, connect_seconds: int = 10) -> Iterator[Access]:
    """Configuration and environment for one call; what was written to disk is gone afterwards."""
    config = (("remote.origin.url", remote.url), ("protocol.version", "2"))
    if not remote.is_ssh:
        yield Access((*config, *_http(remote)))
        return
    if not remote.known_hosts.strip():
        raise Unauthorized(
            "No host key is known for this SSH address: add the server's public host key", vendor=VENDOR
        )
    with tempfile.TemporaryDirectory(prefix="slipway-ssh-") as folder:
        yield Access(config, _ssh(remote, Path(folder), connect_seconds))


def _http(remote: Remote) -> Config:
    # A redirect would take the header along to wherever it leads.
    pairs = [("http.followRedirects", "false")]
    if remote.ca_file:
        pairs.append(("http.sslCAInfo", remote.ca_file))
    if remote.password:
        # Sent with the first request: Git by itself asks without, is told 401, and asks again.
        pairs.append(("http.extraHeader", f"Authorization: Basic {basic(remote)}"))
    return tuple(pairs)


def basic(remote: Remote) -> str:
    """The value of HTTP's Basic scheme. A token alone goes with any user name that is not empty."""
    return base64.b64encode(f"{remote.username or 'git'}:{remote.password}".encode()).decode()


def _ssh(remote: Remote, folder: Path, connect_seconds: int) -> dict[str, str]:
    hosts = private_file(folder / "known_hosts", remote.known_hosts)
    options = {**_SSH_OPTIONS, "UserKnownHostsFile": str(hosts), "ConnectTimeout": str(connect_seconds)}
    command = ["ssh", "-F", "none", *(f"-o{name}={value}" for name, value in options.items())]
    if remote.ssh_key:
        command += ["-i", str(private_file(folder / "key", remote.ssh_key))]
    return {"GIT_SSH_COMMAND": shlex.join(command), "GIT_SSH_VARIANT": "ssh"}


def private_file(path: Path, text_or_path: str) -> Path:
    """Write a text, or a copy of the file it names, readable by us alone.

    Copied because ssh refuses keys that others may read, as mounted secrets often are; mended because
    keys kept in variables lose their last line end, without which OpenSSH cannot parse them.
    """
    try:
        text = Path(text_or_path).read_text() if text_or_path.startswith("/") else text_or_path
    except (OSError, UnicodeDecodeError) as error:
        raise Unauthorized(f"The file {text_or_path} cannot be read", vendor=VENDOR) from error
    path.touch(mode=0o600)
    path.write_text(text.replace("\r\n", "\n").strip() + "\n")
    return path
