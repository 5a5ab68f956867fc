"""Misbehaviour on demand: what `world.faults` may hold, and the middleware that acts on it.

The control API writes `world.faults`; every part below is optional and may change at any moment.

    latency:      {vendor: seconds} in real seconds, before each request is handled
    errors:       list of {vendor, status, count?, until?, match?, body?, headers?, shape?, after?}
                  The first entry whose vendor and `match` ("METHOD /path-substring", either half may be
                  missing) fit answers instead of the vendor, `count` times (missing: for ever), but not after
                  `until` (unix time).
                  status 0 drops the connection without an answer. `after: true` lets the request be
                  executed first: the lost answer of a write that happened. 429 takes `retry_after`
                  (seconds) and `shape`: "rack" (plain text), "api" (JSON) or "nested" (older JSON).
    streams:      {vendor: {"mode": "drop" | "stall" | "refuse", "until": unix time}}
    hooks:        {"drop": n, "duplicate": n, "delay": seconds, "reorder": n}, for hooks to Slipway alone
    commit_race:  n, or {"count": n, "mode": "slip" | "refuse", "path": file}: a stranger's commit lands
                  between the check and the write of the next n commits made through GitLab's API. "slip"
                  (the default) is then built upon, "refuse" makes the ref update fail.
    watch:        of the cluster alone, see kubernetes/watching.py
    build:        {"fail_next": n}; verification: {"fail_next": n}; degraded: [application names]

Vendor names are those of `world.urls`: gitlab, kubernetes, argocd, registry.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from http import HTTPStatus
from typing import Any, TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from integrations.sandbox.world import World

Json: TypeAlias = dict[str, Any]


class Faults:
    """The outermost ASGI layer of one vendor."""

    def __init__(self, app: ASGIApp, world: World, vendor: str) -> None:
        self.app = app
        self.world = world
        self.vendor = vendor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request: late, wrongly, or as the vendor does."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # Real seconds: clients' time limits do not speed up with the world.
        await asyncio.sleep(float(self.world.faults.get("latency", {}).get(self.vendor, 0)))
        error = self._take(scope)
        if error is None:
            await self.app(scope, receive, send)
            return
        if error.get("after"):
            # The write happens and its answer is lost: the case that makes clients write twice.
            await self.app(scope, receive, _swallow)
        await _misbehave(error, receive, send)

    def _take(self, scope: Scope) -> Json | None:
        line = f"{scope['method']} {scope['path']}"
        for entry in self.world.faults.get("errors", []):
            if entry.get("vendor") == self.vendor and _fits(entry.get("match", ""), line):
                if float(entry.get("until") or time.time() + 1) <= time.time():
                    continue
                count = entry.get("count")
                if count is None:
                    return dict(entry)
                if count > 0:
                    entry["count"] = count - 1
                    return dict(entry)
        return None


def _fits(match: str, line: str) -> bool:
    method, _, path = match.partition(" ") if not match.startswith("/") else ("", "", match)
    real_method, _, real_path = line.partition(" ")
    return method in ("", "*", real_method) and path in real_path


async def _swallow(message: Message) -> None:
    del message


async def _misbehave(error: Json, receive: Receive, send: Send) -> None:
    if int(error.get("status", 500)) == 0:
        await _drop(receive, send)
        return
    status, headers, body = _reply(error)
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


async def _drop(receive: Receive, send: Send) -> None:
    """Close the connection without a word."""
    # ASGI has no word for this. uvicorn's `send` is a method of an object that holds the transport; under
    # another server the promise of bytes that never come is the nearest thing.
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        await send({"type": "http.response.start", "status": 502, "headers": [(b"content-length", b"1")]})
        return
    transport.abort()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            while (await receive())["type"] != "http.disconnect":
                pass


def _reply(error: Json) -> tuple[int, dict[str, str], bytes]:
    status = int(error.get("status", 500))
    # GitLab's shape; others' clients look at the status alone.
    headers = {"Content-Type": "application/json"}
    body: object = {"message": f"{status} {HTTPStatus(status).phrase}"}
    if status == 429:
        headers, body = _too_many(error)
    if "body" in error:
        body = error["body"]
        if isinstance(body, str):
            headers["Content-Type"] = "text/plain"
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    headers |= {"Content-Length": str(len(content))} | error.get("headers", {})
    return status, headers, content


def _too_many(error: Json) -> tuple[dict[str, str], object]:
    """Return the 429 shapes of reference gitlab-api.md, "Pagination and rate limits"."""
    wait = int(error.get("retry_after", 1))
    text = "This endpoint has been requested too many times. Try again later."
    if error.get("shape") == "api":
        return {"Content-Type": "application/json", "Retry-After": str(wait)}, {"message": text}
    if error.get("shape") == "nested":
        # Before !206603: no Retry-After, and the sentence one level deeper.
        return {"Content-Type": "application/json"}, {"message": {"error": text}}
    # The rack level's answer: plain text, before any application code ran.
    reset = time.time() + wait
    return {
        "Content-Type": "text/plain",
        "RateLimit-Limit": "60",
        "RateLimit-Observed": "67",
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": str(int(reset)),
        "RateLimit-ResetTime": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(reset)),
        "Retry-After": str(wait),
    }, "Retry later\n"


def stream_fault(world: World, vendor: str) -> str | None:
    """Return how a vendor's streams misbehave now: "drop", "stall", "refuse", or None.

    New streams answer "refuse" with 503; open ones end at "drop" and "refuse", and say nothing more
    (not even keepalives) while "stall" lasts.
    """
    fault = world.faults.get("streams", {}).get(vendor)
    if not fault or float(fault.get("until", 0)) <= time.time():
        return None
    return str(fault.get("mode", "drop"))


def take(world: World, part: str, key: str) -> bool:
    """Use up one of a counted fault, such as ("build", "fail_next"); tell whether there was one."""
    counts = world.faults.get(part)
    if not isinstance(counts, dict) or int(counts.get(key) or 0) <= 0:
        return False
    counts[key] -= 1
    return True


def hook_copies(world: World) -> tuple[int, float]:
    """Return how often the next hook to Slipway is sent (0: lost) and after how many seconds."""
    if take(world, "hooks", "drop"):
        return 0, 0.0
    delay = float(world.faults.get("hooks", {}).get("delay") or 0)
    return (2 if take(world, "hooks", "duplicate") else 1), delay
