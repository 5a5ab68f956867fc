"""The API server: list, get, create, update, patch, delete and watch over HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import yaml
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from integrations.sandbox import invented
from integrations.sandbox.faults import stream_fault
from integrations.sandbox.kubernetes import answers, kinds, patches, selectors, tables, watching
from integrations.sandbox.kubernetes.admission import admit
from integrations.sandbox.kubernetes.answers import ApiError
from integrations.sandbox.kubernetes.kinds import Kind
from integrations.sandbox.kubernetes.logs import Logs
from integrations.sandbox.kubernetes.objects import Objects

Object = dict[str, Any]
Endpoint = Callable[[Request], Awaitable[Response]]
TRUE = ("1", "true", "True")


def authorize(request: Request) -> None:
    """Raise 401 unless the request carries the service account's token.

    kubectl sends no token over plain HTTP, whatever its kubeconfig says; it does send what the server's
    address carries (see `kubeconfig`), so the token is taken as a Basic password too.
    """
    basic = base64.b64encode(f"kubectl:{invented.KUBERNETES_TOKEN}".encode()).decode()
    sent = request.headers.get("authorization")
    if sent not in (f"Bearer {invented.KUBERNETES_TOKEN}", f"Basic {basic}"):
        raise answers.unauthorized()


class Api:
    """The handlers of the REST paths."""

    def __init__(self, objects: Objects, logs: Logs) -> None:
        self.objects = objects
        self.logs = logs

    def routes(self) -> list[Route]:
        patterns = []
        for base in ("/api/{version}", "/apis/{group}/{version}"):
            spaced = base + "/namespaces/{namespace}"
            patterns += [
                (spaced + "/{plural}", self.collection),
                (spaced + "/{plural}/{name}", self.item),
                (spaced + "/{plural}/{name}/{subresource}", self.subresource),
                (base + "/{plural}", self.collection),
                (base + "/{plural}/{name}", self.item),
            ]
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        return [Route(path, self._guarded(endpoint), methods=methods) for path, endpoint in patterns]

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            try:
                authorize(request)
                return await endpoint(request)
            except ApiError as refusal:
                return refusal.response()

        return guarded

    # Collections

    async def collection(self, request: Request) -> Response:
        kind = _kind(request)
        if kind is None:
            return answers.no_such_path()
        if request.method == "GET":
            return (
                self._watch(request, kind)
                if request.query_params.get("watch") in TRUE
                else self._list(request, kind)
            )
        if request.method == "POST":
            return await self._create(request, kind)
        if request.method == "DELETE":
            return self._delete_all(request, kind)
        raise answers.method_not_allowed()

    def _list(self, request: Request, kind: Kind) -> Response:
        query = request.query_params
        matches = selectors.parse(kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        found = [item for item in self.objects.all(kind, _namespace(request)) if matches(item)]
        page, metadata = self._page(
            found, query.get("limit", ""), query.get("continue", ""), bool(query.get("labelSelector"))
        )
        if tables.wanted(request.headers.get("accept", "")):
            include = query.get("includeObject", "Metadata")
            answer = tables.table(kind, page, metadata["resourceVersion"], include=include)
            answer["metadata"] = metadata
            return JSONResponse(answer)
        items = page if kind.custom else [_without_type(item) for item in page]
        return JSONResponse(
            {"apiVersion": kind.api_version, "kind": f"{kind.kind}List", "metadata": metadata, "items": items}
        )

    def _page(
        self, found: list[Object], limit: str, token: str, selected: bool
    ) -> tuple[list[Object], Object]:
        version, start = str(self.objects.version), 0
        if token:
            version, _, offset = token.partition(":")
            start = int(offset or 0)
            # A page of a list that is too old can't be had any more: start over without the token.
            if int(version) < self.objects.oldest:
                raise answers.expired_continue()
        metadata: Object = {"resourceVersion": version}
        size = int(limit or 0) or len(found)
        if start + size < len(found):
            metadata["continue"] = f"{version}:{start + size}"
            # With a selector nobody has counted the rest (kubernetes-watch.md section 1).
            if not selected:
                metadata["remainingItemCount"] = len(found) - start - size
        return found[start : start + size], metadata

    def _watch(self, request: Request, kind: Kind) -> Response:
        query = request.query_params
        if stream_fault(self.objects.world, "kubernetes") == "refuse":
            raise ApiError(503, "ServiceUnavailable", "the server is currently unable to handle the request")
        matches = selectors.parse(kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        asked = watching.request(kind, _namespace(request), matches, query, request.headers.get("accept", ""))
        return watching.Watch(self.objects, asked).response()

    async def _create(self, request: Request, kind: Kind) -> Response:
        item = await _body(request)
        if item.get("kind") not in (None, kind.kind):
            raise answers.bad_request(
                f"{item['kind']} in version {json.dumps(kind.api_version)} cannot be handled as a {kind.kind}"
            )
        namespace = _namespace(request)
        if kind.namespaced and self.objects.find(kinds.NAMESPACE, "", namespace) is None:
            # The real one says 403 to whom RBAC gives no right there; the sandbox's account may everything.
            raise answers.not_found(kinds.NAMESPACE, namespace)
        if kind.has_status:
            item.pop("status", None)
        admit(kind, item, None)
        created = self.objects.create(kind, namespace, item, dry_run=_dry(request))
        return self._one(request, kind, created, 201)

    def _delete_all(self, request: Request, kind: Kind) -> Response:
        query, namespace = request.query_params, _namespace(request)
        matches = selectors.parse(kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        for item in [item for item in self.objects.all(kind, namespace) if matches(item)]:
            self.objects.remove(kind, item["metadata"].get("namespace", ""), item["metadata"]["name"])
        return JSONResponse({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})

    # Items

    async def item(self, request: Request) -> Response:
        kind = _kind(request)
        if kind is None:
            return answers.no_such_path()
        found = self.objects.get(kind, _namespace(request), request.path_params["name"])
        match request.method:
            case "GET":
                return self._one(request, kind, found)
            case "DELETE":
                return await self._delete(request, kind, found)
            case "PATCH":
                return await self._change(request, kind, found, await self._patched(request, found))
            case "PUT":
                return await self._change(request, kind, found, await _body(request))
        raise answers.method_not_allowed()

    async def subresource(self, request: Request) -> Response:
        kind, name = _kind(request), request.path_params["name"]
        if kind is kinds.POD and request.path_params["subresource"] == "log":
            return self.logs.response(_namespace(request), name, request.query_params)
        if kind is None or not kind.has_status or request.path_params["subresource"] != "status":
            return answers.no_such_path()
        found = self.objects.get(kind, _namespace(request), name)
        if request.method == "GET":
            return self._one(request, kind, found)
        wanted = await (self._patched(request, found) if request.method == "PATCH" else _body(request))
        # And here the rest is ignored, spec included.
        found["status"] = wanted.get("status", {})
        return self._one(request, kind, self.objects.update(kind, found, dry_run=_dry(request)))

    async def _change(self, request: Request, kind: Kind, found: Object, wanted: Object) -> Response:
        if kind.has_status:
            # The main URL ignores status; only the subresource writes it.
            wanted.pop("status", None)
            if "status" in found:
                wanted["status"] = found["status"]
        admit(kind, wanted, found)
        wanted["metadata"]["name"] = found["metadata"]["name"]
        wanted["metadata"]["namespace"] = found["metadata"].get("namespace", "")
        return self._one(request, kind, self.objects.update(kind, wanted, dry_run=_dry(request)))

    async def _patched(self, request: Request, found: Object) -> Object:
        content_type = request.headers.get("content-type", "").partition(";")[0]
        payload = json.loads(await request.body())
        changed: Object
        if content_type == patches.MERGE:
            changed = patches.merge(found, payload)
            sent = payload.get("metadata", {}).get("resourceVersion")
        elif content_type == patches.JSON:
            # A JSON patch carries no version unless it tests one.
            changed, sent = patches.apply_operations(found, payload), None
        else:
            # Strategic merge knows Go structs only: custom resources answer 415.
            raise answers.unsupported_media_type(
                f"{patches.JSON}, {patches.MERGE}, application/apply-patch+yaml"
            )
        # Without a version of its own a patch meets no conflict.
        changed["metadata"]["resourceVersion"] = sent or found["metadata"]["resourceVersion"]
        return changed

    async def _delete(self, request: Request, kind: Kind, found: Object) -> Response:
        raw = await request.body()
        options = json.loads(raw) if raw else {}
        policy = options.get("propagationPolicy") or request.query_params.get("propagationPolicy")
        if not (_dry(request) or options.get("dryRun")):
            metadata = found["metadata"]
            orphan = policy == "Orphan"
            self.objects.remove(kind, metadata.get("namespace", ""), metadata["name"], orphan=orphan)
        metadata = found["metadata"]
        told = {**answers.details(kind, metadata["name"]), "uid": metadata["uid"]}
        return JSONResponse(
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": told}
        )

    def _one(self, request: Request, kind: Kind, item: Object, status: int = 200) -> Response:
        if tables.wanted(request.headers.get("accept", "")):
            include = request.query_params.get("includeObject", "Metadata")
            version = item["metadata"].get("resourceVersion", "")
            return JSONResponse(tables.table(kind, [item], version, include=include), status)
        return JSONResponse(item, status)


def _kind(request: Request) -> Kind | None:
    params = request.path_params
    return kinds.find(params.get("group", ""), params["version"], params["plural"])


def _namespace(request: Request) -> str:
    return str(request.path_params.get("namespace", ""))


def _dry(request: Request) -> bool:
    return request.query_params.get("dryRun") == "All"


def _without_type(item: Object) -> Object:
    # Items of a core list carry neither apiVersion nor kind; those of custom resources do.
    return {key: value for key, value in item.items() if key not in ("apiVersion", "kind")}


async def _body(request: Request) -> Object:
    raw = await request.body()
    content_type = request.headers.get("content-type", "")
    # kubectl prefers it for core kinds and falls back to JSON on 415.
    if "protobuf" in content_type:
        raise answers.unsupported_media_type("application/json, application/yaml")
    as_yaml = "yaml" in content_type
    try:
        parsed = yaml.safe_load(raw) if as_yaml else json.loads(raw)
    except (ValueError, yaml.YAMLError) as error:
        raise answers.bad_request(f"couldn't get version/kind; json parse error: {error}") from error
    if not isinstance(parsed, dict):
        raise answers.bad_request("couldn't get version/kind; json parse error: not an object")
    return parsed
