"""Signatures for commits, with a key that is on disk only for the time of one call."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from integrations.errors import Unauthorized, Unavailable
from integrations.git.access import private_file
from integrations.git.remote import VENDOR
from integrations.git.types import Signing

Sign = Callable[[bytes], bytes]
_SECONDS = 20


@contextmanager
def signer(signing: Signing) -> Iterator[Sign]:
    """Yield what turns a commit object into its detached signature; raises Unauthorized for a bad key."""
    with tempfile.TemporaryDirectory(prefix="slipway-sign-") as name:
        folder = Path(name)
        key = private_file(folder / "key", signing.key)
        if signing.format == "ssh":
            # ssh-keygen reads standard input and writes the signature to standard output.
            yield lambda content: _call(["ssh-keygen", "-Y", "sign", "-n", "git", "-f", str(key)], content)
            return
        home = folder / "gnupg"
        home.mkdir(mode=0o700)
        gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--no-tty"]
        _call([*gpg, "--import", str(key)], b"")
        try:
            yield lambda content: _call([*gpg, "--armor", "--detach-sign"], content)
        finally:
            # gpg leaves an agent behind for each home.
            _call(["gpgconf", "--homedir", str(home), "--kill", "all"], b"")


def _call(command: list[str], content: bytes) -> bytes:
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=_SECONDS, check=False)
    except FileNotFoundError:
        message = f"The program {command[0]} is not installed on Slipway's server"
        raise Unavailable(message, vendor=VENDOR) from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{command[0]} did not sign in time", vendor=VENDOR) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1] if said else "no reason given"
        raise Unauthorized(f"The signing key cannot be used: {why}", vendor=VENDOR)
    return done.stdout
