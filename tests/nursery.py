"""Sandbox, web, worker and preparation of one Slipway, forked from a process that has imported what they run.

Importing takes seconds of a processor, four times for each Slipway; a fork takes milliseconds. How the
product starts them for real is tests/bootstrap/test_demo.py's business.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def sandbox(*arguments: str) -> None:
    from integrations.sandbox.__main__ import parse, run

    asyncio.run(run(parse(list(arguments))))


def web(port: int) -> None:
    import uvicorn

    uvicorn.run("promotions.asgi:application", port=port)


def worker() -> None:
    from django.core.management import call_command

    call_command("worker")


def prepare(urls: dict[str, str], base: str, scenario: str, answer: str) -> None:
    """Make the demo's people and catalogue, and a token for each person that the tests know.

    The people's passwords go into the file `answer`.
    """
    from django.contrib.auth.hashers import PBKDF2PasswordHasher
    from django.contrib.auth.models import User

    from promotions import demo
    from promotions.models import ApiToken

    # Quick to make; a sign-in makes it a slow one again.
    PBKDF2PasswordHasher.iterations = 1
    people = demo.prepare(urls, base, scenario)
    for name, _role, _password in people:
        user = User.objects.get(username=name)
        ApiToken.objects.create(user=user, name="tests", digest=ApiToken.digest_of(f"token-of-{name}"))
    draft = Path(f"{answer}.draft")
    draft.write_text(json.dumps({name: password for name, _role, password in people}))
    draft.rename(answer)


PARTS = {part.__name__: part for part in (sandbox, web, worker, prepare)}


def main() -> None:
    """Fork a process for each line of standard input, and print its id; end them all at its end."""
    import django

    django.setup()

    from django.urls import reverse

    import promotions.asgi
    import promotions.demo
    import promotions.management.commands.worker
    import promotions.urls  # noqa: F401
    from integrations.sandbox.server import VENDORS

    for _name, module, _attribute in VENDORS:
        importlib.import_module(module)
    # What the first address of each process would cost.
    reverse("matrix")

    # A search for garbage would write to every page that the children share.
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    children = []
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(**json.loads(line))
        children.append(child)
        print(child, flush=True)
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)


def _become(part: str, arguments: list[Any], environ: dict[str, str], log: str) -> None:
    # What a process starts has to be waited for again.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environ)
    # What is recorded names the command.
    sys.argv = ["manage.py", part]
    code = 1
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for own, other in ((0, nothing), (1, out), (2, out)):
            os.dup2(other, own)
        PARTS[part](*arguments)
        code = 0
    finally:
        if code:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Forked:
    """A process that is no child of this one; it is spoken to as to a Popen."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def is_gone(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not self.is_gone():
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.01)


class Nursery:
    """Starts the parts of one Slipway; the environment of the first is what its settings are read from."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        with (folder / "nursery.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.nursery"],
                cwd=ROOT,
                env=environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def fork(self, part: str, environ: Mapping[str, str], *arguments: Any) -> Forked:
        """Start a part; its output goes to a log of its name."""
        job = {
            "part": part,
            "arguments": arguments,
            "environ": dict(environ),
            "log": str(self.folder / f"{part}.log"),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(job), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, (self.folder / "nursery.log").read_text()
        return Forked(int(answer))

    def close(self) -> None:
        self._process.communicate(timeout=30)


if __name__ == "__main__":
    main()
