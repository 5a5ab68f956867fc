"""Start the sandbox: `python -m integrations.sandbox --data-dir DIR`."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

# Where rich is installed, structlog would import all of it for coloured tracebacks, at every start.
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
from integrations.sandbox.scenarios import chosen  # noqa: E402
from integrations.sandbox.server import Options, Sandbox  # noqa: E402


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m integrations.sandbox", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="where repositories and state are kept")
    parser.add_argument(
        "--scenario", default="a", help="what to start with: a, b, c, d, e, several with commas, or all"
    )
    parser.add_argument("--speed", type=float, default=1.0, help="how much faster than a demonstration")
    parser.add_argument("--hook-base", default="", help="where Slipway listens for webhooks")
    parser.add_argument("--ready-file", type=Path, help="gets one JSON line of addresses when all listen")
    parser.add_argument("--ports-file", type=Path, help="remembers the ports for the next start")
    parser.add_argument("--seed", type=int, help="makes the simulated accidents repeatable")
    given = parser.parse_args(arguments)
    try:
        chosen(given.scenario)
    except ValueError as error:
        # Said before anything listens: a traceback helps nobody who mistyped a letter.
        parser.error(str(error))
    return given


async def run(arguments: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    sandbox = Sandbox(
        Options(
            data_dir=arguments.data_dir,
            scenario=arguments.scenario,
            speed=arguments.speed,
            hook_base=arguments.hook_base,
            seed=arguments.seed,
            ports_file=arguments.ports_file,
        )
    )
    line = json.dumps(await sandbox.start())
    if arguments.ready_file is not None:
        # Renamed into place: whoever waits for the file never reads half of it.
        draft = arguments.ready_file.with_suffix(".new")
        draft.write_text(f"{line}\n")
        draft.replace(arguments.ready_file)
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
    await stopped.wait()
    await sandbox.stop()


if __name__ == "__main__":
    asyncio.run(run(parse(sys.argv[1:])))
