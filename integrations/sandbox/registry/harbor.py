"""Harbor's own API under /api/v2.0 (reference registry-and-harbor.md, "Harbor")."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from integrations.sandbox.registry.storage import INDEX_TYPES
from integrations.sandbox.registry.tokens import basic

if TYPE_CHECKING:
    from integrations.sandbox.registry.registry import Registry

Object = dict[str, Any]
Endpoint = Callable[[Request], Awaitable[Response]]
# Go's zero time: Harbor has no null for "never pulled".
NEVER = "0001-01-01T00:00:00.000Z"
EVENT_TYPES = [
    "DELETE_ARTIFACT",
    "PULL_ARTIFACT",
    "PUSH_ARTIFACT",
    "QUOTA_EXCEED",
    "QUOTA_WARNING",
    "REPLICATION",
    "SCANNING_COMPLETED",
    "SCANNING_FAILED",
    "SCANNING_STOPPED",
    "TAG_RETENTION",
]


def failure(status: int, code: str, message: str) -> Response:
    return JSONResponse({"errors": [{"code": code, "message": message}]}, status)


class Harbor:
    """The handlers of /api/v2.0."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.storage = registry.storage

    def routes(self) -> list[Route]:
        base = "/api/v2.0"
        one = base + "/projects/{project}/repositories/{repository}/artifacts"
        hooks = base + "/projects/{project}/webhook"
        table: list[tuple[str, Endpoint]] = [
            (base + "/systeminfo", self.system_info),
            (base + "/projects", self.projects),
            (base + "/projects/{project}", self.project),
            (base + "/projects/{project}/repositories", self.repositories),
            (one, self.artifacts),
            (one + "/{reference}", self.artifact),
            (hooks + "/policies", self.policies),
            (hooks + "/events", self.event_types),
        ]
        return [Route(path, self._guarded(endpoint)) for path, endpoint in table]

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            # Basic alone: the tokens of /service/token open /v2/ and nothing here.
            if not basic(request):
                return failure(401, "UNAUTHORIZED", "unauthorized")
            return await endpoint(request)

        return guarded

    async def system_info(self, _: Request) -> Response:
        return JSONResponse(
            {"auth_mode": "db_auth", "harbor_version": "v2.13.1", "registry_url": self.registry.host}
        )

    async def projects(self, request: Request) -> Response:
        return _page(request, [self._project(name) for name in self._names()])

    async def project(self, request: Request) -> Response:
        name = request.path_params["project"]
        if name not in self._names():
            return failure(404, "NOT_FOUND", f"project {name} not found")
        return JSONResponse(self._project(name))

    def _names(self) -> list[str]:
        return sorted({repository.split("/")[0] for repository in self.storage.repositories})

    def _project(self, name: str) -> Object:
        repositories = [r for r in self.storage.repositories if r.startswith(name + "/")]
        # Project 1 is Harbor's own `library`.
        number = self._names().index(name) + 2
        return {
            "project_id": number,
            "name": name,
            "owner_name": "admin",
            "repo_count": len(repositories),
        } | {"metadata": {"public": "false"}}

    async def repositories(self, request: Request) -> Response:
        project = request.path_params["project"]
        found = [
            {"id": held["id"], "name": name, "artifact_count": len(held["manifests"])}
            for name, held in sorted(self.storage.repositories.items())
            if name.startswith(project + "/")
        ]
        return _page(request, found)

    def _repository(self, request: Request) -> str:
        # A slash in the repository's name arrives encoded twice: the path was decoded once before.
        return f"{request.path_params['project']}/{unquote(request.path_params['repository'])}"

    async def artifacts(self, request: Request) -> Response:
        """Return the artifacts, newest push first unless `sort` says otherwise."""
        name = self._repository(request)
        held = self.storage.repositories.get(name)
        if held is None:
            return failure(404, "NOT_FOUND", f"repository {name} not found")
        found = [self._artifact(name, row, request) for row in held["manifests"].values()]
        wanted = _tag_test(request.query_params.get("q", ""))
        found = [item for item in found if wanted([tag["name"] for tag in item["tags"] or []])]
        # A minus in front turns the order around.
        ascending = request.query_params.get("sort", "-push_time") == "push_time"
        found.sort(key=lambda item: (item["push_time"], item["id"]), reverse=not ascending)
        return _page(request, found)

    async def artifact(self, request: Request) -> Response:
        name, reference = self._repository(request), request.path_params["reference"]
        row = self.storage.find(name, reference)
        if row is None:
            mark = "@" if reference.startswith("sha256:") else ":"
            return failure(404, "NOT_FOUND", f"artifact {name}{mark}{reference} not found")
        return JSONResponse(self._artifact(name, row, request))

    def _artifact(self, name: str, row: Object, request: Request) -> Object:
        held, manifest, config = (
            self.storage.repositories[name],
            self.storage.manifest(row),
            self.storage.config(row),
        )
        config_type = manifest.get("config", {}).get("mediaType", row["media_type"])
        tags = [self._tag(held, row, tag) for tag in self.storage.tags_of(name, row["digest"])]
        with_tag = request.query_params.get("with_tag", "true") != "false"
        layers = [*manifest.get("layers", []), manifest.get("config", {})]
        return {
            "id": row["id"],
            # Told by the configuration's media type: a chart is an OCI artifact like any other.
            "type": "CHART" if "helm" in config_type else "IMAGE",
            "media_type": config_type,
            "manifest_media_type": row["media_type"],
            "artifact_type": config_type,
            "project_id": self._names().index(name.split("/")[0]) + 2,
            "repository_id": held["id"],
            "repository_name": name,
            "digest": row["digest"],
            "size": row["size"] + sum(layer.get("size", 0) for layer in layers),
            "push_time": row["push_time"],
            "pull_time": NEVER,
            # An index has no configuration, so no labels: clients open one of its children.
            "extra_attrs": _extra(config) or None,
            "annotations": manifest.get("annotations"),
            # The children of an index, one for each platform.
            "references": _references(manifest) if row["media_type"] in INDEX_TYPES else None,
            # Null without tags: such an artifact is no version.
            "tags": tags if tags and with_tag else None,
            "labels": None,
            "accessories": None,
            **self._scan(row, request),
        }

    def _scan(self, row: Object, request: Request) -> Object:
        """The finished scan, where it is asked for; a manifest row may hold its `severity`."""
        if request.query_params.get("with_scan_overview") != "true":
            return {}
        report = {
            "report_id": f"report-{row['id']}",
            "scan_status": row.get("scan_status", "Success"),
            "severity": row.get("severity", "None"),
            "end_time": row["push_time"],
            "complete_percent": 100,
        }
        # Keyed by the report's media type, version and all: clients take whatever key is there.
        return {"scan_overview": {"application/vnd.security.vulnerability.report; version=1.1": report}}

    def _tag(self, held: Object, row: Object, tag: str) -> Object:
        return {
            "id": held["tags"][tag]["id"],
            "repository_id": held["id"],
            "artifact_id": row["id"],
            "name": tag,
            "push_time": held["tags"][tag]["push_time"],
            "pull_time": NEVER,
            "immutable": False,
        }

    async def policies(self, request: Request) -> Response:
        """Return the webhook policies; the header's value is not shown again."""
        shown = [
            {
                "id": number,
                "name": policy["name"],
                "project_id": 2,
                "enabled": policy["enabled"],
                "event_types": policy["event_types"],
                "targets": [{"type": "http", "address": policy["address"], "payload_format": "Default"}],
            }
            for number, policy in enumerate(self.registry.hooks.policies(), start=1)
        ]
        return _page(request, shown)

    async def event_types(self, _: Request) -> Response:
        return JSONResponse({"event_type": EVENT_TYPES, "notify_type": ["http", "slack"]})


