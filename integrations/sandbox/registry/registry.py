"""The simulated registry: the distribution API and Harbor's own, over one storage."""

from __future__ import annotations

from datetime import datetime

from starlette.applications import Starlette
from starlette.routing import Route

from integrations.sandbox.registry import images
from integrations.sandbox.registry.distribution import Distribution
from integrations.sandbox.registry.harbor import Harbor
from integrations.sandbox.registry.hooks import Hooks
from integrations.sandbox.registry.storage import INDEX_TYPES, Storage
from integrations.sandbox.registry.tokens import Tokens
from integrations.sandbox.world import World

HOST = "harbor.centre.com"


class Registry:
    """The registry; image names carry the host harbor.centre.com although it listens on loopback.

    `world.store("registry")["notifications"] = True` enables distribution's notifications.
    """

    def __init__(self, world: World, *, host: str = HOST) -> None:
        self.world = world
        self.host = host
        self.storage = Storage(world)
        self.tokens = Tokens()
        self.hooks = Hooks(self.storage, host)
        token = Route("/service/token", self.tokens.issue)
        self.app = Starlette(routes=[token, *Distribution(self).routes(), *Harbor(self).routes()])
        world.images = self

    async def start(self) -> None:
        """Spawn the sender of notifications."""
        self.hooks.start()

    async def close(self) -> None:
        """Close the connections to the receivers of hooks."""
        await self.hooks.close()

    def push(self, repository: str, tag: str, *, revision: str, source: str = "") -> str:
        """Build and store a new image under the tag, emit `image.pushed`, and return its digest."""
        # The moment is part of the image: a second build of one commit has another digest.
        created = self.world.now()
        content = images.build(self.storage, tag=tag, revision=revision, source=source, created=created)
        return self.put(repository, tag, images.MANIFEST_TYPE, content)

    def store(self, repository: str, tag: str, *, revision: str, source: str, created: datetime) -> str:
        """Store an image of the past under the tag and return its digest; nobody is told."""
        content = images.build(self.storage, tag=tag, revision=revision, source=source, created=created)
        row = self.storage.put(repository, tag, images.MANIFEST_TYPE, content, moment=created)
        return str(row["digest"])

    def digest(self, repository: str, reference: str) -> str | None:
        """Return the digest a tag (or digest) stands for, or None."""
        row = self.storage.find(repository, reference)
        return row["digest"] if row is not None else None

    def put(self, repository: str, reference: str, media_type: str, content: bytes) -> str:
        """Store a manifest, tell hooks and the other vendors, and return its digest."""
        row = self.storage.put(repository, reference, media_type, content)
        digest: str = row["digest"]
        tag = "" if reference.startswith("sha256:") else reference
        if tag or media_type not in INDEX_TYPES:
            # Harbor names the artifact's first tag, which need not be the one just pushed.
            first = self.storage.tags_of(repository, digest)
            self.hooks.changed("PUSH_ARTIFACT", repository, row, first[0] if first else "")
        self.world.emit("image.pushed", repository=repository, tag=tag, digest=digest)
        return digest

    def delete(self, repository: str, digest: str) -> None:
        """Delete an artifact by digest with all its tags; emit `image.deleted`."""
        row = self.storage.find(repository, digest)
        # Deleting what is gone is no mistake: cleaners run twice.
        if row is None:
            return
        tags = self.storage.delete(repository, digest)
        self.hooks.changed("DELETE_ARTIFACT", repository, row, tags[0] if tags else "")
        self.world.emit("image.deleted", repository=repository, digest=digest)

    def labels(self, repository: str, reference: str) -> dict[str, str]:
        """Return an image's labels; {} where it is not known."""
        row = self.storage.find(repository, reference)
        config = self.storage.config(row) if row is not None else {}
        return dict(config.get("config", {}).get("Labels") or {})
