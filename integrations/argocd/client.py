"""Argo CD's REST API (reference argocd-api.md). Contract: bodies follow."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence

from integrations.argocd.types import (
    ApplicationSnapshot,
    Keepalive,
    PodImage,
    RevisionMetadata,
    StreamEvent,
    UserInfo,
)


class ArgoCDClient:
    """`project` is always sent: only then 404 means gone and 403 means not allowed (section 2)."""

    def __init__(self, url: str, token: str, *, timeout: float = 10.0, ca_file: str | None = None) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def applications(self, projects: Sequence[str] = ()) -> list[ApplicationSnapshot]:
        raise NotImplementedError

    def application(self, name: str, *, project: str, namespace: str | None = None) -> ApplicationSnapshot:
        raise NotImplementedError

    def stream(
        self,
        *,
        projects: Sequence[str] = (),
        stop: threading.Event,
        first_byte_timeout: float = 120.0,
        silence_timeout: float = 40.0,
    ) -> Iterator[StreamEvent | Keepalive]:
        raise NotImplementedError

    def refresh(self, name: str, *, project: str, hard: bool = False, namespace: str | None = None) -> None:
        raise NotImplementedError

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
        raise NotImplementedError

    def terminate(self, name: str, *, project: str, namespace: str | None = None) -> None:
        raise NotImplementedError

    def pod_images(self, name: str, *, project: str, namespace: str | None = None) -> list[PodImage]:
        raise NotImplementedError

    def user_info(self) -> UserInfo:
        raise NotImplementedError

    def revision_metadata(
        self, name: str, revision: str, *, project: str, namespace: str | None = None
    ) -> RevisionMetadata:
        raise NotImplementedError