def _extra(config: Object) -> Object:
    return {key: config[key] for key in ("architecture", "os", "created", "config") if key in config}


def _references(manifest: Object) -> list[Object]:
    return [
        {"child_digest": child["digest"], "platform": child.get("platform")}
        for child in manifest["manifests"]
    ]


def _tag_test(query: str) -> Callable[[list[str]], bool]:
    """Return the test of `q`: tags=* any tag, tags=v exact, tags=~v part of it, tags=nil untagged."""
    _, _, value = query.partition("tags=")
    if not value:
        return lambda _: True
    if value == "nil":
        return lambda tags: not tags
    if value == "*":
        return bool
    if value.startswith("~"):
        return lambda tags: any(value[1:] in tag for tag in tags)
    return lambda tags: value in tags


def _page(request: Request, items: list[Object]) -> Response:
    query = request.query_params
    # Ten a page unless told, a hundred at most.
    page, size = max(1, int(query.get("page") or 1)), min(100, int(query.get("page_size") or 10))
    links = []
    for word, number in (("prev", page - 1), ("next", page + 1)):
        if number >= 1 and (number - 1) * size < len(items):
            kept = {key: value for key, value in query.items() if key not in ("page", "page_size")}
            target = urlencode({**kept, "page": number, "page_size": size})
            # The path goes out as it came in: its slashes encoded twice.
            path = request.scope.get("raw_path", b"").decode().partition("?")[0]
            links.append(f'<{path}?{target}>; rel="{word}"')
    headers = {"X-Total-Count": str(len(items))}
    if links:
        # With a blank before the comma, as Harbor writes it.
        headers["Link"] = " , ".join(links)
    return JSONResponse(items[(page - 1) * size : page * size], headers=headers)
