"""Read bare repositories through Git's own plumbing. Every function blocks: call them in a thread."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ZEROS = "0" * 40
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
FIELD = "\x1f"
GROUP = "\x1d"
LOG_FORMAT = FIELD.join(
    [
        "%H",
        "%P",
        "%an",
        "%ae",
        "%aI",
        "%cn",
        "%ce",
        "%cI",
        f"%(trailers:only,unfold,separator=%x{ord(GROUP):02x})",
        "%B",
    ]
)

# Nobody's own configuration may change what the simulator does, and the data folder may belong to
# another user than the one who serves it.
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "LC_ALL": "C.UTF-8",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    "GIT_TERMINAL_PROMPT": "0",
}


class GitError(Exception):
    """Git refused; the message is what it said."""


@dataclass(frozen=True)
class Person:
    """An author or committer."""

    name: str
    email: str


@dataclass(frozen=True)
class Commit:
    """One commit; dates are ISO 8601 with an offset, as Git prints them."""

    id: str
    parents: tuple[str, ...]
    author: Person
    authored: str
    committer: Person
    committed: str
    trailers: tuple[tuple[str, str], ...]
    message: str

    @property
    def title(self) -> str:
        """Return the message's first line."""
        return self.message.split("\n", 1)[0]


@dataclass(frozen=True)
class Entry:
    """One line of a tree: a blob, a tree or a submodule."""

    mode: str
    type: str
    id: str
    path: str


@dataclass(frozen=True)
class FileDiff:
    """What happened to one file between two trees; `text` starts at the first `@@`."""

    old_path: str
    new_path: str
    old_mode: str
    new_mode: str
    status: str
    text: str

    def count(self, sign: str) -> int:
        """Return how many lines were added ("+") or removed ("-")."""
        return sum(line.startswith(sign) for line in self.text.split("\n"))


@dataclass(frozen=True)
class Ref:
    """A branch or tag: `target` is what it names, `commit` what that peels to."""

    name: str
    target: str
    commit: str


