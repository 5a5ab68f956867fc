"""Argo CD's REST endpoints (reference argocd-api.md sections 1 to 6)."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from integrations.sandbox import gitinfo, invented
from integrations.sandbox.argocd import comparing, stream, transport, tree
from integrations.sandbox.argocd.fields import select
from integrations.sandbox.argocd.kustomize import RenderError
from integrations.sandbox.argocd.live import key_of
from integrations.sandbox.argocd.operations import Operations
from integrations.sandbox.argocd.render import Rendered, render, sources
from integrations.sandbox.argocd.transport import DENIED, Refused, answer
from integrations.sandbox.faults import stream_fault
from integrations.sandbox.kubernetes import kinds, selectors

if TYPE_CHECKING:
    from integrations.sandbox.argocd.argocd import ArgoCD

Object = dict[str, Any]
Endpoint = Callable[[Request], Awaitable[Response]]
VERSION = {
    "Version": "v3.5.2+0000000",
    "BuildDate": "2026-08-12T14:00:00Z",
    "GitCommit": "0000000000000000000000000000000000000000",
    "GitTreeState": "clean",
    "GoVersion": "go1.26.0",
    "Compiler": "gc",
    "Platform": "linux/amd64",
    "KustomizeVersion": "v5.8.0 2026-01-01T00:00:00Z",
    "HelmVersion": "v3.19.0+g0000000",
    "KubectlVersion": "v0.36.1",
    "JsonnetVersion": "v0.21.0",
}
REFRESH_LIMIT = 60.0


class Api:
    """The handlers; what changes Applications is in operations.py."""

    def __init__(self, argocd: ArgoCD) -> None:
        self.world = argocd.world
        self.apps = argocd.apps
        self.controller = argocd.controller
        self.issued: dict[str, str] = {}
        self.operations = Operations(argocd)

    def routes(self) -> list[Route]:
        one = "/api/v1/applications/{name}"
        unguarded: list[tuple[str, Endpoint, str]] = [
            ("/api/version", self.version, "GET"),
            ("/api/v1/session/userinfo", self.userinfo, "GET"),
            ("/api/v1/session", self.login, "POST"),
            ("/api/v1/session", self.logout, "DELETE"),
        ]
        guarded: list[tuple[str, Endpoint, str]] = [
            ("/api/v1/account/can-i/{resource}/{action}/{subresource:path}", self.can_i, "GET"),
            ("/api/v1/applications", self.list_applications, "GET"),
            (one, self.get_application, "GET"),
            (one + "/sync", self.sync, "POST"),
            (one + "/rollback", self.rollback, "POST"),
            (one + "/operation", self.terminate, "DELETE"),
            (one + "/resource-tree", self.resource_tree, "GET"),
            (one + "/managed-resources", self.managed_resources, "GET"),
            (one + "/resource", self.resource, "GET"),
            (one + "/manifests", self.manifests, "GET"),
            (one + "/revisions/{revision}/metadata", self.revision_metadata, "GET"),
            (one + "/events", self.events, "GET"),
            (one + "/syncwindows", self.sync_windows, "GET"),
            (one + "/links", self.links, "GET"),
        ]
        table = [(path, self._open(endpoint), method) for path, endpoint, method in unguarded]
        table += [(path, self._guarded(endpoint), method) for path, endpoint, method in guarded]
        table.append(("/api/v1/stream/applications", self.stream, "GET"))
        return [Route(path, endpoint, methods=[method]) for path, endpoint, method in table]

    def _open(self, endpoint: Endpoint) -> Endpoint:
        async def opened(request: Request) -> Response:
            # Before anybody is asked who they are: a wrong content type hides a wrong token.
            if (wrong := transport.check_content_type(request)) is not None:
                return wrong
            try:
                return await endpoint(request)
            except Refused as refusal:
                return refusal.response()

        return opened

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        async def checked(request: Request) -> Response:
            request.state.user = transport.user(request, self.issued)
            return await endpoint(request)

        return self._open(checked)

    # Session

    async def version(self, request: Request) -> Response:
        try:
            transport.user(request, self.issued)
        except Refused:
            # Strangers learn the version alone; the keys are capitalised, unlike everywhere else.
            return JSONResponse({"Version": VERSION["Version"]})
        return JSONResponse(VERSION)

    async def login(self, request: Request) -> Response:
        body = await transport.body_of(request)
        if not body.get("username"):
            raise Refused(16, "no credentials supplied")
        right = hmac.compare_digest(str(body.get("password", "")).encode(), invented.ARGOCD_PASSWORD.encode())
        if body["username"] != invented.ARGOCD_USER or not right:
            raise Refused(16, "Invalid username or password")
        token = (
            f"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{secrets.token_urlsafe(16)}.{secrets.token_urlsafe(16)}"
        )
        self.issued[token] = body["username"]
        return JSONResponse(
            {"token": token}, headers={"Set-Cookie": f"argocd.token={token}; path=/; HttpOnly"}
        )

    async def logout(self, _: Request) -> Response:
        # The cookie goes, the token stays valid.
        return JSONResponse({}, headers={"Set-Cookie": "argocd.token=; path=/; Max-Age=0"})

    async def userinfo(self, request: Request) -> Response:
        """Answer 200 always; `loggedIn` is left out when the token is bad."""
        try:
            name = transport.user(request, self.issued)
        except Refused:
            return JSONResponse({})
        return JSONResponse({"loggedIn": True, "username": name, "iss": "argocd", "groups": []})

    async def can_i(self, request: Request) -> Response:
        allowed = request.state.user != "reader" or request.path_params["action"] == "get"
        return JSONResponse({"value": "yes" if allowed else "no"})

    # Reading

    async def list_applications(self, request: Request) -> Response:
        matches, query = self._filter(request), request.query_params
        # No pages: what the caller may not see is left out without a word.
        items = [item for item in self.apps.all() if matches(item)]
        if fields := query.get("fields"):
            items = [select(item, fields, "items.") for item in items]
        return answer(request, {"metadata": {"resourceVersion": str(self.apps.version)}, "items": items})

    def _filter(self, request: Request) -> Callable[[Object], bool]:
        query = request.query_params
        projects = [*query.getlist("projects"), *query.getlist("project")]
        chosen = selectors.parse(kinds.POD, query.get("selector", ""), "")
        name, repo = query.get("name", ""), query.get("repo", "")

        def matches(item: Object) -> bool:
            return (
                (not name or item["metadata"]["name"] == name)
                and (not projects or item["spec"].get("project") in projects)
                and (not repo or any(source.get("repoURL") == repo for source in sources(item["spec"])))
                and chosen(item)
            )

        return matches

    def find(self, request: Request, projects: list[str] | None = None) -> Object:
        """Return the Application of the path, or raise what reference section 2 has for it."""
        name = request.path_params["name"]
        asked = request.query_params.getlist("project") or request.query_params.getlist("projects")
        asked = projects if projects is not None else asked
        if len(asked) > 1:
            # On the list several are a filter, for one Application they are a mistake.
            raise Refused(3, "multiple projects specified")
        item = self.apps.get(name)
        if item is None or (asked and item["spec"].get("project") != asked[0]):
            # Without a project a missing Application can't be told from a forbidden one.
            raise Refused(5, f'applications.argoproj.io "{name}" not found') if asked else Refused(7, DENIED)
        return item

    async def get_application(self, request: Request) -> Response:
        item = self.find(request)
        if kind := request.query_params.get("refresh"):
            item = await self._refreshed(item["metadata"]["name"], kind)
        return answer(request, item)

    async def _refreshed(self, name: str, kind: str) -> Object:
        self.controller.refresh(name, kind)
        # Blocks until the controller has removed the annotation; clients bring a time limit of their own
        # (section 6).
        waited = await self.world.wait_until(lambda: not self._refreshing(name), seconds=REFRESH_LIMIT * 10)
        item = self.apps.get(name)
        if not waited or item is None:
            # The annotation stays, and is served later: a client goes on watching.
            raise Refused(2, "application refresh deadline exceeded")
        return item

    def _refreshing(self, name: str) -> bool:
        item = self.apps.items.get(name, {"metadata": {}})
        return comparing.REFRESH in item["metadata"].get("annotations", {})

    async def stream(self, request: Request) -> Response:
        frames = stream.Frames(request.headers.get("accept", ""))
        try:
            transport.user(request, self.issued)
            if stream_fault(self.world, "argocd") == "refuse":
                raise Refused(14, "connection refused")
            matches = self._filter(request)
        except Refused as refused:
            return stream.refusal(frames, refused)
        query = request.query_params
        since = query.get("resourceVersion", "")
        watch = stream.Watch(self.apps, frames, matches, query.get("fields", ""))
        # With a name the initial set comes even when a version is given.
        return watch.response(since=since, initial=not since or bool(query.get("name")))

    # Details of one Application

    async def _rendered(self, item: Object) -> Rendered:
        name = item["metadata"]["name"]
        if name not in self.controller.rendered:
            # A cache miss triggers an implicit refresh and may block.
            await self._refreshed(name, "normal")
        try:
            return self.controller.rendered[name]
        except KeyError:
            raise Refused(2, "cache: key is missing") from None

    async def resource_tree(self, request: Request) -> Response:
        item = self.find(request)
        found = tree.nodes(self.controller.live(item["metadata"]["name"]))
        for key in ("namespace", "name", "version", "group", "kind"):
            if wanted := request.query_params.get(key):
                found = [node for node in found if node.get(key) == wanted]
        info = {"operatingSystem": "linux", "architecture": "amd64"}
        hosts = [{"name": "node-2", "systemInfo": info}]
        return answer(request, {"nodes": found, "orphanedNodes": [], "hosts": hosts})

    async def managed_resources(self, request: Request) -> Response:
        item = self.find(request)
        rendered = await self._rendered(item)
        targets = {key_of(manifest): manifest for manifest in rendered.manifests}
        live = self.controller.live(item["metadata"]["name"])
        return answer(request, {"items": tree.differences(live, targets)})

    async def resource(self, request: Request) -> Response:
        """GET .../resource: one live object of the tree, as a JSON string."""
        item, query = self.find(request), request.query_params
        name, kind = item["metadata"]["name"], query.get("kind", "")
        found = tree.manifest(
            self.controller.live(name), kind, query.get("namespace", ""), query.get("resourceName", "")
        )
        if found is None:
            text = f"{kind} {query.get('group', '')} {query.get('resourceName', '')}"
            raise Refused(3, f"{text} not found as part of application {name}")
        return answer(request, {"manifest": json.dumps(found)})

    async def manifests(self, request: Request) -> Response:
        item, revision = self.find(request), request.query_params.get("revision", "")
        try:
            rendered = await render(self.world, item, [revision])
        except RenderError as error:
            raise Refused(2, str(error)) from error
        destination = item["spec"]["destination"]
        return answer(
            request,
            {
                "manifests": [json.dumps(manifest) for manifest in rendered.manifests],
                "namespace": destination.get("namespace", ""),
                "server": destination.get("server", ""),
                "revision": rendered.revisions[0],
                "sourceType": (rendered.types or ["Directory"])[0],
            },
        )

    async def revision_metadata(self, request: Request) -> Response:
        item, revision = self.find(request), request.path_params["revision"]
        # Which source the revision belongs to; one-source Applications send nothing.
        index = int(request.query_params.get("sourceIndex") or 0)
        url = sources(item["spec"])[index]["repoURL"]
        commit = await gitinfo.resolve(self.world, url, revision)
        if commit is None:
            raise Refused(2, f"failed to get revision metadata: unknown revision {revision}")
        moment = datetime.fromtimestamp(int(commit.committed), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body: Object = {"author": commit.author, "date": moment, "message": commit.message}
        if tags := await gitinfo.tags_at(self.world, url, commit.commit):
            body["tags"] = tags
        return answer(request, body)

    async def events(self, request: Request) -> Response:
        item = self.find(request)
        found = self.apps.events.get(item["metadata"]["name"], [])
        if uid := request.query_params.get("resourceUID"):
            found = [event for event in found if event["involvedObject"]["uid"] == uid]
        return answer(request, {"metadata": {"resourceVersion": str(self.apps.version)}, "items": found})

    async def sync_windows(self, request: Request) -> Response:
        self.find(request)
        closed = self.operations.blocked()
        active = [{"kind": "deny", "schedule": "* * * * *", "duration": "1h", "manualSync": False}]
        windows = active if closed else []
        return answer(request, {"activeWindows": windows, "assignedWindows": windows, "canSync": not closed})

    async def links(self, request: Request) -> Response:
        self.find(request)
        return answer(request, {"items": []})

    # Changing

    async def sync(self, request: Request) -> Response:
        body = await transport.body_of(request)
        item = self.find(request, [body["project"]] if body.get("project") else None)
        await self.operations.sync(item, body, request.state.user)
        return answer(request, self.apps.items[item["metadata"]["name"]])

    async def rollback(self, request: Request) -> Response:
        body = await transport.body_of(request)
        item = self.find(request, [body["project"]] if body.get("project") else None)
        self.operations.rollback(item, body, request.state.user)
        return answer(request, self.apps.items[item["metadata"]["name"]])

    async def terminate(self, request: Request) -> Response:
        self.operations.terminate(self.find(request))
        return JSONResponse({})
