"""Small plain pages behind the links that payloads carry, so that a click in the demo leads somewhere."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse
from starlette.types import Receive, Scope, Send

if TYPE_CHECKING:
    from integrations.sandbox.gitlab.app import GitLab


async def serve(gitlab: GitLab, scope: Scope, receive: Receive, send: Send) -> None:
    """Say what a link stands for."""
    path = scope["path"].strip("/")
    project_path, _, rest = path.partition("/-/")
    project = gitlab.state.project(project_path)
    known = project is not None or not path
    lines = [f"<h1>{html.escape(project_path or 'GitLab')}</h1>"]
    kind, _, number = rest.partition("/")
    mr = project["merge_requests"].get(number) if project and kind == "merge_requests" else None
    if mr:
        branches = f"{mr['source_branch']} into {mr['target_branch']}"
        lines.append(
            f"<p>!{mr['iid']} {html.escape(mr['title'])}: {html.escape(branches)}, {mr['state']}</p>"
        )
    elif rest:
        lines.append(f"<p>{html.escape(rest)}</p>")
    if not known:
        lines.append("<p>404: the page could not be found.</p>")
    lines.append("<p>The sandbox's GitLab has no pages of its own; its API is real.</p>")
    text = f"<!doctype html><html lang=en><title>Sandbox GitLab</title>{''.join(lines)}"
    await HTMLResponse(text, 200 if known else 404)(scope, receive, send)
