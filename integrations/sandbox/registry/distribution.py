"""The OCI distribution API under /v2/ (reference registry-and-harbor.md, "OCI distribution endpoints")."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from integrations.sandbox.registry.storage import MANIFEST_TYPES, digest_of
from integrations.sandbox.registry.tokens import Denied

if TYPE_CHECKING:
    from integrations.sandbox.registry.registry import Registry

Endpoint = Callable[[Request], Awaitable[Response]]
VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}


def failure(status: int, code: str, message: str) -> Response:
    return JSONResponse({"errors": [{"code": code, "message": message, "detail": {}}]}, status)


class Distribution:
    """The handlers of /v2/."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.storage = registry.storage
        self.uploads: dict[str, bytearray] = {}

    def routes(self) -> list[Route]:
        uploads = "/v2/{name:path}/blobs/uploads/"
        table: list[tuple[str, Endpoint, list[str]]] = [
            ("/v2/", self.base, ["GET"]),
            ("/v2/{name:path}/tags/list", self.tags, ["GET"]),
            ("/v2/{name:path}/manifests/{reference}", self.manifest, ["GET", "HEAD", "PUT", "DELETE"]),
            (uploads, self.begin_upload, ["POST"]),
            (uploads + "{upload}", self.upload, ["GET", "PATCH", "PUT", "DELETE"]),
            ("/v2/{name:path}/blobs/{digest}", self.blob, ["GET", "HEAD"]),
            # No referrers API: clients fall back to the tag sha256-<hex>.
            ("/v2/{name:path}/referrers/{digest}", self.referrers, ["GET"]),
        ]
        return [Route(path, self._guarded(endpoint), methods=methods) for path, endpoint, methods in table]

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            name = request.path_params.get("name", "")
            # Whatever is not reading needs push, uploads included.
            action = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}.get(request.method, "push")
            try:
                self.registry.tokens.check(request, name, action if name else "")
                response = await endpoint(request)
            except Denied as denied:
                response = denied.response(str(request.base_url).rstrip("/"))
            # On refusals too: clients know a v2 registry by this header.
            response.headers.update(VERSION)
            return response

        return guarded

    async def base(self, _: Request) -> Response:
        return JSONResponse({})

    async def tags(self, request: Request) -> Response:
        name = request.path_params["name"]
        held = self.storage.repositories.get(name)
        if held is None:
            return failure(404, "NAME_UNKNOWN", "repository name not known to registry")
        last = request.query_params.get("last", "")
        # In the order of letters, so v10 comes before v9: the last page is not the newest.
        tags = [tag for tag in sorted(held["tags"]) if tag > last]
        size = int(request.query_params.get("n") or 0) or len(tags)
        headers = {}
        if len(tags) > size:
            query = urlencode({"n": size, "last": tags[size - 1]})
            # A relative address: clients resolve it against their own request.
            headers["Link"] = f'</v2/{name}/tags/list?{query}>; rel="next"'
        # Null where there are none, not an empty list.
        return JSONResponse({"name": name, "tags": tags[:size] or None}, headers=headers)

    async def manifest(self, request: Request) -> Response:
        name, reference = request.path_params["name"], request.path_params["reference"]
        if request.method == "PUT":
            return await self._put_manifest(request, name, reference)
        row = self.storage.find(name, reference)
        if row is None:
            return failure(404, "MANIFEST_UNKNOWN", f"manifest unknown: {reference}")
        if request.method == "DELETE":
            # By tag a manifest can't be deleted on distribution (registry-and-harbor.md).
            if not reference.startswith("sha256:"):
                return failure(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
            self.registry.delete(name, reference)
            return Response(status_code=202)
        content = self.storage.path(row["digest"]).read_bytes()
        # HEAD names the digest without being counted as a pull.
        headers = {"Docker-Content-Digest": row["digest"], "Content-Length": str(len(content))}
        body = b"" if request.method == "HEAD" else content
        return Response(body, media_type=row["media_type"], headers=headers)

    async def _put_manifest(self, request: Request, name: str, reference: str) -> Response:
        content = await request.body()
        # The type is stored as it was pushed: another one would be another digest for clients.
        media_type = request.headers.get("content-type", "").partition(";")[0]
        try:
            parsed = json.loads(content)
        except ValueError:
            return failure(400, "MANIFEST_INVALID", "manifest invalid")
        if media_type not in MANIFEST_TYPES:
            return failure(415, "MANIFEST_INVALID", f"unsupported media type {media_type}")
        if reference.startswith("sha256:") and reference != digest_of(content):
            return failure(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        # Blobs first, then the manifest that names them: the order every client pushes in.
        for descriptor in [*parsed.get("layers", []), *([parsed["config"]] if "config" in parsed else [])]:
            if self.storage.blob(descriptor["digest"]) is None:
                return failure(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
        digest = self.registry.put(name, reference, media_type, content)
        location = f"/v2/{name}/manifests/{digest}"
        return Response(status_code=201, headers={"Location": location, "Docker-Content-Digest": digest})

    async def blob(self, request: Request) -> Response:
        digest = request.path_params["digest"]
        content = self.storage.blob(digest)
        if content is None:
            return failure(404, "BLOB_UNKNOWN", "blob unknown to registry")
        headers = {"Docker-Content-Digest": digest, "Content-Length": str(len(content))}
        body = b"" if request.method == "HEAD" else content
        return Response(body, media_type="application/octet-stream", headers=headers)

    async def begin_upload(self, request: Request) -> Response:
        name, query = request.path_params["name"], request.query_params
        # A blob known from another repository is taken over without being sent again.
        if "mount" in query and self.storage.blob(query["mount"]) is not None:
            return _created(name, query["mount"])
        if "digest" in query:
            return self._finish(name, query["digest"], await request.body())
        upload = str(uuid.uuid4())
        self.uploads[upload] = bytearray()
        return _accepted(name, upload, 0)

    async def upload(self, request: Request) -> Response:
        name, upload = request.path_params["name"], request.path_params["upload"]
        if upload not in self.uploads:
            return failure(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        held = self.uploads[upload]
        if request.method in ("PATCH", "PUT"):
            held.extend(await request.body())
        if request.method == "PATCH":
            return _accepted(name, upload, len(held))
        if request.method == "PUT":
            del self.uploads[upload]
            return self._finish(name, request.query_params.get("digest", ""), bytes(held))
        if request.method == "DELETE":
            del self.uploads[upload]
        # Where an upload that broke off goes on.
        return Response(status_code=204, headers={"Range": f"0-{max(0, len(held) - 1)}"})

    def _finish(self, name: str, digest: str, content: bytes) -> Response:
        if digest != digest_of(content):
            return failure(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        return _created(name, self.storage.add_blob(content))

    async def referrers(self, _: Request) -> Response:
        return Response("404 page not found\n", 404, media_type="text/plain")


def _created(name: str, digest: str) -> Response:
    location = f"/v2/{name}/blobs/{digest}"
    return Response(status_code=201, headers={"Location": location, "Docker-Content-Digest": digest})


def _accepted(name: str, upload: str, size: int) -> Response:
    headers = {
        "Location": f"/v2/{name}/blobs/uploads/{upload}",
        "Docker-Upload-UUID": upload,
        "Range": f"0-{max(0, size - 1)}",
    }
    return Response(status_code=202, headers=headers)
