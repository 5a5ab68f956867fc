"""OCI registries and Harbor (reference registry-and-harbor.md). Contract: bodies follow."""

from __future__ import annotations

from collections.abc import Sequence

from integrations.registry.types import ImageInfo


class RegistryClient:
    """`host_alias` is the host written in image names; `repository` never includes it."""

    def __init__(
        self,
        url: str,
        *,
        username: str = "",
        password: str = "",
        host_alias: str = "",
        harbor: bool = False,
        ca_file: str | None = None,
        timeout: float = 10.0,
        realm_hosts: Sequence[str] = (),
    ) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def tags(self, repository: str) -> list[str]:
        raise NotImplementedError

    def resolve(self, repository: str, reference: str) -> str:
        raise NotImplementedError

    def exists(self, repository: str, digest: str) -> bool:
        raise NotImplementedError

    def image(self, repository: str, reference: str) -> ImageInfo:
        raise NotImplementedError

    def list_images(self, repository: str, *, limit: int = 100) -> list[ImageInfo]:
        raise NotImplementedError
