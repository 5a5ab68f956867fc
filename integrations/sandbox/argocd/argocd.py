"""The simulated Argo CD: API server and application controller."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from integrations.sandbox.argocd.api import Api
from integrations.sandbox.argocd.applications import Applications
from integrations.sandbox.argocd.controller import Controller
from integrations.sandbox.argocd.webhook import Webhook
from integrations.sandbox.world import World

Object = dict[str, Any]


class ArgoCD:
    """Applications in Git, compared with clusters that exist only here.

    Faults of its own: `faults["argocd"]` {"error_frames": n, "sync_window": bool} and `faults["sync_errors"]`
    {application: n}, the next n applications of its manifests that the cluster refuses.
    """

    def __init__(self, world: World, *, image_host: str = "harbor.centre.com") -> None:
        self.world = world
        self.apps = Applications(world)
        self.controller = Controller(world, self.apps, image_host)
        # The webhook lies beside /api/v1 and asks for no token of Argo CD's (argocd-api.md section 1).
        routes = [*Webhook(self).routes(), *Api(self).routes()]
        self.app = Starlette(routes=routes, exception_handlers={404: _not_found, 405: _wrong_method})
        world.argocd = self

    async def start(self) -> None:
        """Spawn the loops of every Application."""
        self.controller.start()
        self.world.spawn(self._until_closed(), name="argocd streams")

    async def close(self) -> None:
        """End the open streams: they would keep the server from stopping."""
        self.apps.close()

    def apply(self, application: Object) -> None:
        """Create an Application or bring an existing one to the manifest's spec and labels."""
        self.apps.apply(application)
        self.controller.follow(application["metadata"]["name"])
        self.controller.wake(application["metadata"]["name"])

    async def settle(self, name: str) -> None:
        """Bring a new Application to rest at its target revision, as if synced long ago."""
        await self.controller.settle(name)

    def delete(self, name: str) -> None:
        """Delete an Application; its watchers see DELETED with the last state."""
        self.apps.delete(name)
        self.controller.wake(name)

    def request_sync(self, application: str) -> None:
        """Queue a sync of the target revision that restarts the workloads; nothing for an unknown name."""
        if application in self.apps.items:
            self.controller.request_sync(application)

    def verdict(self, application: str) -> tuple[str, str]:
        """Return (sync status, health status) once no operation is on its way; else ("Unknown", ...)."""
        item = self.apps.items.get(application)
        if item is None:
            return "Unknown", "Missing"
        health = item["status"].get("health", {}).get("status", "Unknown")
        # An `operation` that is still there means "not yet", whatever the phase says (section 8, race 1).
        if application in self.controller.settling or "operation" in item:
            return "Unknown", health
        return item["status"]["sync"]["status"], health

    async def _until_closed(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.apps.close()


async def _not_found(_: Request, __: Exception) -> Response:
    # The gateway's own refusals are plain text, unlike every other error (section 1).
    return PlainTextResponse("Not Found\n", 404)


async def _wrong_method(_: Request, __: Exception) -> Response:
    return PlainTextResponse("Method Not Allowed\n", 405)
