"""Small middleware of our own."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from promotions.audit.origin import Origin, coming_from
from promotions.choices import Via
from promotions.policy import one_look

POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
# Swagger UI and ReDoc set style attributes and start a worker from a blob.
DOCS_POLICY = POLICY + "; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:"
DOCS = "/api/docs"


def content_security_policy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Let pages load only what this server serves, and run no inline script or style."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        policy = DOCS_POLICY if request.path.startswith(DOCS) else POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        return response

    return middleware


def origin(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Have everything that a request records say from which address it came.

    The address is the server's: behind a proxy, uvicorn takes it from X-Forwarded-For, from the proxies that
    FORWARDED_ALLOW_IPS names and nobody else.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        with coming_from(Origin(Via.PAGE, request.META.get("REMOTE_ADDR") or "unknown")):
            return get_response(request)

    return middleware


def looking(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Have a request that only reads answer from one look at the gates' tables."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return get_response(request)
        with one_look():
            return get_response(request)

    return middleware
