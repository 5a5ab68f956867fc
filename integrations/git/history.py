"""Commits as `git log` tells them, trailers as Git itself parses them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from integrations.git.failures import Broken
from integrations.git.objects import decoded
from integrations.git.store import Repository
from integrations.git.types import Commit

_FIELDS = ("%H", "%P", "%an", "%ae", "%aI", "%cn", "%ce", "%cI", "%(trailers:only,unfold)", "%B")
_FORMAT = "%x00".join(_FIELDS)


def log(
    repository: Repository, *selection: str, paths: bool = False, touching: Sequence[str] = ()
) -> list[Commit]:
    """The commits `git log` selects, in its order; with `touching` those that changed these files. With
    `paths`, what each changed: merges too, and without looking for renames, which would need the contents
    of files."""
    options = ["--raw", "--diff-merges=first-parent", "--no-renames", "--root"] if paths else []
    out = repository.local(
        "log",
        "-z",
        *options,
        f"--format={_FORMAT}",
        "--encoding=UTF-8",
        *selection,
        "--",
        *touching,
        config=[("log.showRoot", "true")],
    )
    return list(_commits(out))


def trailers(block: str) -> Iterator[tuple[str, str]]:
    """The pairs of an unfolded trailer block."""
    for line in block.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            yield key.strip(), value.strip()


def own_trailers(message: str) -> tuple[tuple[str, str], ...]:
    """The trailers of a message of our own making: its last paragraph, where all lines are pairs."""
    paragraph = message.rstrip().rpartition("\n\n")[2]
    pairs = tuple(trailers(paragraph))
    return pairs if "\n\n" in message.rstrip() and len(pairs) == len(paragraph.splitlines()) else ()


def _commits(out: bytes) -> Iterator[Commit]:
    """Fields end with NUL; so do the raw lines and the paths behind them, and a raw line starts with ":"."""
    pieces = out.split(b"\0")
    position = 0
    while position + len(_FIELDS) <= len(pieces):
        fields = pieces[position : position + len(_FIELDS)]
        position += len(_FIELDS)
        changed = []
        while position < len(pieces) and pieces[position].lstrip(b"\n").startswith(b":"):
            changed.append(decoded(pieces[position + 1]))
            position += 2
        yield _commit([field.decode(errors="replace") for field in fields], changed)


def _commit(fields: Sequence[str], changed: Sequence[str]) -> Commit:
    commit_id, parents, author, author_email, authored, name, email, committed, block, message = fields
    if not commit_id.strip():
        raise Broken("git log printed something else than commits")
    return Commit(
        id=commit_id.strip(),
        parent_ids=tuple(parents.split()),
        message=message,
        author_name=author,
        author_email=author_email,
        authored_at=datetime.fromisoformat(authored),
        committer_name=name,
        committer_email=email,
        committed_at=datetime.fromisoformat(committed),
        trailers=tuple(trailers(block)),
        paths=tuple(changed),
    )
