"""Kubernetes' `Status` error bodies, word for word (reference kubernetes-watch.md, status-errors.json)."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from integrations.sandbox.kubernetes.kinds import Kind


class ApiError(Exception):
    """A request the API server refuses: the HTTP status and the Status body that tells why."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.headers = headers
        self.body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
        }
        if details is not None:
            self.body["details"] = details

    def response(self) -> Response:
        return JSONResponse(self.body, self.code, headers=self.headers)


def details(kind: Kind, name: str) -> dict[str, Any]:
    """Return a Status body's `details`; core resources have no group in it."""
    group = {"group": kind.group} if kind.group else {}
    return {"name": name, **group, "kind": kind.plural}


def unauthorized() -> ApiError:
    # Without details: nothing is said about the object.
    return ApiError(401, "Unauthorized", "Unauthorized")


def not_found(kind: Kind, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{kind.qualified} "{name}" not found', details=details(kind, name))


def already_exists(kind: Kind, name: str) -> ApiError:
    text = f'{kind.qualified} "{name}" already exists'
    # Two reasons share 409: only `reason` tells a taken name from a moved version.
    return ApiError(409, "AlreadyExists", text, details=details(kind, name))


def conflict(kind: Kind, name: str) -> ApiError:
    text = (
        f'Operation cannot be fulfilled on {kind.qualified} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return ApiError(409, "Conflict", text, details=details(kind, name))


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def invalid(kind: Kind, name: str, field: str, message: str) -> ApiError:
    cause = {"reason": "FieldValueInvalid", "message": message, "field": field}
    text = f'{kind.kind}.{kind.group} "{name}" is invalid: {field}: {message}'
    found = {"name": name, "group": kind.group, "kind": kind.kind, "causes": [cause]}
    return ApiError(422, "Invalid", text, details=found)


def denied(problem: str) -> ApiError:
    """A refusal of Tekton's admission webhook."""
    webhook = 'admission webhook "validation.webhook.pipeline.tekton.dev" denied the request'
    return bad_request(f"{webhook}: validation failed: {problem}")


def unsupported_media_type(content_type: str) -> ApiError:
    text = f"the body of the request was in an unknown format - accepted media types include: {content_type}"
    return ApiError(415, "UnsupportedMediaType", text)


def method_not_allowed() -> ApiError:
    text = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", text)


def expired_continue() -> ApiError:
    text = (
        "The provided continue parameter is too old to display a consistent list result. "
        "You can start a new list without the continue parameter."
    )
    # The cure is a new list, for a continue token as for a watch.
    return ApiError(410, "Expired", text)


def too_old(asked: int, oldest: int) -> ApiError:
    return ApiError(410, "Expired", f"too old resource version: {asked} ({oldest})")


def too_large(asked: int, current: int) -> ApiError:
    text = f"Too large resource version: {asked}, current: {current}"
    # A version from the future, often another cluster's: told as a time-out with a pause.
    found = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}
    return ApiError(504, "Timeout", text, details={**found, "retryAfterSeconds": 1})


def no_such_path() -> Response:
    """The answer for an API group or resource that is not installed: plain text, not a Status."""
    return PlainTextResponse("404 page not found\n", 404)
