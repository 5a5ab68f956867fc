"""OCI registries and Harbor (reference registry-and-harbor.md)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from urllib.parse import quote

from integrations.errors import IntegrationError, NotFound, Rejected, Unavailable
from integrations.http import HttpClient, Params, Response, Retry, parse_json, same_origin
from integrations.images import is_digest
from integrations.registry import reading
from integrations.registry.auth import VENDOR, Tokens, basic, challenge_of
from integrations.registry.types import ImageInfo, ScanReport
from integrations.shape import Json, mapping, sequence, text, texts

# Without all four a registry may convert the manifest, and the digest differs.
MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
MAX_TAGS = 10_000
_PAGE = 100
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)


class RegistryClient:
    """One registry; use one client per thread and close it. All methods raise IntegrationError.

    `repository` never includes the host ("k8s/app"). `host_alias` is the host written in image names,
    which may differ from the address we reach the registry at. `harbor` switches on Harbor's own API,
    which alone knows push times. Credentials go to `url`'s host, and to a token server on `realm_hosts`.
    """

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
        retry: Retry | None = None,
    ) -> None:
        self._http = HttpClient(
            VENDOR, url, secrets=(password,), timeout=timeout, ca_file=ca_file, retry=retry
        )
        # Harbor names its public address as realm, also when we reach it by an internal one.
        hosts = (*realm_hosts, host_alias) if host_alias else realm_hosts
        self._tokens = Tokens(self._http, username=username, password=password, realm_hosts=hosts)
        self._authorization: dict[str, str] = {}
        self._basic = {"Authorization": basic(username, password)} if username else {}
        self._harbor = harbor
        self.host_alias = host_alias or re.sub(r"^https?://", "", self._http.base_url)

    def __repr__(self) -> str:
        return f"<RegistryClient {self._http.base_url}>"

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def tags(self, repository: str) -> list[str]:
        """All tags without the noise of signatures and attestations, in the registry's order, which says
        nothing about age."""
        path, params = f"{_repository(repository)}/tags/list", {"n": "1000"}
        found: list[str] = []
        while path and len(found) < MAX_TAGS:
            answer = self._get(repository, path, params=params)
            found += texts(
                mapping(parse_json(VENDOR, answer.content)).get("tags")
            )  # null when there are none
            path, params = self._next(answer), {}
        return [tag for tag in dict.fromkeys(found) if not reading.is_noise(tag)]

    def resolve(self, repository: str, reference: str) -> str:
        """The digest behind a tag or digest; of an index, the index's own. NotFound when it is gone."""
        answer = self._manifest(repository, reference, method="HEAD")
        digest = answer.headers.get("docker-content-digest", "")
        return digest if is_digest(digest) else _digest_of(self._manifest(repository, reference).content)

    def exists(self, repository: str, digest: str) -> bool:
        """Whether the image is still there: asked again just before it is promoted."""
        try:
            self._manifest(repository, digest, method="HEAD")
        except NotFound:
            return False
        return True

    def image(self, repository: str, reference: str) -> ImageInfo:
        """One image with all that is known about it."""
        if self._harbor:
            path = f"{_artifacts(repository)}/{quote(reference, safe='')}"
            answer = self._get(repository, path, params={"with_tag": "true"})
            info = reading.artifact(mapping(parse_json(VENDOR, answer.content)), repository)
            return self._with_labels(info) if info.revision is None else info
        return self._inspect(repository, reference, tags=() if is_digest(reference) else (reference,))

    def list_images(self, repository: str, *, limit: int = 100) -> list[ImageInfo]:
        """The newest images by push time on Harbor; elsewhere those of up to `limit` tags, one entry a
        digest, in no order that means anything."""
        return self._artifacts(repository, limit) if self._harbor else self._tagged(repository, limit)

    def scan(self, repository: str, digest: str) -> ScanReport | None:
        """Harbor's last scan of an image; None when there is none, and for other registries."""
        if not self._harbor:
            return None
        path = f"{_artifacts(repository)}/{quote(digest, safe='')}"
        answer = self._get(repository, path, params={"with_scan_overview": "true"})
        return reading.scan_report(mapping(parse_json(VENDOR, answer.content)))

    # Harbor

    def _artifacts(self, repository: str, limit: int) -> list[ImageInfo]:
        found: list[ImageInfo] = []
        page = 1
        while len(found) < limit:
            params = {
                "q": "tags=*",
                "sort": "-push_time",
                "page": str(page),
                "page_size": str(min(_PAGE, limit)),
                "with_tag": "true",
            }
            # Harbor's own API takes Basic credentials and sends no challenge to answer.
            answer = self._http.read(_artifacts(repository), params=params, headers=self._basic)
            entries = [mapping(entry) for entry in sequence(parse_json(VENDOR, answer.content))]
            images = [reading.artifact(entry, repository) for entry in entries if reading.is_image(entry)]
            found += [image for image in images if image.tags]
            if len(entries) < min(_PAGE, limit):
                break
            page += 1
        return found[:limit]

    def _with_labels(self, info: ImageInfo) -> ImageInfo:
        """An index has no labels of its own in Harbor: they are read from one of its manifests."""
        try:
            return reading.merged(info, self._inspect(info.repository, info.digest, tags=info.tags))
        except (NotFound, Rejected):
            return info

    # Plain registries

    def _tagged(self, repository: str, limit: int) -> list[ImageInfo]:
        by_digest: dict[str, list[str]] = {}
        for tag in self.tags(repository)[-limit:]:
            try:
                by_digest.setdefault(self.resolve(repository, tag), []).append(tag)
            except NotFound:  # deleted since the list was made
                continue
        return [self._inspect(repository, digest, tags=tuple(tags)) for digest, tags in by_digest.items()]

    def _inspect(self, repository: str, reference: str, *, tags: tuple[str, ...]) -> ImageInfo:
        answer = self._manifest(repository, reference)
        digest = _digest_of(answer.content)
        if is_digest(reference) and reference.startswith("sha256:") and reference != digest:
            raise Unavailable(f"{VENDOR.title} sent another image than {reference}", vendor=VENDOR.key)
        manifest = top = mapping(parse_json(VENDOR, answer.content))
        child = reading.platform_manifest(top)
        if child:
            manifest = mapping(parse_json(VENDOR, self._manifest(repository, child).content))
        config = self._config(repository, reading.config_digest(manifest))
        media_type = text(top.get("mediaType")) or answer.headers.get("content-type", "").partition(";")[0]
        return reading.inspected(
            repository, digest, tags, top=top, manifest=manifest, config=config, media=media_type
        )

    def _config(self, repository: str, digest: str) -> Json:
        """The image's config; blobs often lie in an object store, where our credentials must not go."""
        if not is_digest(digest):
            return {}
        try:
            answer = self._get(repository, f"{_repository(repository)}/blobs/{digest}", cross_host=True)
            return mapping(parse_json(VENDOR, answer.content))
        except IntegrationError:
            return {}  # labels are an extra: the image is known without them

    def _manifest(self, repository: str, reference: str, *, method: str = "GET") -> Response:
        path = f"{_repository(repository)}/manifests/{quote(reference, safe=':')}"
        return self._get(repository, path, method=method, headers={"Accept": MANIFESTS})

    def _next(self, answer: Response) -> str:
        """The next page's address, refused on another host."""
        match = _NEXT.search(answer.headers.get("link", ""))
        if match is None:
            return ""
        url = answer.join(match[1])
        if not same_origin(self._http.base_url, url):
            raise Rejected(f"{VENDOR.title} names a next page on another host", vendor=VENDOR.key)
        return url

    def _get(
        self,
        repository: str,
        path: str,
        *,
        method: str = "GET",
        params: Params | None = None,
        headers: dict[str, str] | None = None,
        cross_host: bool = False,
    ) -> Response:
        """A read with the credentials of this repository; a 401 is answered once."""

        def ask() -> Response:
            own = {**(headers or {})}
            if repository in self._authorization:
                own["Authorization"] = self._authorization[repository]
            return self._http.read(
                path, method=method, params=params, headers=own, expect=(401,), cross_host=cross_host
            )

        answer = ask()
        if answer.status == 401:
            if self._authorization.pop(repository, None):
                self._tokens.forget()  # expired early, or the scope was not enough
            challenge = challenge_of(answer.headers.get("www-authenticate", ""))
            self._authorization[repository] = self._tokens.header(challenge, f"repository:{repository}:pull")
            answer = ask()
        if answer.status == 401:
            self._authorization.pop(repository, None)
            raise self._http.refused(answer)
        return answer


def _repository(repository: str) -> str:
    return f"/v2/{quote(repository, safe='/')}"


def _artifacts(repository: str) -> str:
    project, _, name = repository.partition("/")
    # Harbor wants the slashes of the repository encoded twice.
    twice = quote(quote(name, safe=""), safe="")
    return f"/api/v2.0/projects/{quote(project, safe='')}/repositories/{twice}/artifacts"


def _digest_of(content: bytes) -> str:
    """The docs advise to trust one's own sum over the header."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
