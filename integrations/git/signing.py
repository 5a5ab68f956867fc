"""Signed commits: what commit-tree must be told, with the key on disk only for as long as it signs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from integrations.errors import Unauthorized
from integrations.git.access import Access, private_file
from integrations.git.process import environment, run
from integrations.git.remote import VENDOR
from integrations.git.types import Signing


@contextmanager
def signer(signing: Signing | None, timeout: float) -> Iterator[Access | None]:
    """Configuration and environment for `commit-tree -S`; None where nothing is signed."""
    if signing is None:
        yield None
        return
    # A short path: GnuPG's agent listens on a socket below it, whose path may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="sign-") as folder:
        key = private_file(Path(folder) / "key", signing.key)
        if signing.format == "ssh":
            yield Access((("gpg.format", "ssh"), ("user.signingKey", str(key))))
            return
        environ = {"GNUPGHOME": folder}
        try:
            fingerprint = _imported(key, environ, timeout)
            yield Access((("gpg.format", "openpgp"), ("user.signingKey", fingerprint)), environ)
        finally:
            _gnupg(["gpgconf", "--kill", "all"], environ, timeout)


def _imported(key: Path, environ: Mapping[str, str], timeout: float) -> str:
    """Put the key into its own empty keyring; return its fingerprint."""
    _gnupg(["gpg", "--batch", "--quiet", "--import", str(key)], environ, timeout)
    listed = _gnupg(["gpg", "--batch", "--with-colons", "--list-secret-keys"], environ, timeout)
    for line in listed.splitlines():
        if line.startswith("fpr:"):
            return line.split(":")[9]
    raise Unauthorized("The OpenPGP key that should sign commits cannot be used", vendor=VENDOR)


def _gnupg(command: list[str], environ: Mapping[str, str], timeout: float) -> str:
    return run(command, environ=environment((), environ), timeout=timeout).out.decode(errors="replace")
