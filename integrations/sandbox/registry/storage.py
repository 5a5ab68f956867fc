"""Blobs on disk; repositories, manifests and tags in the world's store."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from integrations.sandbox.world import World

Object = dict[str, Any]
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    *INDEX_TYPES,
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Storage:
    """What the registry holds. Repository names have no host: "k8s/flask-k8s-example"."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.folder = world.data_dir / "registry"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state = world.store("registry")
        self.repositories: dict[str, Object] = self.state.setdefault("repositories", {})
        self.state.setdefault("last_id", 100)

    # Blobs

    def path(self, digest: str) -> Path:
        return self.folder / digest.removeprefix("sha256:")

    def add_blob(self, content: bytes) -> str:
        digest = digest_of(content)
        if not self.path(digest).exists():
            self.path(digest).write_bytes(content)
        return digest

    def blob(self, digest: str) -> bytes | None:
        # A digest becomes a file's name: nothing but letters and digits may reach the disk.
        known = digest.startswith("sha256:") and digest[7:].isalnum() and self.path(digest).exists()
        return self.path(digest).read_bytes() if known else None

    # Manifests and tags

    def find(self, repository: str, reference: str) -> Object | None:
        """Return a manifest's row by tag or digest, or None."""
        held = self.repositories.get(repository)
        if held is None:
            return None
        digest = (
            reference if reference.startswith("sha256:") else held["tags"].get(reference, {}).get("digest")
        )
        found: Object | None = held["manifests"].get(digest)
        return found

    def put(
        self,
        repository: str,
        reference: str,
        media_type: str,
        content: bytes,
        *,
        moment: datetime | None = None,
    ) -> Object:
        """Store a manifest, under a tag unless `reference` is its digest; return its row."""
        moment = moment or self.world.now()
        now = moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        created = int(moment.timestamp())
        held = self.repositories.setdefault(
            repository, {"id": self.next_id(), "created": created, "manifests": {}, "tags": {}}
        )
        digest = self.add_blob(content)
        new: Object = {"id": self.next_id(), "digest": digest, "media_type": media_type}
        # Pushed again, a manifest keeps its row and its push time; only the tag's time moves.
        row: Object = held["manifests"].setdefault(digest, new | {"size": len(content), "push_time": now})
        if not reference.startswith("sha256:"):
            held["tags"][reference] = {"id": self.next_id(), "digest": digest, "push_time": now}
        self.world.touch()
        return row

    def delete(self, repository: str, digest: str) -> list[str]:
        """Forget a manifest and the tags on it; return those tags."""
        held = self.repositories[repository]
        del held["manifests"][digest]
        tags = self.tags_of(repository, digest)
        # A tag without its manifest would be a name for nothing.
        for tag in tags:
            del held["tags"][tag]
        self.world.touch()
        return tags

    def tags_of(self, repository: str, digest: str) -> list[str]:
        held = self.repositories[repository]["tags"]
        return sorted(tag for tag, row in held.items() if row["digest"] == digest)

    def manifest(self, row: Object) -> Object:
        """Return a manifest parsed."""
        found: Object = json.loads(self.path(row["digest"]).read_bytes())
        return found

    def config(self, row: Object) -> Object:
        """Return the image configuration of a manifest; an index has none: {}."""
        descriptor = self.manifest(row).get("config", {})
        content = self.blob(descriptor.get("digest", ""))
        found: Object = json.loads(content) if content else {}
        return found

    def next_id(self) -> int:
        self.state["last_id"] += 1
        return int(self.state["last_id"])
