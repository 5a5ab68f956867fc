"""Argo CD's REST API (reference argocd-api.md)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

import httpx

from integrations.argocd import reading
from integrations.argocd.stream import VENDOR, events, lines
from integrations.argocd.types import (
    ApplicationSnapshot,
    Keepalive,
    PodImage,
    RevisionMetadata,
    StreamEvent,
    UserInfo,
)
from integrations.errors import Conflict, NotFound, Rejected, Unavailable
from integrations.http import HttpClient, Retry, parse_json, shut_down_on
from integrations.shape import mapping, sequence, text

# More pods than this are not asked one by one: the first ones tell which image runs.
MAX_PODS = 20
# The whole string is compared by Argo CD; a charset makes it a 415 (section 1).
_JSON = {"Content-Type": "application/json"}
_STREAM = "/api/v1/stream/applications"
_SSE = {"Accept": "text/event-stream"}


class AnotherOperation(Conflict):
    """A sync was asked for while another operation runs; Argo CD queues nothing: wait and ask again."""


class ArgoCDClient:
    """One Argo CD with one token; use one client per thread and close it.

    `project` is always sent: only then 404 means gone and 403 means not allowed (section 2). `namespace`
    is the application's own, needed when it is not in the control plane's. All methods raise
    IntegrationError; reads are repeated on transient failures.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: float = 10.0,
        ca_file: str | None = None,
        refresh_timeout: float = 20.0,
        retry: Retry | None = None,
    ) -> None:
        self._http = HttpClient(
            VENDOR,
            url,
            headers={"Authorization": f"Bearer {token}"},
            secrets=(token,),
            timeout=timeout,
            ca_file=ca_file,
            retry=retry,
            max_bytes=256 * 1024 * 1024,  # the list is unpaged: thousands of applications (pitfall 15)
        )
        self._timeout = timeout
        self._refresh_timeout = refresh_timeout

    def __repr__(self) -> str:
        return f"<ArgoCDClient {self._http.base_url}>"

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def applications(self, projects: Sequence[str] = ()) -> list[ApplicationSnapshot]:
        """All applications the token may see, whole objects: `fields` lacks what the verdict needs."""
        data = mapping(self._http.read_json("/api/v1/applications", params={"projects": list(projects)}))
        items = sequence(data.get("items"))  # null in older versions when there are none
        return [reading.snapshot(mapping(item), self._http.base_url) for item in items]

    def application(self, name: str, *, project: str, namespace: str | None = None) -> ApplicationSnapshot:
        """One application, read from the Kubernetes API and not from a cache."""
        data = self._http.read_json(_path(name), params=_scope(project, namespace))
        return reading.snapshot(mapping(data), self._http.base_url)

    def stream(
        self,
        *,
        projects: Sequence[str] = (),
        stop: threading.Event,
        first_byte_timeout: float = 120.0,
        silence_timeout: float = 40.0,
    ) -> Iterator[StreamEvent | Keepalive]:
        """Every application once (ADDED), then changes and keepalives, until `stop` is set.

        The server sends nothing, not even headers, before its first event (section 4), so the first byte
        may take `first_byte_timeout` seconds; after it silence longer than `silence_timeout` is a lost
        connection. `stop` ends it within a second once it flows. Ends normally at the server's end of
        stream; raises IntegrationError otherwise. The stream is no
        replay and drops events: list again after a reconnect and every few minutes.
        """
        first = httpx.Timeout(self._timeout, connect=min(self._timeout, 5.0), read=first_byte_timeout)
        try:
            with self._http.open(
                "GET", _STREAM, params={"projects": list(projects)}, headers=_SSE, timeout=first
            ) as answer:
                if answer.status_code != 200:
                    raise self._http.error(answer, answer.read())
                _shorten_read_timeout(answer, silence_timeout)
                with shut_down_on(stop, answer.extensions["network_stream"].get_extra_info("socket")):
                    for event in events(lines(answer.iter_bytes()), self._http.base_url):
                        if stop.is_set():
                            return
                        yield event
        except Unavailable:
            if not stop.is_set():
                raise

    def refresh(self, name: str, *, project: str, hard: bool = False, namespace: str | None = None) -> None:
        """Make Argo CD look at Git now. It blocks until the controller served it, so our own time-out ends
        the wait and is no error: the annotation stays and will be served (section 6)."""
        params = {"refresh": "hard" if hard else "normal", **_scope(project, namespace)}
        limit = httpx.Timeout(self._refresh_timeout, connect=min(self._timeout, 5.0))
        try:
            with self._http.open("GET", _path(name), params=params, timeout=limit) as answer:
                if answer.status_code >= 300:
                    raise self._http.error(answer, answer.read())
        except Unavailable as error:
            if not _is_slow_refresh(error):
                raise

    def sync(
        self,
        name: str,
        *,
        project: str,
        infos: Mapping[str, str],
        revision: str | None = None,
        prune: bool = False,
        namespace: str | None = None,
    ) -> ApplicationSnapshot:
        """Queue a sync; `infos` make it recognisable in the operation state.

        Never send a revision to an application with automated sync: Argo CD refuses it (section 5).
        Raises AnotherOperation while one runs.
        """
        body: dict[str, object] = {
            "project": project,
            "prune": prune,
            "infos": [{"name": key, "value": value} for key, value in infos.items()],
        }
        body |= {"revision": revision} if revision else {}
        body |= {"appNamespace": namespace} if namespace else {}
        try:
            answer = self._http.write(
                "POST", f"{_path(name)}/sync", headers=_JSON, content=json.dumps(body).encode()
            )
        except Rejected as error:
            if "another operation is already in progress" not in error.message:
                raise
            raise AnotherOperation(error.message, vendor=VENDOR.key, status=error.status) from error
        return reading.snapshot(mapping(parse_json(VENDOR, answer.content)), self._http.base_url)

    def terminate(self, name: str, *, project: str, namespace: str | None = None) -> None:
        """Ask the running operation to stop; takes effect later. Rejected when nothing runs."""
        # Even a DELETE without a body needs the content type.
        self._http.write(
            "DELETE", f"{_path(name)}/operation", params=_scope(project, namespace), headers=_JSON
        )

    def pod_images(self, name: str, *, project: str, namespace: str | None = None) -> list[PodImage]:
        """What the application's pods really run, digests included: the truth about a mutable tag.

        Reads the resource tree and each pod's live manifest; pods that vanish meanwhile are left out.
        """
        scope = _scope(project, namespace)
        tree = self._http.read_json(f"{_path(name)}/resource-tree", params=scope)
        found: list[PodImage] = []
        for pod_namespace, pod in reading.pod_nodes(tree)[:MAX_PODS]:
            where = {
                "namespace": pod_namespace,
                "resourceName": pod,
                "version": "v1",
                "group": "",
                "kind": "Pod",
            }
            try:
                data = mapping(self._http.read_json(f"{_path(name)}/resource", params={**where, **scope}))
            except (NotFound, Rejected):  # a pod that is gone: 404, or 400 from the tree check
                continue
            found += reading.pod_images(pod, text(data.get("manifest")))
        return found

    def user_info(self) -> UserInfo:
        """Whose token this is. The probe for credentials: a bad token is an answer here, not an error."""
        data = mapping(self._http.read_json("/api/v1/session/userinfo"))
        return UserInfo(logged_in=data.get("loggedIn") is True, username=text(data.get("username")))

    def revision_metadata(
        self, name: str, revision: str, *, project: str, namespace: str | None = None
    ) -> RevisionMetadata:
        """Who made a commit, as Argo CD's repo server sees it."""
        path = f"{_path(name)}/revisions/{quote(revision, safe='')}/metadata"
        return reading.revision_metadata(
            mapping(self._http.read_json(path, params=_scope(project, namespace)))
        )


def _path(name: str) -> str:
    return f"/api/v1/applications/{quote(name, safe='')}"


def _scope(project: str, namespace: str | None) -> dict[str, str]:
    return {"project": project, **({"appNamespace": namespace} if namespace else {})}


def _is_slow_refresh(error: Unavailable) -> bool:
    """No answer in time: ours, the server's deadline (500), or a proxy's (504)."""
    timed_out = isinstance(error.__cause__, httpx.ReadTimeout)
    return timed_out or error.status == 504 or "deadline exceeded" in error.message


def _shorten_read_timeout(answer: httpx.Response, seconds: float) -> None:
    """httpx fixes the read time-out when the request is made; httpcore takes it from the request's
    extensions again when the body begins, and there it can still be changed."""
    timeouts = answer.request.extensions.get("timeout")
    if isinstance(timeouts, dict):
        timeouts["read"] = seconds
