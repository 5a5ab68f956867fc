"""Ask a server over HTTP where a branch is, in one small request (Git's protocol version 2, `ls-refs`).

Starting git and its helper for this question costs a third of a push, and most answers are "where it was".
This only ever saves a fetch: whatever is unclear here, git is asked, and its complaint is the one reported.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from functools import lru_cache

import httpx

from integrations.git.access import basic
from integrations.git.remote import Remote
from integrations.http import no_authorities

_MAX_BYTES = 256 * 1024
_HEADERS = {
    "Content-Type": "application/x-git-upload-pack-request",
    "Accept": "application/x-git-upload-pack-result",
    "Git-Protocol": "version=2",
    "User-Agent": "git/slipway",
}
_LINE = re.compile(r"([0-9a-f]{40}) (\S+)")
_FLUSH, _DELIMITER = b"0000", b"0001"


def asked_tip(remote: Remote, branch: str, timeout: float) -> str:
    """The branch's tip, or "" where this way does not tell; never raises for what the server does."""
    if remote.is_ssh or not remote.url.startswith("http"):
        return ""
    wanted = f"refs/heads/{branch}"
    body = _packet("command=ls-refs\n") + _DELIMITER + _packet(f"ref-prefix {wanted}\n") + _FLUSH
    for line in _lines(_answer(remote, body, timeout)):
        found = _LINE.match(line)
        if found and found[2] == wanted:
            return found[1]
    return ""


def _answer(remote: Remote, body: bytes, timeout: float) -> bytes:
    headers = dict(_HEADERS)
    if remote.password:
        headers["Authorization"] = f"Basic {basic(remote)}"
    address = f"{remote.url.rstrip('/')}/git-upload-pack"
    try:
        with (
            httpx.Client(timeout=timeout, verify=_trust(remote)) as client,
            client.stream("POST", address, content=body, headers=headers) as answer,
        ):
            if answer.status_code != 200:
                return b""
            data = bytearray()
            for piece in answer.iter_bytes():
                data += piece
                if len(data) > _MAX_BYTES:
                    return b""
            return bytes(data)
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        return b""


def _trust(remote: Remote) -> ssl.SSLContext:
    return _authorities(remote.ca_file) if remote.url.startswith("https:") else no_authorities()


@lru_cache(maxsize=16)
def _authorities(ca_file: str) -> ssl.SSLContext:
    """Loading the system's authorities takes longer than the question."""
    return ssl.create_default_context(cafile=ca_file or None)


def _packet(text: str) -> bytes:
    """A packet line: its length with the four digits themselves, in hexadecimal, then the text."""
    return f"{len(text.encode()) + 4:04x}{text}".encode()


def _lines(data: bytes) -> Iterator[str]:
    position = 0
    while position + 4 <= len(data):
        digits = data[position : position + 4]
        size = int(digits, 16) if re.fullmatch(rb"[0-9a-f]{4}", digits) else 0
        if size <= 4:
            return
        yield data[position + 4 : position + size].decode(errors="replace").rstrip("\n")
        position += size
