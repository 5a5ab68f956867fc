"""What Git prints, read into values; and the stream that makes a commit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from integrations.git.types import Commit, Entry, Person

# One record a commit. %x1e cannot stand in a message that came through Git's own tools; a message that
# holds it all the same only spoils its own record, for the ids in front are of a fixed shape.
_TRAILERS = "%(trailers:only,unfold,separator=%x1d)"
_FIELDS = ("%H", "%P", "%an", "%ae", "%aI", "%cn", "%ce", "%cI", _TRAILERS, "%B")
LOG_FORMAT = "--format=%x1e" + "%x1f".join(_FIELDS) + "%x1f"


def commits(out: bytes) -> Iterator[Commit]:
    """Read what `git log` printed in LOG_FORMAT, with --name-only -z or without."""
    for record in out.decode(errors="replace").split("\x1e")[1:]:
        fields = record.split("\x1f")
        if len(fields) < len(_FIELDS) + 1:
            continue
        yield Commit(
            id=fields[0],
            parent_ids=tuple(fields[1].split()),
            author_name=fields[2],
            author_email=fields[3],
            authored_at=datetime.fromisoformat(fields[4]),
            committer_name=fields[5],
            committer_email=fields[6],
            committed_at=datetime.fromisoformat(fields[7]),
            trailers=_trailers(fields[8]),
            message=fields[9],
            paths=tuple(path for path in fields[-1].replace("\n", "\0").split("\0") if path),
        )


def _trailers(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.split("\x1d"))
    return {key.strip(): value.strip() for key, colon, value in pairs if colon}


def entries(out: bytes) -> list[Entry]:
    """Read what `git ls-tree -z` printed."""
    found = []
    for line in out.split(b"\0"):
        if line:
            meta, _tab, path = line.partition(b"\t")
            mode, kind, sha = meta.decode().split()
            found.append(Entry(path.decode(errors="surrogateescape"), kind, sha, mode))
    return found


def blobs(out: bytes) -> Iterator[bytes | None]:
    """Read what `git cat-file --batch` printed; None for what is missing."""
    at = 0
    while at < len(out):
        end = out.index(b"\n", at)
        header = out[at:end].split(b" ")
        at = end + 1
        if header[-1] == b"missing":
            yield None
            continue
        size = int(header[-1])
        yield out[at : at + size]
        at += size + 1


def stream(
    ref: str,
    base: str,
    files: Mapping[str, tuple[str, bytes]],
    message: str,
    *,
    author: Person,
    committer: Person,
    when: datetime,
) -> bytes:
    """Return the commands for `git fast-import`: one commit on `ref` upon `base`, whose id it prints.

    `files` maps paths to (mode, content). fast-import touches only the trees on the way to them, whatever
    the size of the repository.
    """
    stamp = f"{int(when.timestamp())} {when.strftime('%z') or '+0000'}"
    parts = [
        f"commit {ref}\nmark :1\nauthor {_person(author)} {stamp}\n".encode(),
        f"committer {_person(committer)} {int(datetime.now(UTC).timestamp())} +0000\n".encode(),
        _data(message.encode()),
        f"from {base}\n".encode(),
    ]
    for path, (mode, content) in files.items():
        parts += [b"M ", mode.encode(), b" inline ", _quoted(path), b"\n", _data(content)]
    return b"".join([*parts, b"\nget-mark :1\ndone\n"])


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _person(person: Person) -> str:
    """Angle brackets and line breaks would end the name; Git itself drops them, too."""
    return f"{_plain(person.name) or 'unknown'} <{_plain(person.email).replace(' ', '')}>"


def _plain(text: str) -> str:
    return "".join(c for c in text if c not in "<>" and c >= " ").strip()


def _quoted(path: str) -> bytes:
    raw = path.encode(errors="surrogateescape")
    escaped = raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"' + escaped + b'"'
