"""Git's merge of three texts, line by line."""

from __future__ import annotations

import tempfile
from pathlib import Path

from integrations.git.process import environment, run

_SECONDS = 10.0


def merge_lines(base: bytes, ours: bytes, theirs: bytes, *, union: bool = False) -> bytes | None:
    """Return `ours` with what `theirs` changed since `base`; None where both changed the same lines.

    With `union` both sides' lines are kept there, one after the other.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-merge-") as name:
        folder = Path(name)
        for part, content in (("ours", ours), ("base", base), ("theirs", theirs)):
            (folder / part).write_bytes(content)
        command = ["git", "merge-file", "-p", "-q", *(["--union"] if union else [])]
        command += [str(folder / part) for part in ("ours", "base", "theirs")]
        done = run(command, environ=environment((), {}), timeout=_SECONDS)
    return done.out if done.status == 0 else None
