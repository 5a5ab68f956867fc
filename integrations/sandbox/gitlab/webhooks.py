"""Send webhooks as GitLab does (reference gitlab-webhooks.md).

Ten seconds of patience, no retry, no order promised; a hook that fails is switched off for a while, and
what happens meanwhile is lost.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
import uuid
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx

from integrations.http import authorities
from integrations.sandbox.faults import hook_copies, take
from integrations.sandbox.gitlab.state import Json, stamp

if TYPE_CHECKING:
    from integrations.sandbox.gitlab.app import GitLab

VERSION = "18.4.1"
TIMEOUT = 10.0
KEPT_DELIVERIES = 100
CHAIN_LIMIT = 100
CHAIN_SECONDS = 30 * 60
# After so many failures in a row only a person's successful test brings the hook back.
PERMANENT_AFTER = 40

# Attribute of a hook's row, header value.
EVENTS = {
    "push": ("push_events", "Push Hook"),
    "tag_push": ("tag_push_events", "Tag Push Hook"),
    "merge_request": ("merge_requests_events", "Merge Request Hook"),
    "pipeline": ("pipeline_events", "Pipeline Hook"),
    "deployment": ("deployment_events", "Deployment Hook"),
    "release": ("releases_events", "Release Hook"),
}

# The hook chain that the current request continues: set by an incoming X-Gitlab-Event-UUID.
_chain: ContextVar[str | None] = ContextVar("chain", default=None)


class Webhooks:
    """The delivery of one GitLab's project hooks."""

    def __init__(self, gitlab: GitLab) -> None:
        self.gitlab = gitlab
        self.world = gitlab.world
        self._chains: dict[str, tuple[float, set[int]]] = {}
        self._held: list[asyncio.Event] = []
        self._sending: set[asyncio.Task[None]] = set()
        self._closed = False
        self._client: httpx.AsyncClient | None = None

    def join_chain(self, event_uuid: str | None) -> None:
        """Note that the current request was caused by a hook: its header says so."""
        _chain.set(event_uuid)

    def fire(self, project: Json, kind: str, payload: Json) -> None:
        """Queue one event for every hook of the project that wants it."""
        attribute, header = EVENTS[kind]
        # All hooks of one event share it: it tells no delivery from another.
        event_uuid = _chain.get() or str(uuid.uuid4())
        for hook in project["hooks"]:
            if hook.get(attribute) and self._enabled(hook) and self._unchained(event_uuid, hook["id"]):
                self.send(project, hook, header, payload, event_uuid)

    def send(
        self, project: Json, hook: Json, event: str, payload: Json, event_uuid: str, *, key: str = ""
    ) -> Json:
        """Queue one delivery; return its log entry. Faults touch only the hooks that go to Slipway."""
        row = self._log(project, hook, event, payload, event_uuid, key or str(uuid.uuid4()))
        if self._closed or not self.resolve(hook["url"]).startswith("http"):
            return row  # nobody listens yet: not a failure of the hook
        faulty = "{hook_base}" in hook["url"]
        copies, delay = hook_copies(self.world) if faulty else (1, 0.0)
        row["response_status"] = "lost" if copies == 0 else row["response_status"]
        held = asyncio.Event() if faulty and take(self.world, "hooks", "reorder") else None
        if held is not None:
            self._held.append(held)
        for _ in range(copies):
            task = self.world.spawn(self._deliver(hook, row, delay, held), name=f"hook {hook['id']} {event}")
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return row

    def resend(self, project: Json, hook: Json, row: Json) -> Json:
        """Send a logged delivery once more, as a person does in GitLab: same key, same body."""
        return self.send(
            project, hook, row["trigger"], row["request_data"], row["event_uuid"], key=row["idempotency_key"]
        )

    def _log(self, project: Json, hook: Json, event: str, payload: Json, event_uuid: str, key: str) -> Json:
        row = {
            "id": self.gitlab.state.next_id("delivery"),
            "hook_id": hook["id"],
            "url": hook["url"],
            "trigger": event,
            "event_uuid": event_uuid,
            "idempotency_key": key,
            "request_data": payload,
            "created_at": stamp(self.world.now()),
            "response_status": "",
            "execution_duration": None,
            "attempts": 0,
        }
        project["deliveries"].append(row)
        # GitLab keeps its log for days; a demo that runs for weeks must not grow.
        del project["deliveries"][:-KEPT_DELIVERIES]
        self.world.touch()
        return row

    async def _deliver(self, hook: Json, row: Json, delay: float, held: asyncio.Event | None) -> None:
        await asyncio.sleep(delay)
        if held is not None:
            # Reordered: it waits until a later hook is out, or two seconds.
            await self.world.wait_until(held.is_set, seconds=2 * self.world.speed)
        started = time.monotonic()
        body = json.dumps(row["request_data"]).encode()
        status = await self._post(self.resolve(hook["url"]), body, self.headers(hook, row, body))
        row["attempts"] += 1
        row["response_status"], row["execution_duration"] = status, round(time.monotonic() - started, 3)
        # A redirect counts as delivered, although it is not followed.
        self._judge(hook, ok=status.isdigit() and 200 <= int(status) < 400)
        while held is None and self._held:
            self._held.pop().set()
        self.world.touch()

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> str:
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=TIMEOUT, verify=authorities(), trust_env=False, follow_redirects=False
            )
        try:
            return str((await self._client.post(url, content=body, headers=headers)).status_code)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return f"internal error: {type(error).__name__}"

    def resolve(self, url: str) -> str:
        """Put the addresses of this run into a stored hook's URL."""
        places = {name: value for name, value in self.world.urls.items() if value}
        places |= {"hook_base": self.world.hook_base} if self.world.hook_base else {}
        for name, value in places.items():
            url = url.replace(f"{{{name}}}", value)
        return url

    def headers(self, hook: Json, row: Json, body: bytes) -> dict[str, str]:
        """Return the headers of one attempt: the webhook UUID is new each time, the key is not."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"GitLab/{VERSION}",
            "Idempotency-Key": row["idempotency_key"],
            "X-Gitlab-Event": row["trigger"],
            # Called unique per webhook in the docs; the code makes a new one for each attempt.
            "X-Gitlab-Webhook-UUID": str(uuid.uuid4()),
            "X-Gitlab-Instance": self.gitlab.base_url,
            "X-Gitlab-Event-UUID": row["event_uuid"],
        }
        if hook["token"]:
            # Left out entirely where no secret is set.
            headers["X-Gitlab-Token"] = hook["token"]
        if hook["signing_token"]:
            headers |= signed(hook["signing_token"], row["idempotency_key"], int(time.time()), body)
        return headers

    def _enabled(self, hook: Json) -> bool:
        # A switch of the instance in GitLab, off by default where it is self-managed. Here it is on, but
        # not for the hooks into the simulated cluster: a fault there should not stop builds for minutes.
        watched = hook.get("auto_disable", True)
        return not watched or alert_status(hook, stamp(self.world.now())) == "executable"

    def _judge(self, hook: Json, *, ok: bool) -> None:
        """Count failures: from the 4th on a pause of 1, 2, 4 ... minutes, at the 40th for good."""
        if ok:
            hook["failures"], hook["disabled_until"] = 0, None
            return
        hook["failures"] += 1
        if hook["failures"] > 3:
            minutes = min(2 ** (hook["failures"] - 4), 24 * 60) / self.world.speed
            hook["disabled_until"] = stamp(self.world.now() + timedelta(minutes=minutes))

    def _unchained(self, event_uuid: str, hook_id: int) -> bool:
        """Tell whether the chain may call this hook: not twice, and not beyond 100 hooks."""
        now = time.monotonic()
        self._chains = {key: row for key, row in self._chains.items() if now - row[0] < CHAIN_SECONDS}
        _, seen = self._chains.setdefault(event_uuid, (now, set()))
        # How GitLab stops two systems that answer each other's hooks for ever.
        if hook_id in seen or len(seen) >= CHAIN_LIMIT:
            return False
        seen.add(hook_id)
        return True

    async def close(self) -> None:
        """Give up what is being sent and close the connections."""
        self._closed = True
        for task in list(self._sending):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()


def alert_status(hook: Json, now: str) -> str:
    """Return `executable`, `temporarily_disabled` or `disabled`."""
    if hook["failures"] >= PERMANENT_AFTER:
        return "disabled"
    return "temporarily_disabled" if hook["disabled_until"] and hook["disabled_until"] > now else "executable"


def signed(token: str, key: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the Standard Webhooks headers (gitlab-webhooks.md, "Signing token")."""
    # The key is what the text decodes to; signing with the text itself is the usual mistake.
    secret = base64.b64decode(token.removeprefix("whsec_"))
    digest = hmac.new(secret, f"{key}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": key, "webhook-timestamp": str(timestamp), "webhook-signature": signature}
