"""What the webhook modules of all vendors need to handle bytes that anybody may have written.

Parsing hazards and the reasons are in reference webhook-security.md ("Parsing hazards").
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence

from integrations.shape import Json

_LONGEST_KEY = 200
_LONGEST_NAME = 255


class Unreadable(Exception):
    """The body cannot be used; the text is a sentence for the inbox."""


def lowered(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers by lower-case name."""
    return {name.lower(): value for name, value in headers.items()}


def load(body: bytes) -> Json:
    """The JSON object in the body. Raises Unreadable, and nothing else, for anything that is none."""
    try:
        # Bytes are decoded strictly here; json.loads would guess UTF-16 and let surrogates through.
        value: object = json.loads(body.decode("utf-8"), parse_constant=_refuse)
    except UnicodeDecodeError:
        raise Unreadable("The body is not UTF-8") from None
    except RecursionError:
        raise Unreadable("The body is nested too deeply") from None
    except ValueError:  # also integers beyond Python's limit of digits
        raise Unreadable("The body is not JSON") from None
    if not isinstance(value, dict):
        raise Unreadable("The body is JSON, but not an object")
    return value


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


def same_secret(given: str, secrets: Sequence[str]) -> bool:
    """Whether the text is one of the secrets, in time that tells nothing. Nothing equals an empty one."""
    given_bytes = given.encode("utf-8", "surrogatepass")
    # A list, not a generator: every secret is compared, whichever matches.
    found = [_equal(given_bytes, secret) for secret in secrets]
    return any(found)


def _equal(given: bytes, secret: str) -> bool:
    # On bytes: compare_digest raises for text outside ASCII.
    return hmac.compare_digest(given, secret.encode("utf-8", "surrogatepass")) and bool(secret)


def key_of(*parts: str) -> str:
    """A key of these parts; long or unprintable ones are replaced by a hash, so that it fits a column."""
    key = ":".join(parts)
    if len(key) <= _LONGEST_KEY and key.isprintable():
        return key
    return f"{parts[0][:20]}:sha256:{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"


def usable(name: str) -> bool:
    """Whether a name of others may be stored and looked up: printable (no NUL, no line break, no lone
    surrogate) and not endless. No Git ref, tag or repository is anything else."""
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable()
