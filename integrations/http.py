"""The one HTTP seam of the adapters that speak plain HTTP, and the one mapping of failures to errors.

It keeps the rules of reference webhook-security.md ("SSRF on our outbound side"): no redirects across
hosts unless the caller expects them, and never credentials to another host.
"""

from __future__ import annotations

import json
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TypeVar

import httpx

from integrations.errors import Conflict, IntegrationError, NotFound, Rejected, Unauthorized, Unavailable
from integrations.shape import dig, one_line, text

USER_AGENT = "slipway"
MAX_BYTES = 32 * 1024 * 1024
MAX_REDIRECTS = 5
# Shorter text in a credential would blot out ordinary words when it is hidden.
_SHORTEST_SECRET = 4

Params = Mapping[str, str | Sequence[str]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Vendor:
    """`key` is the adapter's name in errors ("argocd"), `title` the name people know ("Argo CD")."""

    key: str
    title: str


@dataclass(frozen=True, slots=True)
class Retry:
    """How reads are repeated: `attempts` in all, pauses of `base` seconds doubling up to `bound`, with
    jitter. A vendor that asks for more than `bound` seconds is not waited for: the error says how long.
    """

    attempts: int = 3
    base: float = 0.2
    bound: float = 2.0
    sleep: Callable[[float], None] = time.sleep

    def pause(self, attempt: int, asked: float | None) -> float | None:
        """Seconds to wait after the given attempt (from 1), None to give up."""
        if attempt >= self.attempts or (asked is not None and asked > self.bound):
            return None
        backoff: float = min(self.bound, self.base * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)
        return backoff if asked is None else max(asked, backoff)


def retry_read(call: Callable[[], T], retry: Retry) -> T:
    """The call's answer, repeated on Unavailable. Only for reads: a repeated write may happen twice."""
    attempt = 1
    while True:
        try:
            return call()
        except Unavailable as error:
            pause = retry.pause(attempt, error.retry_after)
            if pause is None:
                raise
            retry.sleep(pause)
            attempt += 1


def error_for_status(
    vendor: Vendor, status: int, detail: str, *, retry_after: float | None = None
) -> IntegrationError:
    """The one mapping of HTTP statuses. `detail` is the vendor's own text, already free of secrets."""
    kind: type[IntegrationError]
    if status in (401, 403):
        kind = Unauthorized
    elif status in (404, 410):
        kind = NotFound
    elif status in (409, 412):
        kind = Conflict
    elif status in (408, 425, 429) or (status >= 500 and status != 501):
        kind = Unavailable
    else:
        kind = Rejected
    said = one_line(detail) or "nothing more"
    message = f"{vendor.title} answered {status}: {said}"
    return kind(message, vendor=vendor.key, status=status, retry_after=retry_after)


def error_for_transport(vendor: Vendor, error: httpx.HTTPError) -> Unavailable:
    """A failure without an answer. httpx's own text is not quoted where it could hold an address."""
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ssl.SSLError):
            cause = cause.__cause__ or cause.__context__
        why = "its certificate is not trusted" if cause is not None else "it cannot be reached"
    elif isinstance(error, httpx.TimeoutException):
        why = "it did not answer in time"
    else:
        why = "the connection broke"
    return Unavailable(f"{vendor.title} is unavailable: {why} ({type(error).__name__})", vendor=vendor.key)