class Repository:
    """One bare repository on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, *arguments: str, data: bytes = b"", accept: tuple[int, ...] = (0,)) -> bytes:
        """Run one git command and return its output; GitError carries what it complained about."""
        done = self.run_raw(*arguments, data=data)
        if done.returncode not in accept:
            raise GitError(done.stderr.decode(errors="replace").strip())
        return done.stdout

    def run_raw(self, *arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run one git command, whatever it answers."""
        command = ["git", f"--git-dir={self.path}", *arguments]
        return subprocess.run(command, input=data, capture_output=True, env=ENVIRONMENT, check=False)

    def resolve(self, revision: str) -> str | None:
        """Return the commit a branch, tag or (short) id stands for, or None."""
        # A name that begins with a dash would be an option.
        if not revision or revision.startswith("-"):
            return None
        # Peeled: an annotated tag is an object of its own, and the API speaks of commits.
        done = self.run_raw("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        return done.stdout.decode().strip() if done.returncode == 0 else None

    def tip(self, branch: str) -> str | None:
        """Return the commit at the head of a branch, or None."""
        return self.resolve(f"refs/heads/{branch}")

    def refs(self, prefix: str) -> list[Ref]:
        """List the refs below a prefix such as `refs/heads/`, in name order."""
        form = "%(refname)%00%(objectname)%00%(*objectname)"
        lines = self.run("for-each-ref", f"--format={form}", prefix).decode().splitlines()
        return [self._ref(*line.split("\0")) for line in lines]

    @staticmethod
    def _ref(name: str, target: str, peeled: str) -> Ref:
        return Ref(name, target, peeled or target)

    def tag_message(self, target: str) -> str | None:
        """Return an annotated tag's message, or None for a lightweight one."""
        if self.run("cat-file", "-t", target).strip() != b"tag":
            return None
        return self.run("cat-file", "tag", target).decode(errors="replace").split("\n\n", 1)[1].rstrip("\n")

    def log(self, *arguments: str, paths: tuple[str, ...] = ()) -> list[Commit]:
        """List commits as `git log` selects them; unknown revisions raise GitError."""
        text = self.run("log", "-z", f"--format={LOG_FORMAT}", *arguments, "--", *paths)
        return [_commit(record) for record in text.decode(errors="replace").split("\0") if record]

    def commit(self, revision: str) -> Commit | None:
        """Return one commit, or None where the revision names none."""
        found = self.resolve(revision)
        return self.log("-1", found)[0] if found else None

    def count(self, *arguments: str) -> int:
        """Return how many commits a range holds."""
        return int(self.run("rev-list", "--count", *arguments, "--"))

    def last_commit(self, revision: str, path: str) -> str | None:
        """Return the last commit up to `revision` that touched the path, or None."""
        found = self.resolve(revision)
        if found is None:
            return None
        return self.run("log", "-1", "--format=%H", found, "--", f":(literal){path}").decode().strip() or None

    def entry(self, revision: str, path: str) -> Entry | None:
        """Return the blob or tree at a path, or None."""
        found = [entry for entry in self.tree(revision, path) if entry.path == path]
        return found[0] if found else None

    def tree(self, revision: str, path: str = "", *, recursive: bool = False) -> list[Entry]:
        """List a folder (or, without a final slash, the entry itself), trees included."""
        options = ["-r", "-t"] if recursive else []
        where = [f":(literal){path}"] if path else []
        # ls-tree takes no pathspec magic: a plain path is literal there.
        where = [item.removeprefix(":(literal)") for item in where]
        text = self.run("ls-tree", "-z", *options, revision, "--", *where).decode(errors="replace")
        return [_entry(line) for line in text.split("\0") if line]

    def blob(self, object_id: str) -> bytes:
        """Return a file's bytes."""
        return self.run("cat-file", "blob", object_id)

    def files(self, revision: str, folder: str = "") -> dict[str, bytes]:
        """Return every file below a folder, by its path: two processes however many there are."""
        where = f"{folder.strip('/')}/" if folder.strip("/") else ""
        entries = [item for item in self.tree(revision, where, recursive=True) if item.type == "blob"]
        wanted = "".join(f"{item.id}\n" for item in entries).encode()
        # In the order asked for, so that paths and contents meet again.
        contents = _batch(self.run("cat-file", "--batch", data=wanted))
        return {item.path: content for item, content in zip(entries, contents, strict=True)}

    def diff(self, old: str, new: str) -> list[FileDiff]:
        """Compare two commits or trees, renames found, without context trickery."""
        # Raw lines and patches in one go: only the raw ones tell modes and renames.
        data = self.run("diff-tree", "-r", "-M", "--patch-with-raw", "--full-index", "-z", old, new)
        return list(_file_diffs(data.decode(errors="replace")))

    def merge_base(self, one: str, other: str) -> str | None:
        """Return the best common ancestor, or None for unrelated histories."""
        return self.run("merge-base", one, other, accept=(0, 1)).decode().strip() or None

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Tell whether `descendant` holds `ancestor`."""
        return self.run_raw("merge-base", "--is-ancestor", ancestor, descendant).returncode == 0

    def merged_tree(self, ours: str, theirs: str) -> str | None:
        """Return the tree a merge of two commits would have, or None where they conflict."""
        # Git 2.38 and later merge without a working tree.
        done = self.run_raw("merge-tree", "--write-tree", "--no-messages", ours, theirs)
        return done.stdout.decode().split("\n", 1)[0] if done.returncode == 0 else None


def _commit(record: str) -> Commit:
    parts = record.lstrip("\n").split(FIELD, 9)
    pairs = [tuple(line.split(":", 1)) for line in parts[8].split(GROUP) if ":" in line]
    return Commit(
        id=parts[0],
        parents=tuple(parts[1].split()),
        author=Person(parts[2], parts[3]),
        authored=parts[4],
        committer=Person(parts[5], parts[6]),
        committed=parts[7],
        trailers=tuple((pair[0].strip(), pair[1].strip()) for pair in pairs),
        message=parts[9],
    )


def _entry(line: str) -> Entry:
    meta, path = line.split("\t", 1)
    mode, kind, object_id = meta.split()
    return Entry(mode, kind, object_id, path)


def _batch(data: bytes) -> Iterator[bytes]:
    """Split the output of `cat-file --batch`: a header line with the size, the bytes, a line end."""
    position = 0
    while position < len(data):
        end = data.index(b"\n", position)
        size = int(data[position:end].rsplit(b" ", 1)[1])
        yield data[end + 1 : end + 1 + size]
        position = end + 2 + size


def _file_diffs(data: str) -> Iterator[FileDiff]:
    raw, _, patch = data.partition("\0\0")
    patches = [piece for piece in ("\n" + patch).split("\ndiff --git ") if piece]
    fields = iter(raw.split("\0")) if raw else iter(())
    for index, meta in enumerate(fields):
        old_mode, new_mode, _, _, status = meta.lstrip(":").split(" ")
        old_path = next(fields)
        new_path = next(fields) if status[0] in "RC" else old_path
        text = patches[index] if index < len(patches) else ""
        start = text.find("\n@@ ")
        body = text[start + 1 :] if start >= 0 else ""
        yield FileDiff(old_path, new_path, old_mode, new_mode, status[0], _ended(body))


def _ended(body: str) -> str:
    # Splitting at "\ndiff --git" took the line end of every patch but the last.
    return body if not body or body.endswith("\n") else f"{body}\n"
