"""How python-gitlab reaches GitLab: the session it uses, and what its failures become.

The library keeps authentication, encoding and paging; this module takes away what does not suit a
worker thread: sleeping on 429, following redirects with the token, unbounded bodies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urljoin

import gitlab
import requests
from gitlab.exceptions import GitlabError, GitlabParsingError, RedirectError

from integrations.errors import Conflict, IntegrationError, Rejected, Unavailable
from integrations.http import (
    MAX_BYTES,
    USER_AGENT,
    Retry,
    Vendor,
    checked_url,
    error_for_status,
    hide,
    retry_after_of,
    retry_read,
    same_origin,
)
from integrations.shape import Json, mapping

VENDOR = Vendor("gitlab", "GitLab")
PAGE = 100
# GitLab answers 400, not 409, when the branch or the file moved (gitlab-api.md, "Commits"); some
# versions append a path, so parts of the sentence decide.
_MOVED = ("has changed since you started editing it", "Could not update refs/heads")

Query = Mapping[str, str | int | bool]
T = TypeVar("T")


class _Session(requests.Session):
    """A session that keeps the token at home and bounds what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.retry_after: float | None = None
        # Any value here keeps requests from sending a ~/.netrc password beside our token.
        self.auth = _keep_headers

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Like the parent's, but the whole body is read here, up to the cap."""
        kwargs["stream"] = True
        answer = super().send(request, **kwargs)
        self.retry_after = retry_after_of({key.lower(): value for key, value in answer.headers.items()})
        body = bytearray()
        for chunk in answer.iter_content(64 * 1024):
            body += chunk
            if len(body) > MAX_BYTES:
                answer.close()
                raise Rejected(f"{VENDOR.title} sent more than {MAX_BYTES} bytes", vendor=VENDOR.key)
        answer._content = bytes(body)
        return answer

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None for another host: requests would take PRIVATE-TOKEN along, it only strips Authorization."""
        target = super().get_redirect_target(resp)
        if target is None or resp.url is None:
            return target
        return target if same_origin(resp.url, urljoin(resp.url, target)) else None


def _keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class Transport:
    """GET, POST, PUT, DELETE of API paths. Reads are repeated on transient failures, writes never."""

    def __init__(
        self, url: str, token: str, *, timeout: float, ca_file: str | None, retry: Retry | None = None
    ) -> None:
        self._session = _Session()
        self._secrets = (token,)
        self._retry = retry or Retry()
        self._gitlab = gitlab.Gitlab(
            checked_url(url),
            private_token=token or None,
            timeout=timeout,
            ssl_verify=ca_file or True,
            user_agent=USER_AGENT,
            # Next-page links of a GitLab with a wrong external_url name another host.
            keep_base_url=True,
            session=self._session,
        )

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    def get(self, path: str, query: Query | None = None) -> Json:
        """One object."""
        return retry_read(lambda: _object(self._call(self._gitlab.http_get, path, query)), self._retry)

    def entries(self, path: str, query: Query | None = None, *, limit: int | None = None) -> list[Json]:
        """All pages of a list, or its first `limit` entries."""
        wanted = {"per_page": PAGE if limit is None else min(PAGE, max(1, limit)), **(query or {})}

        def once() -> list[Json]:
            entries = self._call(self._gitlab.http_list, path, wanted, iterator=True)
            with self._translated():
                try:
                    return [mapping(entry) for entry in islice(entries, limit)]
                except (KeyError, TypeError):  # python-gitlab indexes whatever JSON it was given
                    raise _unusable() from None

        return retry_read(once, self._retry)

    def page(self, path: str, query: Query | None = None) -> list[Json]:
        """A list that GitLab does not page."""
        return retry_read(lambda: _array(self._call(self._gitlab.http_get, path, query)), self._retry)

    def post(self, path: str, body: Mapping[str, object]) -> Json:
        """Create something."""
        return _object(self._call(self._gitlab.http_post, path, None, post_data=dict(body)))

    def put(self, path: str, body: Mapping[str, object]) -> Json:
        """Change something."""
        return _object(self._call(self._gitlab.http_put, path, None, post_data=dict(body)))

    def delete(self, path: str) -> None:
        """Remove something."""
        self._call(self._gitlab.http_delete, path, None)

    def _call(self, method: Callable[..., Any], path: str, query: Query | None, **arguments: Any) -> Any:
        # Without these two python-gitlab sleeps for as long as Retry-After says, ten times.
        arguments |= {"obey_rate_limit": False, "max_retries": 0}
        if query:
            # `query_parameters` keeps names such as "ref" apart from python-gitlab's own arguments.
            arguments["query_parameters"] = {key: _plain(value) for key, value in query.items()}
        with self._translated():
            return method(path, **arguments)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrationError:
            raise
        except RedirectError:
            raise Rejected("GitLab redirects writes: the address is not its own", vendor=VENDOR.key) from None
        except GitlabParsingError:
            raise _unusable() from None
        except GitlabError as error:
            raise self._error(error) from error
        except requests.exceptions.Timeout as error:
            raise Unavailable("GitLab did not answer in time", vendor=VENDOR.key) from error
        except requests.RequestException as error:
            why = type(error).__name__
            raise Unavailable(
                f"GitLab is unavailable: the connection failed ({why})", vendor=VENDOR.key
            ) from error

    def _error(self, error: GitlabError) -> IntegrationError:
        status = error.response_code or 0
        detail = hide(_sentence(error.error_message), self._secrets)
        if status == 400 and any(part in detail for part in _MOVED):
            return Conflict(f"{VENDOR.title} answered 400: {detail}", vendor=VENDOR.key, status=400)
        if 300 <= status < 400:
            return Rejected("GitLab redirects to another host", vendor=VENDOR.key, status=status)
        return error_for_status(VENDOR, status, detail, retry_after=self._session.retry_after)


def _object(value: object) -> Json:
    # For a page that is not JSON python-gitlab hands back the response: a proxy's login page, often.
    if not isinstance(value, dict):
        raise _unusable()
    return value


def _array(value: object) -> list[Json]:
    if not isinstance(value, list):
        raise _unusable()
    return [mapping(entry) for entry in value]


def _unusable() -> Unavailable:
    return Unavailable(f"{VENDOR.title} answered with something that is not JSON", vendor=VENDOR.key)


def _plain(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sentence(message: object) -> str:
    """GitLab's `message` is a string, a list or an object of lists: always one sentence."""
    if isinstance(message, dict):
        return "; ".join(f"{key} {_sentence(value)}" for key, value in message.items())
    if isinstance(message, list):
        return "; ".join(_sentence(entry) for entry in message)
    return message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
