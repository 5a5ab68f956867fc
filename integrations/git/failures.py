"""From git's and ssh's complaints to the tree of errors: the one place that reads their English."""

from __future__ import annotations

import re
from collections.abc import Sequence

from integrations.errors import (
    Conflict,
    IntegrationError,
    NotFound,
    Rejected,
    Unauthorized,
    Unavailable,
)
from integrations.git.access import basic
from integrations.git.process import Done
from integrations.git.remote import VENDOR, Remote
from integrations.http import hide
from integrations.shape import one_line

_Kind = type[IntegrationError]


class Broken(Exception):
    """The local copy is damaged: throw it away and fetch it again."""


# Sought in this order, without regard to case, in what was not said by the server's hooks.
_SIGNS: Sequence[tuple[str, _Kind, str]] = (
    (
        r"remote host identification has changed",
        Unauthorized,
        "The server shows another host key than the one that is known for it",
    ),
    (
        r"no .* host key is known|host key verification failed",
        Unauthorized,
        "The server's host key is not among the known ones",
    ),
    (
        r"load key .*: |invalid format|error in libcrypto",
        Unauthorized,
        "The SSH key cannot be used: it must be a private key without a passphrase",
    ),
    (
        r"permission denied \(|authentication failed|could not read (username|password)"
        r"|returned error: 40[13]",
        Unauthorized,
        "The server does not accept these credentials",
    ),
    (
        r"access denied|not allowed to|insufficient permission|read-?only",
        Unauthorized,
        "These credentials lack the right",
    ),
    (
        r"couldn't find remote ref",
        NotFound,
        "The branch does not exist",
    ),
    (
        r"not our ref|unadvertised object",
        NotFound,
        "The commit does not exist in the repository any more",
    ),
    (
        r"repository .*not found|project you were looking for|does not (appear to be a git repository|exist)"
        r"|returned error: 404|returned error: 410",
        NotFound,
        "The repository does not exist, or these credentials may not see it",
    ),
    (
        r"returned error: 3\d\d|unable to update url base",
        Rejected,
        "The server redirects to another address: use that one",
    ),
    (
        r"ssl certificate|certificate verify|server certificate|ssl_error|gnutls_handshake",
        Unavailable,
        "The server's certificate is not trusted",
    ),
    (
        r"could not resolve|name or service not known|temporary failure in name resolution",
        Unavailable,
        "The server's name cannot be resolved",
    ),
    (
        r"no space left on device|disk quota exceeded",
        Unavailable,
        "No room is left on a disk",
    ),
    (
        r"timed out|connection refused|failed to connect|couldn't connect|no route to host"
        r"|network is unreachable",
        Unavailable,
        "The server cannot be reached",
    ),
    (
        r"returned error: (408|429|5\d\d)",
        Unavailable,
        "The server cannot answer at the moment",
    ),
)

# Only about the local copy: a server that has such trouble says so behind "remote:".
_DAMAGE = re.compile(
    r"not a git repository|bad object|(is|file) corrupt|garbage at end of|inflate: |bad tree"
    r"|not a valid object"
    r"|unable to (read|find|parse) |missing (blob|tree|commit|necessary)|did not send all necessary"
    r"|invalid object|broken ref|bad ref|cannot lock ref|bad config|packfile .* |index file"
    r"|object file .* is empty"
    r"|failed to (read|traverse)|unresolved deltas|could not parse|does not point to a valid object",
    re.IGNORECASE,
)
_HOOK = "remote:"
_MOVED = ("stale info", "fetch first", "non-fast-forward", "needs force")
# The server's own compare-and-swap, lost between its list of refs and its update.
_LOST = ("cannot lock ref", "failed to update ref", "incorrect old value", "reference already exists")


def failure(remote: Remote, done: Done) -> Broken | IntegrationError:
    """The error for a command that talked to the server."""
    ours, theirs = _sides(done.err)
    said = f"{ours}\n{theirs}"
    for pattern, kind, sentence in _SIGNS:
        if re.search(pattern, said, re.IGNORECASE):
            return kind(f"{sentence}: {_quoted(remote, said)}", vendor=VENDOR)
    if damaged(done):
        return Broken(one_line(done.err))
    return Unavailable(f"The Git server gave no usable answer: {_quoted(remote, said)}", vendor=VENDOR)


def push_failure(remote: Remote, branch: str, done: Done) -> Broken | IntegrationError:
    """The error for a push that failed; `done.out` is in git's porcelain format."""
    status = _status_of(done.out.decode(errors="replace"), branch)
    if not status:
        return failure(remote, done)
    if any(sign in status for sign in _MOVED) or any(sign in status for sign in _LOST):
        return Conflict(f"The branch {branch} moved while it was written to", vendor=VENDOR)
    words = _quoted(remote, _sides(done.err)[1] or status)
    return Rejected(f"The server refused the change to {branch}: {words}", vendor=VENDOR)


def damaged(done: Done) -> bool:
    """Whether git complained about its own files."""
    return bool(_DAMAGE.search(_sides(done.err)[0]))


def refuses_filter(done: Done) -> bool:
    """Whether the server does not let us leave blobs out (uploadpackfilter.allow)."""
    return bool(re.search(r"filter '.*' not supported", done.err))


def local_failure(done: Done) -> Broken | IntegrationError:
    """The error for a command that never leaves this machine."""
    if damaged(done) and "No space left" not in done.err:
        return Broken(one_line(done.err))
    return Unavailable(f"Git failed on the local copy: {one_line(done.err)}", vendor=VENDOR)


def landed(branch: str, done: Done) -> bool:
    """Whether the server took the branch, whatever became of the rest of the command."""
    return done.status == 0 or bool(_status_of(done.out.decode(errors="replace"), branch, flags=" *+="))


def _status_of(out: str, branch: str, flags: str = "!") -> str:
    """The summary of the ref with one of these flags, as in `!` TAB from:to TAB `[remote rejected] (why)`."""
    for line in out.splitlines():
        flag, _, rest = line.partition("\t")
        names, _, summary = rest.partition("\t")
        if flag and flag in flags and names.endswith(f":refs/heads/{branch}"):
            return summary
    return ""


def _sides(err: str) -> tuple[str, str]:
    """What git and ssh said, and what the server's programs said."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", err) if line.strip()]
    theirs = [line.removeprefix(_HOOK).strip() for line in lines if line.startswith(_HOOK)]
    ours = [line for line in lines if not line.startswith((_HOOK, "hint:"))]
    return "\n".join(ours), "\n".join(line for line in theirs if line)


def _quoted(remote: Remote, said: str) -> str:
    return one_line(hide(said, _secrets(remote)))


def _secrets(remote: Remote) -> tuple[str, ...]:
    return (*remote.secrets, basic(remote)) if remote.password else remote.secrets
