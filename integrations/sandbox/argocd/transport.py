"""The gateway's rules for every endpoint (reference argocd-api.md section 1): errors, auth, content type."""

from __future__ import annotations

import gzip
import json
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from integrations.sandbox import invented

Object = dict[str, Any]
# 3 and 9 both become 400: only the body's `code` tells a bad request from "not now".
HTTP = {1: 408, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 12: 501, 13: 500}
HTTP |= {14: 503, 16: 401}
WORDS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    503: "Service Unavailable",
}


class Refused(Exception):
    """A gRPC error; the gateway turns it into an HTTP status and a JSON body."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def response(self) -> Response:
        # The same text twice, as grpc-gateway v1 has it.
        body = {"error": self.message, "code": self.code, "message": self.message}
        return Response(json.dumps(body), HTTP[self.code], media_type="application/json")

    def frame(self) -> Object:
        """Return the error as a stream carries it."""
        status = HTTP[self.code]
        told = {"grpc_code": self.code, "http_code": status, "message": self.message}
        return {"error": told | {"http_status": WORDS.get(status, "Internal Server Error")}}


DENIED = "permission denied"


def answer(request: Request, body: Object, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer, compressed where the client takes gzip."""
    content = json.dumps(body, separators=(",", ":")).encode()
    response = Response(content, media_type="application/json", headers=headers)
    # On by default for everything except the event stream (section 1).
    if "gzip" in request.headers.get("accept-encoding", ""):
        response = Response(gzip.compress(content), media_type="application/json", headers=headers)
        response.headers["Content-Encoding"] = "gzip"
    return response


def check_content_type(request: Request) -> Response | None:
    """Refuse a write whose Content-Type is not exactly application/json, DELETE without a body included."""
    # The whole value is compared: even "; charset=utf-8" behind it is refused.
    if request.method != "GET" and request.headers.get("content-type") != "application/json":
        return PlainTextResponse("Invalid content type\n", 415)
    return None


def user(request: Request, issued: dict[str, str]) -> str:
    """Return who calls; raise 401 for a missing or unknown token."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind != "Bearer" or token.count(".") != 2:
        # A value that is not shaped like a JWT counts as absent; then the cookie is looked at.
        token = request.cookies.get("argocd.token", "")
    if token.count(".") != 2:
        raise Refused(16, "no session information")
    known = {invented.ARGOCD_TOKEN: "slipway", invented.ARGOCD_READER_TOKEN: "reader"} | issued
    if token not in known:
        raise Refused(16, "invalid session: failed to verify the token")
    return known[token]


async def body_of(request: Request) -> Object:
    """Return the JSON body; unknown keys are the caller's business: they are ignored."""
    raw = await request.body()
    try:
        parsed = json.loads(raw) if raw else {}
    except ValueError as error:
        raise Refused(3, str(error)) from error
    if not isinstance(parsed, dict):
        raise Refused(3, "json: cannot unmarshal into Go value")
    return parsed
