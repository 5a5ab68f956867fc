"""What a client asks first: versions, groups, resources (enough for kubectl and the client libraries)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from integrations.sandbox.kubernetes.answers import no_such_path
from integrations.sandbox.kubernetes.kinds import KINDS, POD, Kind

# watch is a verb of its own: RBAC may grant list without it.
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
# An OpenAPI 2 document in protobuf that says nothing but `swagger: "2.0"`: kubectl skips its client-side
# validation of kinds the document does not know.
EMPTY_OPENAPI = b"\x0a\x032.0"
# Asked for with "@v1.0", answered with ".v1.0": the former is no valid media type.
OPENAPI_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


async def version(_: Request) -> Response:
    return JSONResponse(
        {
            "major": "1",
            "minor": "33",
            "gitVersion": "v1.33.4",
            "gitCommit": "0000000000000000000000000000000000000000",
            "gitTreeState": "clean",
            "buildDate": "2026-08-12T14:00:00Z",
            "goVersion": "go1.24.5",
            "compiler": "gc",
            "platform": "linux/amd64",
        }
    )


async def core_versions(_: Request) -> Response:
    return JSONResponse({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})


async def groups(_: Request) -> Response:
    names = dict.fromkeys(kind.group for kind in KINDS if kind.custom)
    listed = [_group(name) for name in names]
    return JSONResponse({"kind": "APIGroupList", "apiVersion": "v1", "groups": listed})


async def group(request: Request) -> Response:
    name = request.path_params["group"]
    if name not in {kind.group for kind in KINDS if kind.custom}:
        return no_such_path()
    return JSONResponse({"kind": "APIGroup", "apiVersion": "v1", **_group(name)})


def _group(name: str) -> dict[str, object]:
    versions = dict.fromkeys(kind.version for kind in KINDS if kind.group == name)
    served = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    # How clients learn whether a cluster serves Tekton's v1 or only v1beta1.
    return {"name": name, "versions": served, "preferredVersion": served[0]}


async def resources(request: Request) -> Response:
    group_name, version_name = request.path_params.get("group", ""), request.path_params.get("version", "v1")
    kinds = [kind for kind in KINDS if (kind.group, kind.version) == (group_name, version_name)]
    if not kinds:
        return no_such_path()
    listed = [entry for kind in kinds for entry in _entries(kind)]
    return JSONResponse(
        {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": kinds[0].api_version,
            "resources": listed,
        }
    )


def _entries(kind: Kind) -> list[dict[str, object]]:
    main = {
        "name": kind.plural,
        "singularName": kind.kind.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": VERBS,
        "shortNames": list(kind.short),
        "categories": ["tekton", "tekton-pipelines"] if kind.custom else ["all"],
    }
    sub = {"singularName": "", "namespaced": kind.namespaced, "kind": kind.kind}
    entries: list[dict[str, object]] = [main]
    if kind.has_status:
        # Subresources stand in the list like resources, with a slash in the name.
        entries.append({**sub, "name": f"{kind.plural}/status", "verbs": ["get", "patch", "update"]})
    if kind is POD:
        entries.append({**sub, "name": "pods/log", "verbs": ["get"]})
    return entries


async def openapi(_: Request) -> Response:
    return Response(EMPTY_OPENAPI, media_type=OPENAPI_TYPE)


async def healthy(_: Request) -> Response:
    return Response("ok", media_type="text/plain")


def routes() -> list[Route]:
    return [
        Route("/version", version),
        Route("/version/", version),
        Route("/healthz", healthy),
        Route("/readyz", healthy),
        Route("/livez", healthy),
        Route("/openapi/v2", openapi),
        Route("/api", core_versions),
        Route("/apis", groups),
        Route("/api/v1", resources),
        Route("/apis/{group}", group),
        Route("/apis/{group}/{version}", resources),
    ]
