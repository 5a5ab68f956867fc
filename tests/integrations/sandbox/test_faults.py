"""The misbehaviour middleware, in front of a small app that counts its calls."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from integrations.sandbox.faults import Faults, hook_copies, stream_fault, take
from integrations.sandbox.world import World


class Counting:
    """An ASGI app that counts."""

    calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 200."""
        self.calls += 1
        await PlainTextResponse("fine")(scope, receive, send)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world without vendors."""
    return World(tmp_path)


def ask(world: World, app: Counting, *requests: tuple[str, str]) -> list[int]:
    """Send requests through the middleware and return the status codes."""

    async def run() -> list[int]:
        transport = httpx.ASGITransport(app=Faults(app, world, "gitlab"))
        async with httpx.AsyncClient(transport=transport, base_url="http://gitlab") as client:
            return [(await client.request(method, path)).status_code for method, path in requests]

    return asyncio.run(run())


def test_an_error_hits_what_it_names_and_as_often_as_it_says(world: World) -> None:
    """vendor, match and count."""
    rows: list[dict[str, Any]] = [
        {"vendor": "argocd", "status": 503},
        {"vendor": "gitlab", "status": 502, "count": 1, "match": "POST /commits"},
    ]
    world.faults["errors"] = rows
    app = Counting()
    sent = [("GET", "/commits"), ("POST", "/other"), ("POST", "/a/commits"), ("POST", "/a/commits")]
    assert ask(world, app, *sent) == [200, 200, 502, 200]
    assert app.calls == 3


def test_after_means_the_request_is_executed_first(world: World) -> None:
    """The lost answer of a write that happened."""
    world.faults["errors"] = [{"vendor": "gitlab", "status": 504, "count": 1, "after": True}]
    app = Counting()
    assert ask(world, app, ("POST", "/x")) == [504]
    assert app.calls == 1


def test_an_error_ends_at_its_time(world: World) -> None:
    """until, in unix time."""
    world.faults["errors"] = [{"vendor": "gitlab", "status": 500, "until": time.time() - 1}]
    assert ask(world, Counting(), ("GET", "/")) == [200]


def test_streams_misbehave_until_their_time(world: World) -> None:
    """stream_fault."""
    world.faults["streams"] = {"argocd": {"mode": "stall", "until": time.time() + 60}}
    assert stream_fault(world, "argocd") == "stall"
    assert stream_fault(world, "kubernetes") is None
    world.faults["streams"]["argocd"]["until"] = time.time() - 1
    assert stream_fault(world, "argocd") is None


def test_counted_faults_are_used_up(world: World) -> None:
    """take, and the hooks to Slipway."""
    world.faults |= {"build": {"fail_next": 1}, "hooks": {"drop": 1, "duplicate": 1, "delay": 0.5}}
    assert [take(world, "build", "fail_next") for _ in range(2)] == [True, False]
    assert [hook_copies(world) for _ in range(3)] == [(0, 0.0), (2, 0.5), (1, 0.5)]
