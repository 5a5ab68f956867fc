"""The one table from errors to HTTP."""

from __future__ import annotations

from typing import Any

import httpx
from rest_framework import status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from integrations.errors import IntegrationError, Unavailable
from promotions.policy import Refused
from promotions.workflow import StaleState


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer a failed request; None lets Django answer 500.

    Refused: 409 with every gate's refusal. StaleState: 409 with `stale`, look again and decide. A vendor
    that does not answer in time: 504, one that does not answer: 503, one that refuses us: 502.
    """
    match error:
        case Refused():
            body: dict[str, object] = {"refusals": [refusal.as_dict() for refusal in error.refusals]}
            return Response(body, status.HTTP_409_CONFLICT)
        case StaleState():
            return Response({"detail": str(error), "stale": True}, status.HTTP_409_CONFLICT)
        case IntegrationError():
            return _vendor_failed(error)
    return exception_handler(error, context)


def _vendor_failed(error: IntegrationError) -> Response:
    headers = {"Retry-After": str(round(error.retry_after))} if error.retry_after else {}
    return Response({"detail": error.message, "vendor": error.vendor}, _code(error), headers=headers)


def _code(error: IntegrationError) -> int:
    if not isinstance(error, Unavailable):
        return status.HTTP_502_BAD_GATEWAY
    if isinstance(error.__cause__, httpx.TimeoutException):
        return status.HTTP_504_GATEWAY_TIMEOUT
    return status.HTTP_503_SERVICE_UNAVAILABLE
