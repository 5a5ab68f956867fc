"""A manifest repository of one file, as GitLab's API answers for it (reference gitlab-api.md)."""

from __future__ import annotations

import base64

from tests.cast import MANIFEST_PROJECT
from tests.integrations.loopback import Answer, Loopback

TIP = "b" * 40
FILE = "overlays/prod/deployment.yml"


def serve_manifest(server: Loopback, content: bytes) -> None:
    """Let `server` answer for branch main with `FILE` alone in it."""
    project = f"/api/v4/projects/{MANIFEST_PROJECT.replace('/', '%2F')}/repository"
    commit = {"id": TIP, "title": "Start", "message": "Start", "parent_ids": []}
    server.on("GET", f"{project}/branches/main", Answer({"name": "main", "commit": commit}))
    entry = {"id": "1" * 40, "name": "deployment.yml", "type": "blob", "path": FILE, "mode": "100644"}
    server.on("GET", f"{project}/tree", Answer([entry]))
    name = FILE.replace("/", "%2F").replace(".", r"(\.|%2E)")
    file = {
        "file_path": FILE,
        "file_name": "deployment.yml",
        "size": len(content),
        "encoding": "base64",
        "content": base64.b64encode(content).decode(),
        "ref": TIP,
        "blob_id": "1" * 40,
        "commit_id": TIP,
        "last_commit_id": TIP,
    }
    server.on("GET", f"{project}/files/{name}", Answer(file))
