"""An OpenID Connect provider on loopback: discovery, authorize, token with PKCE, keys, userinfo; RS256.

It signs in whoever `person` says, without asking, and can be told to misbehave.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "slipway", "the-client-s-secret"


@dataclass
class Provider:
    """`claims` are the person's; `token` and `userinfo` override what is told; None removes a claim."""

    url: str
    claims: dict[str, Any] = field(
        default_factory=lambda: {
            "sub": "1234",
            "preferred_username": "ada",
            "given_name": "Ada",
            "family_name": "Weber",
            "email": "ada@example.com",
            "email_verified": True,
            "groups": ["approvers"],
        }
    )
    token: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    key: rsa.RSAPrivateKey | str | None = None
    is_down: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @cached_property
    def own_key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            **self.discovery,
        }

    def authorize(self, asked: dict[str, str]) -> str:
        """Return where the browser goes back to."""
        self.asked.append(asked)
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def exchange(self, said: dict[str, str]) -> dict[str, Any] | None:
        """Give tokens for a code, once, to the client that proves to have asked for it."""
        asked = self.codes.pop(said.get("code", ""), None)
        if asked is None or (said.get("client_id"), said.get("client_secret")) != (CLIENT, SECRET):
            return None
        digest = hashlib.sha256(said.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != asked.get("code_challenge"):
            return None
        return {"access_token": "an-access-token", "token_type": "Bearer", "id_token": self.id_token(asked)}

    def id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {**self.claims, "iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300}
        claims |= {"nonce": asked.get("nonce"), **self.token}
        kept = {name: value for name, value in claims.items() if value is not None}
        headers = {"kid": "k1", **self.header}
        return jwt.encode(kept, self.key or self.own_key, headers.pop("alg", "RS256"), headers=headers)

    def keys(self) -> dict[str, Any]:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.own_key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": "k1", "alg": "RS256", "use": "sig"}]}

    def told(self) -> dict[str, Any]:
        said = {**self.claims, **self.userinfo}
        return {name: value for name, value in said.items() if value is not None}


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        provider = self.provider
        if provider.is_down:
            self.send_error(503)
        elif parts.path == "/authorize":
            self.send_response(302)
            self.send_header("Location", provider.authorize(asked))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif parts.path == "/userinfo" and self.headers["Authorization"] != "Bearer an-access-token":
            self.send_error(401)
        else:
            answers = {
                "/.well-known/openid-configuration": provider.configuration,
                "/keys": provider.keys,
                "/userinfo": provider.told,
            }
            self._answer(answers[parts.path]())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        answer = self.provider.exchange({name: values[0] for name, values in parse_qs(body).items()})
        self._answer(answer or {"error": "invalid_grant"}, 200 if answer else 400)

    def _answer(self, content: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        return


@contextmanager
def running_provider() -> Iterator[Provider]:
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    provider = Provider(f"http://127.0.0.1:{server.server_port}")
    handler.provider = provider  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