def retry_after_of(
    headers: Mapping[str, str], now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> float | None:
    """Seconds asked for by Retry-After (a number or a date); None when absent or nonsense."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit() and len(value) < 8:
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now()).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def parse_json(vendor: Vendor, body: bytes | str) -> object:
    """The parsed body. A 200 with a login page or half a body is no usable answer: Unavailable."""
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        raise Unavailable(
            f"{vendor.title} answered with something that is not JSON", vendor=vendor.key
        ) from None
    return value


def hide(detail: str, secrets: Sequence[str]) -> str:
    """The text without the credentials: some servers and proxies echo what they were sent."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            detail = detail.replace(secret, "***")
    return detail


def same_origin(one: str, other: str) -> bool:
    """Whether credentials for `one` may go to `other`: same host and port, or its https twin."""
    a, b = httpx.URL(one), httpx.URL(other)
    ports = {"http": 80, "https": 443}
    if a.host != b.host:
        return False
    if (a.scheme, a.port) == ("http", None) and (b.scheme, b.port) == ("https", None):
        return True
    return a.scheme == b.scheme and (a.port or ports.get(a.scheme)) == (b.port or ports.get(b.scheme))


@lru_cache(maxsize=1)
def authorities() -> ssl.SSLContext:
    """The public certificate authorities, loaded once a process: reading them takes 40 ms of processor time,
    and each thread has clients of its own."""
    return httpx.create_ssl_context()


@lru_cache(maxsize=1)
def no_authorities() -> ssl.SSLContext:
    """For connections without TLS. It trusts nobody, so that TLS spoken by mistake fails."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@contextmanager
def shut_down_on(stop: threading.Event, sock: socket.socket | None) -> Iterator[None]:
    """While inside, setting `stop` ends a read that is blocked on the socket within half a second.

    The reader then sees an end of stream or a broken connection and asks `stop` which it was.
    """
    done = threading.Event()

    def wait() -> None:
        while not done.is_set():
            if stop.wait(0.25):
                # The plain socket's method: SSLSocket's own drops its state under a running read.
                with suppress(OSError):
                    if sock is not None:
                        socket.socket.shutdown(sock, socket.SHUT_RDWR)
                return

    waiter = threading.Thread(target=wait, name="shut-down-on-stop", daemon=True)
    waiter.start()
    try:
        yield
    finally:
        done.set()
        waiter.join()


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer with a status below 400, or one the caller said it expects."""

    status: int
    headers: httpx.Headers
    content: bytes
    url: str

    def join(self, reference: str) -> str:
        """A link of this answer as a full address."""
        return str(httpx.URL(self.url).join(reference))


class HttpClient:
    """One vendor's base address with its credentials. Not shared between threads; close it after use.

    `headers` are credentials and go to the base address' host only. `secrets` never show in errors.
    """

    def __init__(
        self,
        vendor: Vendor,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
        timeout: float = 10.0,
        ca_file: str | None = None,
        retry: Retry | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.vendor = vendor
        self.base_url = checked_url(base_url)
        self._headers = dict(headers or {})
        self._secrets = tuple(secrets)
        self._retry = retry or Retry()
        self._max_bytes = max_bytes
        self._timeout = httpx.Timeout(timeout, connect=min(timeout, 5.0))
        # A file may be replaced while we run: it is read for each client.
        self._own_trust = ssl.create_default_context(cafile=ca_file) if ca_file else None
        self._clients: dict[str, httpx.Client] = {}

    def __repr__(self) -> str:
        return f"<HttpClient {self.vendor.key} {self.base_url}>"

    def close(self) -> None:
        """Give the connections back."""
        for client in self._clients.values():
            client.close()

    def __del__(self) -> None:
        # Kept one per thread: a thread that ends takes its client with it, and nobody else can close it.
        for client in getattr(self, "_clients", {}).values():
            client.close()

    def read(
        self,
        path: str,
        *,
        method: str = "GET",
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        expect: Sequence[int] = (),
        cross_host: bool = False,
    ) -> Response:
        """The answer to a GET or HEAD of a path below the base address (or a full address), repeated on
        transient failures. `expect` are error statuses to hand back; `cross_host` follows redirects to
        another host, without credentials. Raises IntegrationError."""

        def once() -> Response:
            return self._follow(method, path, params, headers or {}, expect, cross_host)

        return retry_read(once, self._retry)

    def write(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Response:
        """One request that changes something: never repeated, never redirected. Raises IntegrationError."""
        with self.open(method, path, params=params, headers=headers, content=content) as answer:
            return self._whole(answer, ())

    def read_json(self, path: str, *, params: Params | None = None) -> object:
        """The parsed body of a GET."""
        return parse_json(self.vendor, self.read(path, params=params).content)

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout: httpx.Timeout | None = None,
    ) -> Iterator[httpx.Response]:
        """An open answer whose body is not read yet; transport failures inside become Unavailable."""
        url = self.url(path)
        own = self._headers if same_origin(self.base_url, url) else {}
        try:
            with self._client(url).stream(
                method,
                url,
                params=_params(params),
                headers={**own, **(headers or {})},
                content=content,
                timeout=timeout or self._timeout,
            ) as answer:
                yield answer
        except httpx.HTTPError as error:
            raise error_for_transport(self.vendor, error) from error
        except httpx.InvalidURL:
            raise Rejected(
                f"{self.vendor.title} named an address that cannot be used", vendor=self.vendor.key
            ) from None

    def url(self, path: str) -> str:
        """The full address of a path below the base address; full addresses stay."""
        return path if path.startswith(("http://", "https://")) else f"{self.base_url}{path}"

    def refused(self, answer: Response) -> IntegrationError:
        """The error for an answer that was expected and handed back."""
        detail = hide(message_of(answer.content), self._secrets)
        return error_for_status(
            self.vendor, answer.status, detail, retry_after=retry_after_of(answer.headers)
        )

    def error(self, answer: httpx.Response, body: bytes) -> IntegrationError:
        """The error for an answer, quoting the vendor's message."""
        detail = hide(message_of(body), self._secrets)
        after = retry_after_of(answer.headers)
        return error_for_status(self.vendor, answer.status_code, detail, retry_after=after)

    def _client(self, url: str) -> httpx.Client:
        """The connections for the address' scheme."""
        scheme = "https" if httpx.URL(url).scheme == "https" else "http"
        if scheme not in self._clients:
            self._clients[scheme] = httpx.Client(
                timeout=self._timeout,
                verify=(self._own_trust or authorities()) if scheme == "https" else no_authorities(),
                # No cookies: Harbor's session cookie would switch on its CSRF check.
                cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
                headers={"User-Agent": USER_AGENT},
                follow_redirects=False,
            )
        return self._clients[scheme]

    def _follow(
        self,
        method: str,
        path: str,
        params: Params | None,
        headers: Mapping[str, str],
        expect: Sequence[int],
        cross_host: bool,
    ) -> Response:
        url, home = self.url(path), self.url(path)
        for _ in range(MAX_REDIRECTS):
            # What the caller adds (a registry's bearer token) belongs to the first host only.
            own = headers if same_origin(home, url) else _without_credentials(headers)
            with self.open(method, url, params=params, headers=own) as answer:
                if not answer.has_redirect_location:
                    return self._whole(answer, expect)
                target = str(answer.url.join(answer.headers["location"]))
            if not cross_host and not same_origin(url, target):
                raise Rejected(
                    f"{self.vendor.title} redirects to another host",
                    vendor=self.vendor.key,
                    status=answer.status_code,
                )
            url, params = target, None
        raise Rejected(f"{self.vendor.title} redirects without end", vendor=self.vendor.key)

    def _whole(self, answer: httpx.Response, expect: Sequence[int]) -> Response:
        body = bytearray()
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > self._max_bytes:
                raise Rejected(
                    f"{self.vendor.title} sent more than {self._max_bytes} bytes", vendor=self.vendor.key
                )
        if answer.status_code >= 300 and answer.status_code not in expect:
            raise self.error(answer, bytes(body))
        return Response(answer.status_code, answer.headers, bytes(body), str(answer.url))


def checked_url(url: str) -> str:
    """A base address without its trailing slash. Raises ValueError for anything but plain http(s), and
    for credentials in the address, which would end in logs."""
    parsed = httpx.URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("the address must start with http:// or https:// and name a host")
    if parsed.userinfo:
        raise ValueError("the address must not contain credentials")
    return url.rstrip("/")


def message_of(body: bytes) -> str:
    """The human part of an error body: the `message` or `error` of JSON, else the text itself."""
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return body[:2000].decode("utf-8", "replace")
    for found in (
        dig(value, "message"),
        dig(value, "error", "message"),
        dig(value, "error"),
        dig(value, "errors"),
    ):
        if found:
            return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)[:2000]
    return text(value)


def _params(params: Params | None) -> httpx.QueryParams | None:
    if not params:  # an empty set would wipe the query of a next-page link
        return None
    pairs: list[tuple[str, str | int | float | bool | None]] = []
    for key, value in params.items():
        pairs += [(key, entry) for entry in ([value] if isinstance(value, str) else value)]
    return httpx.QueryParams(pairs)


def _without_credentials(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in ("authorization", "cookie")}
