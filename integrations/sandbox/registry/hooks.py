"""What the registry sends: Harbor's webhooks, and distribution's notifications when they are enabled."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import httpx
import structlog

from integrations.http import authorities
from integrations.sandbox import invented
from integrations.sandbox.faults import hook_copies
from integrations.sandbox.registry.storage import Storage

log = structlog.get_logger(__name__)

Object = dict[str, Any]
HARBOR_TIMEOUT, HARBOR_TRIES, HARBOR_PAUSE = 3.0, 3, 5.0
NOTIFICATION_TIMEOUT, NOTIFICATION_PAUSE = 0.5, 1.0
NOTIFICATION_TYPE = "application/vnd.docker.distribution.events.v2+json"


class Hooks:
    """Both senders. Nothing is sent while the world's hook base is empty."""

    def __init__(self, storage: Storage, host: str) -> None:
        self.storage = storage
        self.host = host
        self.world = storage.world
        # distribution sends in order and blocks on a refused one; Harbor sends each by itself.
        self.queue: asyncio.Queue[Object] = asyncio.Queue()
        # Loopback alone: a proxy from the environment must not see it.
        self.client = httpx.AsyncClient(verify=authorities(), trust_env=False, follow_redirects=False)

    def start(self) -> None:
        self.world.spawn(self._notify(), name="distribution notifications")

    async def close(self) -> None:
        await self.client.aclose()

    def policies(self) -> list[Object]:
        """Return the project's webhook policies; the first is made where there is none."""
        made: list[Object] = self.storage.state.setdefault(
            "policies",
            [{"name": "slipway", "enabled": True, "event_types": ["PUSH_ARTIFACT", "DELETE_ARTIFACT"]}],
        )
        address = f"{self.world.hook_base}/webhooks/harbor/{invented.HARBOR_SOURCE}"
        return [{**policy, "address": address} for policy in made]

    def changed(self, type_: str, repository: str, row: Object, tag: str) -> None:
        """Tell the outside of a pushed or deleted artifact; `tag` is "" when it has none."""
        # Docker Hub's repositories lie in the same storage, but Harbor knows nothing of them.
        if not self.world.hook_base or repository in self.storage.state.get("elsewhere", []):
            return
        body = self._harbor_body(type_, repository, row["digest"], tag)
        for policy in self.policies():
            if policy["enabled"] and type_ in policy["event_types"]:
                self.world.spawn(self._deliver(policy["address"], body), name=f"harbor hook {type_}")
        if self.storage.state.get("notifications"):
            self.queue.put_nowait(self._notification(type_, repository, row, tag))

    def _harbor_body(self, type_: str, repository: str, digest: str, tag: str) -> bytes:
        namespace, _, name = repository.partition("/")
        mark = f":{tag}" if tag else f"@{digest}"
        # Exactly one resource; an artifact without a tag carries its digest in the tag's place.
        resource = {"digest": digest, "tag": tag or digest, "resource_url": f"{self.host}/{repository}{mark}"}
        body = {
            "type": type_,
            "occur_at": int(self.world.now().timestamp()),
            "operator": invented.HARBOR_USER,
            "event_data": {
                "resources": [resource],
                "repository": {
                    "date_created": self.storage.repositories[repository]["created"],
                    "name": name,
                    "namespace": namespace,
                    "repo_full_name": repository,
                    "repo_type": "private",
                },
            },
        }
        # Made once: each try sends the same bytes, so receivers can tell a repetition by them.
        return json.dumps(body, separators=(",", ":")).encode()

    async def _deliver(self, address: str, body: bytes) -> None:
        copies, delay = hook_copies(self.world)
        await asyncio.sleep(delay)
        for _ in range(copies):
            await self._attempts(address, body)

    async def _attempts(self, address: str, body: bytes) -> None:
        """Send up to three times, byte for byte the same; only 2xx counts as delivered."""
        # The policy's auth_header goes verbatim into Authorization.
        headers = {"Content-Type": "application/json", "Authorization": invented.HARBOR_HOOK_AUTH}
        for attempt in range(HARBOR_TRIES):
            if attempt:
                await self.world.pause(HARBOR_PAUSE)
            if 200 <= await self._post(address, body, headers, HARBOR_TIMEOUT) < 300:
                return
        log.warning("harbor hook given up", address=address)

    async def _post(self, address: str, body: bytes, headers: dict[str, str], timeout: float) -> int:
        try:
            answer = await self.client.post(address, content=body, headers=headers, timeout=timeout)
        except httpx.HTTPError:
            return 0
        return answer.status_code

    def _notification(self, type_: str, repository: str, row: Object, tag: str) -> Object:
        base = self.world.urls.get("registry", "http://127.0.0.1")
        target: Object = {"digest": row["digest"], "repository": repository}
        if type_ == "PUSH_ARTIFACT":
            size = {"size": row["size"], "length": row["size"]}
            url = f"{base}/v2/{repository}/manifests/{row['digest']}"
            # A deletion carries digest and repository only.
            target = {"mediaType": row["media_type"], **target, **size, "url": url}
            target |= {"tag": tag} if tag else {}
        return {
            "id": str(uuid.uuid4()),
            "timestamp": self.world.now().isoformat(timespec="microseconds"),
            "action": "push" if type_ == "PUSH_ARTIFACT" else "delete",
            "target": target,
            "request": {"id": str(uuid.uuid4()), "method": "PUT", "useragent": "sandbox"},
            "actor": {"name": invented.HARBOR_USER},
            "source": {"addr": "registry:5000", "instanceID": "a53db899-3b4b-4a62-a067-8dd013beaca4"},
        }

    async def _notify(self) -> None:
        """Send one envelope after the other, each until it is taken: a refused one blocks the queue."""
        headers = {"Content-Type": NOTIFICATION_TYPE, "Authorization": invented.HARBOR_HOOK_AUTH}
        while True:
            body = json.dumps({"events": [await self.queue.get()]}).encode()
            while True:
                address = f"{self.world.hook_base}/webhooks/distribution/{invented.DISTRIBUTION_SOURCE}"
                # Half a second of patience, and redirects count as taken (registry-and-harbor.md).
                if 200 <= await self._post(address, body, headers, NOTIFICATION_TIMEOUT) < 400:
                    break
                await self.world.pause(NOTIFICATION_PAUSE)
