"""What it costs to tell 200 pages of 10 changes a second, against `websockets.broadcast` of ready text.

    python tests/bench/bench_live.py

Both servers are processes of their own, and the same 200 clients listen to one after the other. The hub's
latency counts from the change's transaction and holds its tick of 100 ms and the rendering. Prints one line.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import subprocess
import sys
from contextlib import AsyncExitStack
from typing import Any

from asgiref.sync import sync_to_async
from served import ROOT, cpu_seconds, database, now, web
from websockets.asyncio.client import ClientConnection, connect

CLIENTS, CHANGES, PAUSE = 200, 60, 0.1
STAMP = re.compile(r"t(\d+\.\d+)e")
BASELINE = """
import asyncio, sys, time
from websockets.asyncio.server import broadcast, serve
pages = set()
async def page(socket):
    pages.add(socket)
    await socket.wait_closed()
async def main():
    async with serve(page, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            broadcast(pages, line + "x" * 1000)
asyncio.run(main())
"""


async def listen(socket: ClientConnection, took: list[float], last: dict[ClientConnection, str]) -> None:
    async for text in socket:
        if found := STAMP.search(str(text)):
            took.append(now() - float(found[1]))
            last[socket] = found[0]


async def measure(url: str, pid: int, tell: Any, **options: Any) -> tuple[list[float], float]:
    """Return each client's latencies in seconds, and the share of a processor the server used."""
    took: list[float] = []
    last: dict[ClientConnection, str] = {}
    async with AsyncExitStack() as stack:
        options |= {"compression": None, "proxy": None}
        sockets = [await stack.enter_async_context(connect(url, **options)) for _ in range(CLIENTS)]
        for socket in sockets:
            await socket.send(json.dumps({"since": await sync_to_async(since)(), "wants": ["cell"]}))
        tasks = [asyncio.create_task(listen(socket, took, last)) for socket in sockets]
        await asyncio.sleep(1)
        used, began = cpu_seconds(pid), now()
        for _ in range(CHANGES):
            stamp = f"t{now():.6f}e"
            await tell(stamp)
            await asyncio.sleep(PAUSE)
        await asyncio.sleep(0.5)
        share = (cpu_seconds(pid) - used) / (now() - began)
        for task in tasks:
            task.cancel()
        assert set(last.values()) == {stamp}, "a page missed the last change"
        assert len(last) == CLIENTS
    return took, share


def since() -> int:
    from promotions.live import latest_number

    return latest_number()


def hub() -> tuple[list[float], float]:
    from django.test import Client

    from promotions.live import announce
    from promotions.models import StageState
    from tests import cast

    people = cast.make_people()
    stage = cast.make_catalogue(people).production
    announce("nothing", "at all")
    client = Client()
    client.force_login(people.viewer)

    def change(stamp: str) -> None:
        StageState.objects.filter(stage=stage).update(running_version=None, running_tag=stamp)
        announce("cell", stage.pk, application_id=stage.application_id)

    with web() as (port, pid):
        headers = {"Cookie": f"sessionid={client.cookies['sessionid'].value}"}
        address = f"127.0.0.1:{port}"
        tell = sync_to_async(change)
        return asyncio.run(
            measure(
                f"ws://{address}/live/", pid, tell, additional_headers=headers, origin=f"http://{address}"
            )
        )


def baseline() -> tuple[list[float], float]:
    command = [sys.executable, "-c", BASELINE]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())

        async def tell(stamp: str) -> None:
            assert process.stdin is not None
            process.stdin.write(stamp + "\n")
            process.stdin.flush()

        try:
            return asyncio.run(measure(f"ws://127.0.0.1:{port}/", process.pid, tell))
        finally:
            process.kill()


def main() -> None:
    with database():
        ours, our_share = hub()
        theirs, their_share = baseline()
    milliseconds = [statistics.median(took) * 1000 for took in (ours, theirs)]
    print(
        f"live: {our_share / their_share:.1f} times the processor time of websockets.broadcast"
        f" ({our_share:.0%} to {their_share:.0%}), p50 {milliseconds[0]:.0f} to {milliseconds[1]:.0f} ms,"
        f" {CHANGES} changes told to {CLIENTS} pages in {len(ours) / CLIENTS:.0f} messages each"
    )


if __name__ == "__main__":
    main()
