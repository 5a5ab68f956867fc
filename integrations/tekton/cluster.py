"""The Kubernetes API as the Tekton adapter uses it: requests, errors, lines of a stream.

The `kubernetes` package takes 0.6 to 1.0 s to import and 44 MB (reference measurements.md), so only this
module imports it, and the client imports this module when it is made. docs/adr/0002-kubernetes-client.md
says why its Watch and informer are not used.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
from kubernetes import client as kubernetes

from integrations.errors import IntegrationError, NotFound, Unavailable
from integrations.http import (
    MAX_BYTES,
    USER_AGENT,
    Retry,
    Vendor,
    checked_url,
    error_for_status,
    hide,
    message_of,
    parse_json,
    retry_after_of,
    retry_read,
)
from integrations.shape import Json, mapping, text

VENDOR = Vendor("tekton", "Kubernetes")
PAGE = 500
MAX_LINE = 16 * 1024 * 1024
_MERGE_PATCH = "application/merge-patch+json"  # strategic merge is 415 for custom resources

Query = Mapping[str, str | int | bool | None]


class Cluster:
    """One namespace of one API server. Not shared between threads."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        namespace: str,
        ca_file: str | None,
        timeout: float,
        retry: Retry | None = None,
    ) -> None:
        configuration: Any = kubernetes.Configuration()  # the stubs lack half of its settings
        configuration.host = checked_url(url)
        configuration.ssl_ca_cert = ca_file
        # urllib3's default would repeat requests and follow redirects.
        configuration.retries = urllib3.Retry(0, redirect=0, raise_on_redirect=False)
        # A connection lost without a word is noticed by the kernel long before a read time-out.
        configuration.keep_alive = True
        self._api: Any = kubernetes.ApiClient(configuration)
        # Set here and not through the configuration: 36.0.0 read another key there than it wrote.
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": USER_AGENT}
        self._secrets = (token,)
        self.namespace = namespace
        self._timeout = timeout
        self._retry = retry or Retry()
        self._version = "v1"

    @property
    def url(self) -> str:
        return str(self._api.configuration.host)

    def close(self) -> None:
        """Give the connections back."""
        self._api.rest_client.pool_manager.clear()

    def get(self, plural: str, name: str = "", query: Query | None = None) -> Json:
        """One object or one page of a list, repeated on transient failures."""
        return retry_read(lambda: self._json("GET", plural, name, query), self._retry)

    def create(self, plural: str, body: Json) -> Json:
        """A new object. Conflict when the name is taken."""
        return self._json("POST", plural, "", None, body)

    def patch(self, plural: str, name: str, body: Json) -> Json:
        """A merge patch."""
        return self._json("PATCH", plural, name, None, body)

    @contextmanager
    def watch(self, plural: str, query: Query, *, read_timeout: float) -> Iterator[urllib3.BaseHTTPResponse]:
        """An open watch. The read time-out must be longer than the server's `timeoutSeconds`."""
        path = self._path(plural)
        with self._open("GET", path, query, timeout=(min(self._timeout, 5.0), read_timeout)) as answer:
            yield answer

    @contextmanager
    def log(self, pod: str, query: Query, *, read_timeout: float) -> Iterator[urllib3.BaseHTTPResponse]:
        """An open log. The generated client knows no sinceTime, so the path is written out here."""
        path = f"/api/v1/namespaces/{quote(self.namespace, safe='')}/pods/{quote(pod, safe='')}/log"
        with self._open("GET", path, query, timeout=(min(self._timeout, 5.0), read_timeout)) as answer:
            yield answer

    def _path(self, plural: str, name: str = "") -> str:
        tail = f"/{quote(name, safe='')}" if name else ""
        return f"/apis/tekton.dev/{self._version}/namespaces/{quote(self.namespace, safe='')}/{plural}{tail}"

    def _json(
        self, method: str, plural: str, name: str, query: Query | None, body: Json | None = None
    ) -> Json:
        try:
            return self._once(method, self._path(plural, name), query, body)
        except NotFound as error:
            # A cluster with an old Tekton serves v1beta1 only; it says so in plain text, not in a Status.
            if self._version != "v1" or "404 page not found" not in error.message:
                raise
            self._version = "v1beta1"
            return self._once(method, self._path(plural, name), query, body)

    def _once(self, method: str, path: str, query: Query | None, body: Json | None) -> Json:
        if body is not None:
            body = {**body, "apiVersion": f"tekton.dev/{self._version}"} if method == "POST" else body
        with self._open(
            method, path, query, body=body, timeout=(min(self._timeout, 5.0), self._timeout)
        ) as answer:
            return mapping(parse_json(VENDOR, _whole(answer)))

    @contextmanager
    def _open(
        self,
        method: str,
        path: str,
        query: Query | None,
        *,
        timeout: tuple[float, float],
        body: Json | None = None,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        pairs = {key: _plain(value) for key, value in (query or {}).items() if value is not None}
        url = f"{self.url}{path}{'?' if pairs else ''}{urlencode(pairs)}"
        kind = (
            {"Content-Type": _MERGE_PATCH if method == "PATCH" else "application/json"}
            if body is not None
            else {}
        )
        answer: urllib3.BaseHTTPResponse | None = None
        try:
            reply = self._api.call_api(method, url, {**self._headers, **kind}, body, None, timeout)
            answer = reply.response
            assert answer is not None  # call_api never hands back an empty wrapper
            if answer.status >= 300:
                raise self._error(answer)
            yield answer
        except kubernetes.ApiException as error:
            raise self._client_error(error) from None
        except urllib3.exceptions.HTTPError as error:
            raise _transport_error(error) from error
        finally:
            if answer is not None:
                answer.close()
                answer.release_conn()

    def _error(self, answer: urllib3.BaseHTTPResponse) -> IntegrationError:
        detail = hide(message_of(_whole(answer)), self._secrets)
        after = retry_after_of({key.lower(): value for key, value in answer.headers.items()})
        return error_for_status(VENDOR, answer.status, detail, retry_after=after)

    def _client_error(self, error: kubernetes.ApiException) -> IntegrationError:
        """What the client raises by itself: TLS failures come as status 0."""
        detail = hide(text(error.body) or text(error.reason), self._secrets)
        return error_for_status(VENDOR, int(error.status or 0) or 503, detail)


def lines(answer: urllib3.BaseHTTPResponse, *, keep_rest: bool = False) -> Iterator[bytes]:
    """The complete lines of an open answer as they arrive. Half a line at its orderly end is dropped, for a
    reconnect brings it again, unless `keep_rest`. Raises Unavailable for a line without end."""
    buffer = bytearray()
    for chunk in answer.stream(amt=None, decode_content=True):
        buffer += chunk
        if b"\n" in chunk:
            *complete, rest = bytes(buffer).split(b"\n")
            yield from complete
            buffer = bytearray(rest)
        if len(buffer) > MAX_LINE:
            raise Unavailable(f"{VENDOR.title} sent a line without end", vendor=VENDOR.key)
    if keep_rest and buffer:
        yield bytes(buffer)


def socket_of(answer: urllib3.BaseHTTPResponse) -> Any:
    """The socket under an answer, to be shut down from another thread."""
    return getattr(getattr(answer, "connection", None), "sock", None)


def status_error(status: Json) -> IntegrationError:
    """The error a Status object tells, as sent inside a watch (kubernetes-watch.md section 1)."""
    code = status.get("code")
    detail = text(status.get("message")) or json.dumps(status)[:200]
    return error_for_status(VENDOR, code if isinstance(code, int) else 500, detail)


def _whole(answer: urllib3.BaseHTTPResponse) -> bytes:
    body = bytearray()
    for chunk in answer.stream(64 * 1024, decode_content=True):
        body += chunk
        if len(body) > 4 * MAX_BYTES:
            raise Unavailable(f"{VENDOR.title} sent more than can be read", vendor=VENDOR.key)
    return bytes(body)


def _transport_error(error: urllib3.exceptions.HTTPError) -> Unavailable:
    cause: BaseException | None = error
    while isinstance(cause, urllib3.exceptions.MaxRetryError):
        cause = cause.reason
    if isinstance(cause, urllib3.exceptions.SSLError | ssl.SSLError):
        why = "its certificate is not trusted"
    elif isinstance(cause, urllib3.exceptions.ReadTimeoutError):
        why = "it did not answer in time"
    elif isinstance(cause, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError):
        why = "it cannot be reached"
    else:
        why = "the connection broke"
    return Unavailable(f"{VENDOR.title} is unavailable: {why}", vendor=VENDOR.key)


def _plain(value: str | int | bool | None) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
