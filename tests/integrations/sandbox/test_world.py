"""What the simulated vendors share: background work ends, state is written."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from integrations.sandbox.world import World


def test_work_that_forgets_a_cancellation_does_not_hold_the_end_back(tmp_path: Path) -> None:
    """As wait_for does in Python 3.11 when the result arrives in the same moment."""
    forgotten = []

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            forgotten.append(True)
        await asyncio.Event().wait()

    async def run() -> None:
        world = World(tmp_path)
        world.spawn(stubborn(), name="stubborn")
        await asyncio.sleep(0)
        await asyncio.wait_for(world.close(), 5)

    asyncio.run(run())
    assert forgotten == [True]


def test_closing_writes_what_was_touched_last(tmp_path: Path) -> None:
    """touch writes later, close at once; nothing is left to be written after it."""

    async def run() -> None:
        world = World(tmp_path)
        world.store("gitlab")["n"] = 1
        world.touch()
        await world.close()

    asyncio.run(run())
    assert json.loads((tmp_path / "gitlab.json").read_text()) == {"n": 1}
    assert World(tmp_path).store("gitlab") == {"n": 1}
