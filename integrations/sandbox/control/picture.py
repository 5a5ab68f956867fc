"""The state of the whole sandbox in one JSON object, read through the vendors' own APIs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx

from integrations.sandbox import invented
from integrations.sandbox.control.plays import Json
from integrations.sandbox.gitlab.web import blocking

if TYPE_CHECKING:
    from integrations.sandbox.gitlab.app import GitLab
    from integrations.sandbox.world import World

# Newest first, so many of each are shown.
SHOWN = 12


async def picture(world: World, gitlab: GitLab, peers: dict[str, Any]) -> Json:
    """Return what GET /api/state answers. Peers are asked past their faults, so the page stays quick."""
    runs, applications, images = await asyncio.gather(_runs(peers), _applications(peers), _images(peers))
    return {
        "urls": world.urls,
        "hook_base": world.hook_base,
        "speed": world.speed,
        "scenarios": world.scenarios,
        "faults": world.faults,
        "projects": [await blocking(_project, gitlab, row) for row in list(gitlab.state.projects.values())],
        "runs": runs,
        "applications": applications,
        "images": images,
        "syncs": world.store("argocd").get("syncs", []),
        "hooks": _hooks(gitlab),
        "chat": [message for room in world.store("chat").values() for message in room][-SHOWN:],
    }


def _project(gitlab: GitLab, project: Json) -> Json:
    repository = gitlab.open(project)
    # Read from Git, not from the rows: this is what everybody else sees as well.
    branches = []
    for ref in repository.refs("refs/heads/"):
        commit = repository.log("-1", ref.commit)[0]
        name = ref.name.removeprefix("refs/heads/")
        branches.append(
            {"name": name, "commit": commit.id, "title": commit.title, "author": commit.author.name}
        )
    tags = [ref.name.removeprefix("refs/tags/") for ref in repository.refs("refs/tags/")]
    kept = ("iid", "title", "state", "source_branch", "target_branch", "sha", "merge_commit_sha")
    requests = [
        {name: mr[name] for name in kept} for mr in list(gitlab.state.merge_requests(project))[-SHOWN:]
    ]
    return {
        "path": project["path_with_namespace"],
        "branches": branches,
        "tags": tags,
        "merge_requests": requests[::-1],
    }


def _hooks(gitlab: GitLab) -> list[Json]:
    rows: list[Json] = []
    kept = ("id", "trigger", "created_at", "response_status", "attempts", "idempotency_key")
    for project in gitlab.state.projects.values():
        for row in project["deliveries"][-SHOWN:]:
            # The placeholder tells whose hook it is, whatever port Slipway has today.
            to = "Slipway" if "{hook_base}" in row["url"] else row["url"].rsplit("/", 1)[-1]
            rows.append(
                {name: row[name] for name in kept} | {"project": project["path_with_namespace"], "to": to}
            )
    return sorted(rows, key=lambda row: int(row["id"]), reverse=True)[:SHOWN]


async def _ask(peers: dict[str, Any], vendor: str, path: str, **headers: str) -> Any:
    """Ask a vendor's ASGI app directly; None where it is missing or does not answer with JSON."""
    if vendor not in peers:
        return None
    transport = httpx.ASGITransport(app=peers[vendor].app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", headers=headers) as client:
        answer = await client.get(path)
    try:
        return answer.json() if answer.is_success else None
    except ValueError:
        return None


async def _runs(peers: dict[str, Any]) -> list[Json]:
    path = "/apis/tekton.dev/v1/pipelineruns"
    body = await _ask(peers, "kubernetes", path, Authorization=f"Bearer {invented.KUBERNETES_TOKEN}")
    rows = [_run(item) for item in (body or {}).get("items", [])]
    return sorted(rows, key=lambda row: str(row["created"]), reverse=True)[:SHOWN]


def _run(item: Json) -> Json:
    conditions = item.get("status", {}).get("conditions") or [{}]
    return {
        "name": item["metadata"]["name"],
        "created": item["metadata"].get("creationTimestamp"),
        "pipeline": item.get("metadata", {}).get("labels", {}).get("tekton.dev/pipeline", ""),
        "status": {"True": "succeeded", "False": "failed"}.get(conditions[0].get("status"), "running"),
        "reason": conditions[0].get("reason", ""),
    }


async def _applications(peers: dict[str, Any]) -> list[Json]:
    token = f"Bearer {invented.ARGOCD_TOKEN}"
    body = await _ask(peers, "argocd", "/api/v1/applications", Authorization=token)
    return [
        {
            "name": item["metadata"]["name"],
            "sync": item.get("status", {}).get("sync", {}).get("status", "Unknown"),
            "health": item.get("status", {}).get("health", {}).get("status", "Unknown"),
            "revision": item.get("status", {}).get("sync", {}).get("revision", ""),
            "images": item.get("status", {}).get("summary", {}).get("images", []),
        }
        for item in (body or {}).get("items") or []
    ]


async def _images(peers: dict[str, Any]) -> list[Json]:
    rows: list[Json] = []
    login = httpx.BasicAuth(invented.HARBOR_USER, invented.HARBOR_PASSWORD)
    header = next(login.auth_flow(httpx.Request("GET", "http://sandbox"))).headers["Authorization"]
    registry = peers.get("registry")
    for repository in registry.storage.repositories if registry is not None else ():
        project, _, name = repository.partition("/")
        path = f"/api/v2.0/projects/{project}/repositories/{name}/artifacts?with_tag=true&page_size=20"
        for item in await _ask(peers, "registry", path, Authorization=header) or []:
            tags = [tag["name"] for tag in item.get("tags") or []]
            rows.append(
                {
                    "repository": repository,
                    "tags": tags,
                    "digest": item["digest"],
                    "pushed": item["push_time"],
                }
            )
    return sorted(rows, key=lambda row: str(row["pushed"]), reverse=True)[:SHOWN]
