"""Where a repository is and how to get in, checked before Git sees any of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from integrations.errors import Rejected

VENDOR = "git"

_HOST = r"(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])"
_USER = r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?"
_HTTP = re.compile(rf"https?://{_HOST}(?::\d+)?/[^\x00-\x20\x7f]+")
_SSH = re.compile(rf"ssh://{_USER}{_HOST}(?::\d+)?/[^\x00-\x1f\x7f]+")
# `ext::command` would look like host "ext" with path ":command".
_SCP = re.compile(rf"{_USER}{_HOST}:[^-:\x00-\x1f\x7f][^\x00-\x1f\x7f]*")
_FILE = re.compile(r"file:///[^\x00-\x1f\x7f]+")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|^[-./]|[/.]$|\.lock(?:/|$)|^@$")


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository's address with its credentials; credentials never stand in the address.

    `ssh_key`, `known_hosts` hold the text itself or the absolute path of a file; `ca_file` is a path.
    Raises Rejected for an address that is not https://, http://, ssh:// or user@host:path; `allow_file`
    admits file:// as well.
    """

    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    ssh_key: str = field(default="", repr=False)
    known_hosts: str = field(default="", repr=False)
    ca_file: str = ""
    allow_file: bool = False

    def __post_init__(self) -> None:
        if _HTTP.fullmatch(self.url) or self.is_ssh:
            return
        if self.allow_file and _FILE.fullmatch(self.url):
            return
        # The address is not quoted: it may be one with a password in it.
        raise Rejected(
            "The repository's address must be https://host/path, ssh://git@host/path or git@host:path,"
            " without a password or token in it",
            vendor=VENDOR,
        )

    @property
    def is_ssh(self) -> bool:
        return bool(_SSH.fullmatch(self.url) or ("://" not in self.url and _SCP.fullmatch(self.url)))

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not show in any message."""
        return tuple(each for each in (self.password, self.ssh_key) if each)


def checked_branch(name: str) -> str:
    """The name, if Git takes it as a branch's (git-check-ref-format); raises Rejected."""
    if not name or _FORBIDDEN.search(name):
        raise Rejected(f"{name!r} cannot be the name of a branch", vendor=VENDOR)
    return name


def checked_path(path: str) -> str:
    """The path, if a file of a repository may have it; raises Rejected."""
    parts = path.split("/")
    # Git's own checkouts refuse ".git" in any spelling; so nobody may be handed one.
    if any(part in ("", ".", "..") or part.lower() in (".git", "git~1") for part in parts) or "\0" in path:
        raise Rejected(f"{path!r} is not a path inside the repository", vendor=VENDOR)
    return path
