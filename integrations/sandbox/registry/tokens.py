"""The Bearer token flow of the distribution API (reference registry-and-harbor.md, "Token flow")."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from integrations.sandbox import invented

SERVICE = "harbor-registry"
# Half an hour, as Harbor's; a registry that leaves expires_in out means 60 seconds.
LIFETIME = 1800


class Denied(Exception):
    """The request may not do this: the answer is a 401 with a challenge for the scope it needs."""

    def __init__(self, scope: str, *, insufficient: bool = False) -> None:
        super().__init__(scope)
        self.scope = scope
        self.insufficient = insufficient

    def response(self, base: str) -> Response:
        challenge = f'Bearer realm="{base}/service/token",service="{SERVICE}"'
        challenge += f',scope="{self.scope}"' if self.scope else ""
        # Told apart from "who are you": asking again for the same scope would not help.
        challenge += ',error="insufficient_scope"' if self.insufficient else ""
        error = {"code": "UNAUTHORIZED", "message": "unauthorized: unauthorized to access repository"}
        return JSONResponse({"errors": [error]}, 401, headers={"Www-Authenticate": challenge})


def basic(request: Request) -> bool | None:
    """Tell whether the Basic credentials are right; None where there are none."""
    kind, _, encoded = request.headers.get("authorization", "").partition(" ")
    # The scheme's name has no case.
    if kind.lower() != "basic":
        return None
    try:
        sent = base64.b64decode(encoded)
    except binascii.Error:
        return False
    return hmac.compare_digest(sent, f"{invented.HARBOR_USER}:{invented.HARBOR_PASSWORD}".encode())


class Tokens:
    """Issued tokens and what they allow; forgotten at a restart, as after a key rotation."""

    def __init__(self) -> None:
        self.issued: dict[str, tuple[float, set[str]]] = {}

    async def issue(self, request: Request) -> Response:
        """GET /service/token: without credentials an empty token, with wrong ones a 401."""
        known = basic(request)
        if known is False:
            error = {"code": "UNAUTHORIZED", "message": "unauthorized: authentication required"}
            return JSONResponse({"errors": [error]}, 401)
        # Several scopes come as several parameters or in one with blanks: clients do both.
        scopes = " ".join(request.query_params.getlist("scope")).split()
        token = f"eyJhbGciOiJSUzI1NiJ9.{secrets.token_urlsafe(24)}.{secrets.token_urlsafe(12)}"
        # A stranger gets a token as well, one that opens nothing: public repositories work so.
        self.issued[token] = (time.time() + LIFETIME, set(_granted(scopes)) if known else set())
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        body: dict[str, Any] = {
            "token": token,
            # OAuth's name for the same thing: present and empty, so that a client must take `token`.
            "access_token": "",
            "expires_in": LIFETIME,
            "issued_at": moment,
        }
        return JSONResponse(body)

    def check(self, request: Request, repository: str, action: str) -> None:
        """Raise Denied unless the request may do `action` ("" = just speak to /v2/)."""
        scope = f"repository:{repository}:{action}" if action else ""
        # Basic credentials pass at every path, too: Harbor takes both.
        if basic(request):
            return
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        expires, allowed = self.issued.get(token, (0.0, set()))
        if kind.lower() != "bearer" or expires < time.time():
            raise Denied(scope.replace(":push", ":pull,push"))
        if action and scope not in allowed:
            raise Denied(scope.replace(":push", ":pull,push"), insufficient=True)


def _granted(scopes: list[str]) -> list[str]:
    """Return one "repository:NAME:ACTION" for each action of the scopes."""
    granted = []
    for scope in scopes:
        kind, _, rest = scope.partition(":")
        # From the right: a repository's name may hold a port's colon.
        name, _, actions = rest.rpartition(":")
        granted += [f"{kind}:{name}:{action}" for action in actions.split(",")]
    return granted
