"""The token flow of registries (reference registry-and-harbor.md, "Token flow")."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from integrations.errors import Unauthorized
from integrations.http import HttpClient, Vendor, parse_json, same_origin
from integrations.shape import mapping, number, text

VENDOR = Vendor("registry", "The registry")
_PARAMETER = re.compile(r'([a-zA-Z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a 401 asks for: scheme in lower case, and the parameters of a Bearer challenge."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


def challenge_of(header: str) -> Challenge:
    """The challenge in a Www-Authenticate header; scheme "" for none or nonsense."""
    scheme, _, rest = header.strip()[:4000].partition(" ")
    found = {key.lower(): quoted or plain for key, quoted, plain in _PARAMETER.findall(rest)}
    return Challenge(scheme.lower(), found.get("realm", ""), found.get("service", ""), found.get("scope", ""))


def basic(username: str, password: str) -> str:
    """The value of a Basic Authorization header."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class Tokens:
    """Bearer tokens by (realm, service, scope), fetched when asked for and kept until they expire.

    A hostile registry may name any realm, so our password goes to the registry's own host and to the hosts
    of `realm_hosts` only: "auth.docker.io" or "host:port" (https), or "http://host:port".
    """

    def __init__(
        self,
        http: HttpClient,
        *,
        username: str,
        password: str,
        realm_hosts: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._basic = basic(username, password) if username or password else ""
        self._allowed = {host.lower() for host in realm_hosts}
        self._clock = clock
        self._kept: dict[tuple[str, str, str], tuple[str, float]] = {}

    def header(self, challenge: Challenge, scope: str) -> str:
        """The Authorization value that answers the challenge. Raises Unauthorized when none can."""
        if challenge.scheme == "basic" and self._basic:
            return self._basic
        if challenge.scheme != "bearer" or not challenge.realm:
            raise Unauthorized(f"{VENDOR.title} asks for credentials", vendor=VENDOR.key, status=401)
        key = (challenge.realm, challenge.service, challenge.scope or scope)
        token, until = self._kept.get(key, ("", 0.0))
        if not token or self._clock() >= until:
            token, seconds = self._fetch(*key)
            # Ten seconds early, for the clock goes on while requests travel.
            self._kept[key] = (token, self._clock() + max(1, seconds - 10))
        return f"Bearer {token}"

    def forget(self) -> None:
        """Drop all tokens: one was refused although it should still be good."""
        self._kept.clear()

    def _fetch(self, realm: str, service: str, scope: str) -> tuple[str, int]:
        if not self._may_ask(realm):
            host = urlsplit(realm).netloc.rpartition("@")[2]
            raise Unauthorized(
                f"{VENDOR.title} sends us to {host[:100]} for a token; the configuration does not allow that",
                vendor=VENDOR.key,
                status=401,
            )
        params = {key: value for key, value in (("service", service), ("scope", scope)) if value}
        headers = {"Authorization": self._basic} if self._basic else {}
        data = mapping(parse_json(VENDOR, self._http.read(realm, params=params, headers=headers).content))
        token = text(data.get("token")) or text(data.get("access_token"))
        if not token:
            raise Unauthorized(f"{VENDOR.title} gave no token", vendor=VENDOR.key, status=401)
        return token, number(data.get("expires_in")) or 60

    def _may_ask(self, realm: str) -> bool:
        parts = urlsplit(realm)
        if parts.scheme not in ("http", "https") or "@" in parts.netloc:
            return False
        if same_origin(self._http.base_url, realm):
            return True
        if any("://" in entry and same_origin(entry, realm) for entry in self._allowed):
            return True
        # A bare name over plain http would show the password to everybody in between.
        return parts.scheme == "https" and not self._allowed.isdisjoint(
            {parts.netloc.lower(), parts.hostname or ""}
        )
