"""Read bare repositories. Every function blocks: call them in a thread."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import pygit2

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
# The same for what libgit2 reads.
pygit2.settings.owner_validation = False
for level in (pygit2.enums.ConfigLevel.SYSTEM, pygit2.enums.ConfigLevel.XDG, pygit2.enums.ConfigLevel.GLOBAL):
    pygit2.settings.search_path[level] = ""
# What libgit2 raises for a revision that is unknown, ambiguous, or none at all.
UNKNOWN = (KeyError, ValueError, pygit2.GitError)
Found = pygit2.Commit | pygit2.Tree | pygit2.Tag | pygit2.Blob


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
    """One bare repository on disk.

    Refs and objects are read through libgit2, for a vendor is asked for them thousands of times a run and
    each git process costs milliseconds. What has to be Git's own words (logs, diffs, merges) is git's.
    """

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

    def objects(self) -> pygit2.Repository:
        """Open the repository as it is now: a handle that is kept would have to be shared by threads."""
        return pygit2.Repository(str(self.path))

    def find(self, revision: str) -> Found | None:
        """Return the object a revision stands for, or None."""
        try:
            # pygit2's own hints know the kinds as no kinds of its Object.
            return cast(Found, self.objects().revparse_single(revision))
        except UNKNOWN:
            return None

    def resolve(self, revision: str) -> str | None:
        """Return the commit a branch, tag or (short) id stands for, or None."""
        # A name that begins with a dash would be an option.
        if not revision or revision.startswith("-"):
            return None
        # Peeled: an annotated tag is an object of its own, and the API speaks of commits.
        found = self.find(f"{revision}^{{commit}}")
        return None if found is None else str(found.id)

    def tip(self, branch: str) -> str | None:
        """Return the commit at the head of a branch, or None."""
        return self.resolve(f"refs/heads/{branch}")

    def refs(self, prefix: str) -> list[Ref]:
        """List the refs below a prefix such as `refs/heads/`, in name order."""
        repository = self.objects()
        names = [name for name in repository.references if name.startswith(prefix)]
        # One that was deleted since it was listed is none.
        found = [ref for ref in map(repository.references.get, names) if ref is not None]
        rows = [Ref(ref.name, str(ref.resolve().target), str(ref.peel().id)) for ref in found]
        return sorted(rows, key=lambda row: row.name)

    def tag_message(self, target: str) -> str | None:
        """Return an annotated tag's message, or None for a lightweight one."""
        found = self.objects()[target]
        return found.message.rstrip("\n") if isinstance(found, pygit2.Tag) else None

    def log(self, *arguments: str, paths: tuple[str, ...] = ()) -> list[Commit]:
        """List commits as `git log` selects them; unknown revisions raise GitError."""
        text = self.run("log", "-z", f"--format={LOG_FORMAT}", *arguments, "--", *paths)
        return [_commit(record) for record in text.decode(errors="replace").split("\0") if record]

    def commit(self, revision: str) -> Commit | None:
        """Return one commit, or None where the revision names none."""
        found = self.resolve(revision)
        return _known_commit(self.path, found) if found else None

    def count(self, *arguments: str) -> int:
        """Return how many commits a range holds."""
        return int(self.run("rev-list", "--count", *arguments, "--"))

    def last_commit(self, revision: str, path: str) -> str | None:
        """Return the last commit up to `revision` that touched the path, or None."""
        found = self.resolve(revision)
        return _last_commit(self.path, found, path) if found else None

    def entry(self, revision: str, path: str) -> Entry | None:
        """Return the blob or tree at a path, or None."""
        found = [entry for entry in self.tree(revision, path) if entry.path == path]
        return found[0] if found else None

    def tree(self, revision: str, path: str = "", *, recursive: bool = False) -> list[Entry]:
        """List a folder (or, without a final slash, the entry itself), trees included.

        A revision that names no tree raises GitError; a path that is not there gives nothing.
        """
        top = self.find(f"{revision}^{{tree}}")
        if not isinstance(top, pygit2.Tree):
            raise GitError(f"fatal: Not a valid object name {revision}")
        if not path:
            return list(_entries(top, "", recursive=recursive))
        name = path.rstrip("/")
        if name not in top:
            return []
        found = top[name]
        if not path.endswith("/"):
            return [_entry(found, name)]
        return list(_entries(found, path, recursive=recursive)) if isinstance(found, pygit2.Tree) else []

    def blob(self, object_id: str) -> bytes:
        """Return a file's bytes."""
        found = self.objects()[object_id]
        if not isinstance(found, pygit2.Blob):
            raise GitError(f"fatal: {object_id} is not a blob")
        return found.data

    def files(self, revision: str, folder: str = "") -> dict[str, bytes]:
        """Return every file below a folder, by its path."""
        where = f"{folder.strip('/')}/" if folder.strip("/") else ""
        entries = [item for item in self.tree(revision, where, recursive=True) if item.type == "blob"]
        objects = self.objects()
        return {item.path: objects[item.id].read_raw() for item in entries}

    def diff(self, old: str, new: str) -> list[FileDiff]:
        """Compare two commits or trees, renames found, without context trickery."""
        return list(_known_diff(self.path, old, new))

    def merge_base(self, one: str, other: str) -> str | None:
        """Return the best common ancestor, or None for unrelated histories."""
        try:
            found = self.objects().merge_base(one, other)
        except UNKNOWN as error:
            raise GitError(f"fatal: Not a valid commit name {one} or {other}") from error
        return None if found is None else str(found)

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Tell whether `descendant` holds `ancestor`; what is not known holds nothing."""
        try:
            return ancestor == descendant or self.objects().descendant_of(descendant, ancestor)
        except UNKNOWN:
            return False

    def merged_tree(self, ours: str, theirs: str) -> str | None:
        """Return the tree a merge of two commits would have, or None where they conflict."""
        # Git 2.38 and later merge without a working tree.
        done = self.run_raw("merge-tree", "--write-tree", "--no-messages", ours, theirs)
        return done.stdout.decode().split("\n", 1)[0] if done.returncode == 0 else None


# What the ids of commits stand for never changes, and every poll asks for the same ones again.
@lru_cache(4096)
def _known_commit(path: Path, commit: str) -> Commit:
    return Repository(path).log("-1", commit)[0]


@lru_cache(4096)
def _last_commit(path: Path, commit: str, name: str) -> str | None:
    command = ("log", "-1", "--format=%H", commit, "--", f":(literal){name}")
    return Repository(path).run(*command).decode().strip() or None


@lru_cache(512)
def _known_diff(path: Path, old: str, new: str) -> tuple[FileDiff, ...]:
    # Raw lines and patches in one go: only the raw ones tell modes and renames.
    command = ("diff-tree", "-r", "-M", "--patch-with-raw", "--full-index", "-z", old, new)
    return tuple(_file_diffs(Repository(path).run(*command).decode(errors="replace")))


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


def _entry(found: pygit2.Object, path: str) -> Entry:
    return Entry(f"{found.filemode:06o}", found.type_str, str(found.id), path)


def _entries(tree: pygit2.Tree, under: str, *, recursive: bool) -> Iterator[Entry]:
    for found in tree:
        # Git asks of a name no encoding.
        path = f"{under}{(found.raw_name or b'').decode(errors='replace')}"
        yield _entry(found, path)
        if recursive and isinstance(found, pygit2.Tree):
            yield from _entries(found, f"{path}/", recursive=True)


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
