"""Ask a URL about a promotion, signed so that its owner knows who asks.

The signature is that of Standard Webhooks: HMAC-SHA256 over "<id>.<timestamp>.<body>", base64, with the
version in front; receivers use the libraries they use for webhooks (reference webhook-security.md).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from integrations.errors import Rejected
from integrations.http import HttpClient, Vendor, parse_json
from integrations.shape import mapping, text

VENDOR = Vendor("check", "The check")
STATES = ("pending", "passed", "failed")
_MOST_BYTES = 64 * 1024
_PREFIX = "whsec_"


@dataclass(frozen=True, slots=True)
class Answer:
    """`state` is one of pending, passed, failed; the message is the checker's own words."""

    state: str
    message: str
    link: str


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of webhook-signature. A secret "whsec_..." is base64, any other is taken as it is."""
    key = secret.encode()
    if secret.startswith(_PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error as error:
            raise ValueError("a secret that begins with whsec_ must be base64 after that") from error
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


class CheckClient:
    """One check's address. It is the catalogue's alone: nothing an outsider says leads elsewhere, and
    redirects are refused, so that no answer can point us at an inner address."""

    def __init__(self, url: str, secret: str, *, timeout: float = 8.0) -> None:
        self._secret = secret
        self._http = HttpClient(VENDOR, url, secrets=[secret], timeout=timeout, max_bytes=_MOST_BYTES)

    def close(self) -> None:
        self._http.close()

    def ask(self, question: Mapping[str, object], *, message_id: str) -> Answer:
        """Return what the check says. `message_id` is the same for the same question, so that it can be
        recognised. Raises IntegrationError."""
        body = json.dumps(question, separators=(",", ":"), sort_keys=True).encode()
        timestamp = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._secret, message_id, timestamp, body),
        }
        answer = self._http.write("POST", "", headers=headers, content=body)
        said = mapping(parse_json(VENDOR, answer.content))
        state = text(said.get("state"))
        if state not in STATES:
            raise Rejected(
                f"{VENDOR.title} answered without a state of {', '.join(STATES)}", vendor=VENDOR.key
            )
        return Answer(state, text(said.get("message")), _link(text(said.get("link"))))


def _link(url: str) -> str:
    """Only what a browser may follow is kept."""
    return url if url.startswith(("https://", "http://")) and len(url) <= 1000 else ""
