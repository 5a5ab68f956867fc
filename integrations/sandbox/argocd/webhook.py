"""POST /api/webhook: GitLab tells of a push (reference argocd-api.md section 6)."""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from integrations.sandbox import invented
from integrations.sandbox.argocd.render import sources

if TYPE_CHECKING:
    from integrations.sandbox.argocd.argocd import ArgoCD

Object = dict[str, Any]
# A merge request's hook is refused: only what moves a ref counts (argocd-api.md section 6).
EVENTS = ("Push Hook", "Tag Push Hook", "System Hook")


class Webhook:
    """The receiver; 200 says nothing about which Applications matched."""

    def __init__(self, argocd: ArgoCD) -> None:
        self.argocd = argocd

    def routes(self) -> list[Route]:
        return [Route("/api/webhook", self.receive, methods=["GET", "POST", "PUT", "DELETE"])]

    async def receive(self, request: Request) -> Response:
        event = request.headers.get("x-gitlab-event")
        # GitLab is known by the presence of its header, whatever else was sent.
        if event is None:
            return PlainTextResponse("Unknown webhook event\n", 400)
        # Looked at after the header: a GET without it is an unknown event, not a wrong method.
        if request.method != "POST":
            return PlainTextResponse("Webhook processing failed\n", 405)
        sent = request.headers.get("x-gitlab-token", "")
        trusted = hmac.compare_digest(sent.encode(), invented.GITLAB_HOOK_TOKEN.encode())
        try:
            body = json.loads(await request.body())
        except ValueError:
            body = None
        # One sentence for a wrong token, a wrong kind and a broken body: the answer tells nothing apart.
        if not trusted or event not in EVENTS or not isinstance(body, dict):
            return PlainTextResponse("Webhook processing failed\n", 400)
        self._refresh(body)
        # Queued, no more: whether any Application matched is not said.
        return Response(status_code=200)

    def _refresh(self, body: Object) -> None:
        """Refresh the Applications that follow the branch, without waiting."""
        project = body.get("project") or {}
        ref = str(body.get("ref", ""))
        branch = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
        default = branch == project.get("default_branch")
        for name, item in list(self.argocd.apps.items.items()):
            for source in sources(item["spec"]):
                # HEAD and nothing at all follow the default branch alone.
                target = source.get("targetRevision") or "HEAD"
                follows = target in (branch, ref) or (target == "HEAD" and default)
                if follows and _place(source["repoURL"]) == _place(str(project.get("web_url", ""))):
                    self.argocd.controller.refresh(name)
                    break


def _place(url: str) -> tuple[str, str]:
    """Return host (the port does not count) and path, without case, user and .git."""
    # The scp form of an SSH address; a host alias in it never matches (#7657).
    if "://" not in url and ":" in url:
        url = "ssh://" + url.replace(":", "/", 1)
    parts = urlsplit(url)
    return (parts.hostname or "").lower(), parts.path.strip("/").lower().removesuffix(".git")
