"""The simulated cluster kube-argo: Kubernetes API, Tekton, its triggers."""

from __future__ import annotations

import asyncio
from typing import Any

import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from integrations.sandbox import invented
from integrations.sandbox.kubernetes import answers, discovery, kinds
from integrations.sandbox.kubernetes.api import Api
from integrations.sandbox.kubernetes.controller import Controller
from integrations.sandbox.kubernetes.logs import Logs
from integrations.sandbox.kubernetes.objects import Objects
from integrations.sandbox.kubernetes.triggers import Triggers
from integrations.sandbox.world import World

Object = dict[str, Any]


class Cluster:
    """Kubernetes with Tekton, as one ASGI application and a controller in the background."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.objects = Objects(world)
        self.logs = Logs(self.objects)
        self.controller = Controller(self.objects, self.logs)
        self.triggers = Triggers(self.objects)
        routes = [*discovery.routes(), *self.triggers.routes(), *Api(self.objects, self.logs).routes()]
        # An unknown path is plain text, not a Status: so an absent CRD shows itself.
        self.app = Starlette(routes=routes, exception_handlers={404: _no_such_path})
        world.cluster = self

    async def start(self) -> None:
        """Spawn the controller."""
        self.controller.start()
        self.world.spawn(self._until_closed(), name="kubernetes watches")

    async def close(self) -> None:
        """End the open watches: they would keep the server from stopping."""
        self.objects.close()

    def apply(self, manifest: Object) -> None:
        """Create or change an object, as `kubectl apply` does; raise ValueError for a kind not served."""
        kind = kinds.of(manifest)
        if kind is None:
            raise ValueError(f"no such kind: {manifest.get('apiVersion')} {manifest.get('kind')}")
        self.objects.apply(kind, manifest["metadata"].get("namespace", ""), manifest)

    async def _until_closed(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.objects.close()


def kubeconfig(server: str, *, namespace: str = "default") -> str:
    """Return the text of a kubeconfig for the cluster at `server`, for kubectl and the client libraries."""
    name = "kube-argo"
    # kubectl drops a user's token unless the server speaks TLS; credentials in the address it keeps.
    address = server.replace("://", f"://kubectl:{invented.KUBERNETES_TOKEN}@", 1)
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": address}}],
            "users": [{"name": "slipway", "user": {"token": invented.KUBERNETES_TOKEN}}],
            "contexts": [
                {"name": name, "context": {"cluster": name, "user": "slipway", "namespace": namespace}}
            ],
            "current-context": name,
        },
        sort_keys=False,
    )


async def _no_such_path(_: Request, __: Exception) -> Response:
    return answers.no_such_path()
