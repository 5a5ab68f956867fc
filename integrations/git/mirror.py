"""A repository through plain Git: a cached bare mirror without file contents, written with plumbing.

The mirror holds all commits and trees and only those files that were read (a partial clone). Nothing is
ever checked out. Measured in reference measurements.md ("Git: change one line and push").
"""

from __future__ import annotations

import hashlib
import re
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from integrations.errors import NotFound, Rejected, Unavailable
from integrations.git import failures, objects
from integrations.git.access import Config, access
from integrations.git.locks import locked
from integrations.git.process import Done, environment, run
from integrations.git.remote import VENDOR, Remote, checked_branch, checked_path
from integrations.git.signing import signer
from integrations.git.types import EXECUTABLE, FILE, Commit, Entry, Person, Signing

T = TypeVar("T")

# So many commits are searched for a trailer, newest first.
SEARCHED = 2000
_LOCAL_SECONDS = 30.0
_LOCK_SECONDS = 60.0
_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head")
_SHA = re.compile(r"[0-9a-f]{4,64}")
# With a promisor Git leaves contents out, but also asks the server, one by one, for whatever a command
# lacks. So only commands that talk know of it; --filter would write it into the copy's configuration.
_PROMISOR: Config = (("remote.origin.promisor", "true"), ("remote.origin.partialclonefilter", "blob:none"))


class Mirror:
    """One repository. Threads and processes may share the cache folder, and this object.

    Every method raises IntegrationError. Reads answer from what the latest `tip` brought.
    """

    def __init__(self, cache_dir: Path, remote: Remote, *, timeout: float = 60.0) -> None:
        """`timeout` bounds each exchange with the server, in seconds."""
        self.remote = remote
        self.timeout = timeout
        name = hashlib.sha256(f"{remote.username}@{remote.url}".encode()).hexdigest()[:32]
        self.path = cache_dir / f"{name}.git"
        self._lock = cache_dir / f"{name}.lock"
        self._fetch_lock = cache_dir / f"{name}.fetch.lock"

    # Reading

    def tip(self, branch: str) -> str:
        """Fetch the branch and return its commit. NotFound when it does not exist."""
        ref = f"refs/heads/{checked_branch(branch)}"

        def fetch() -> str:
            # Two fetches of one ref at once would trip over each other's lock.
            with locked(self._fetch_lock, timeout=_LOCK_SECONDS):
                self._ask(*_FETCH, "origin", f"+{ref}:{ref}")
            return self._local("rev-parse", "--verify", ref).decode().strip()

        return self._with_copy(fetch)

    def entries(self, commit: str, folder: str = "", *, recursive: bool = False) -> list[Entry]:
        """Return what is in a folder at a commit, with whole paths; nothing where there is no such folder."""
        where = [f"{checked_path(folder)}/"] if folder else []
        options = ["-r", "-t"] if recursive else []
        found = self._listed(commit, *options, commit, "--", *where)
        # With -t the folders on the way are listed as well.
        return [entry for entry in found if not folder or entry.path.startswith(f"{folder}/")]

    def read(self, commit: str, paths: Sequence[str]) -> dict[str, bytes]:
        """Return the files that exist, by path. What is not here yet is fetched in one exchange."""
        where = [checked_path(path) for path in paths]
        files = [entry for entry in self._listed(commit, commit, "--", *where) if entry.type == "blob"]
        return self._with_copy(lambda: self._contents(files)) if files else {}

    def _contents(self, files: Sequence[Entry]) -> dict[str, bytes]:
        asked = "".join(f"{entry.id}\n" for entry in files).encode()
        found = list(objects.blobs(self._local("cat-file", "--batch", data=asked)))
        if None in found:
            missing = {entry.id for entry, content in zip(files, found, strict=True) if content is None}
            wanted = "".join(f"{sha}\n" for sha in sorted(missing)).encode()
            self._ask(*_FETCH, "--stdin", "origin", data=wanted)
            found = list(objects.blobs(self._local("cat-file", "--batch", data=asked)))
        pairs = zip(files, found, strict=True)
        return {entry.path: content for entry, content in pairs if content is not None}

    def commit(self, sha: str) -> Commit:
        """Return one commit."""
        return self._log(sha, "--max-count=1", _id(sha))[0]

    def commits(self, base: str, head: str, *, limit: int = 100, paths: Sequence[str] = ()) -> list[Commit]:
        """Return what `head` holds beyond `base`, newest first, each with the paths it changed."""
        options = ("--name-only", "--no-renames", "-m", "--first-parent", f"--max-count={limit}")
        return self._log(head, *options, f"{_id(base)}..{_id(head)}", "--", *paths)

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Tell whether `descendant` holds `ancestor` or is it. NotFound when either is unknown."""
        self._have(ancestor)
        self._have(descendant)

        def ask() -> bool:
            done = self._run("merge-base", "--is-ancestor", ancestor, descendant)
            if done.status > 1:
                raise failures.local_failure(done)
            return done.status == 0

        return self._with_copy(ask)

    def find_commit_by_trailer(self, branch: str, *, base: str, key: str, value: str) -> Commit | None:
        """Return the commit on the branch, since `base` where that is on it, that carries the trailer."""
        tip = self.tip(branch)
        try:
            self._have(base)
            since = [f"^{base}"]
        except NotFound:  # history was rewritten: everything is searched
            since = []
        for commit in self._log(tip, f"--max-count={SEARCHED}", tip, *since):
            if any(name.lower() == key.lower() and found == value for name, found in commit.trailers.items()):
                return commit
        return None

    # Writing

    def create_commit(
        self,
        branch: str,
        base: str,
        files: Mapping[str, bytes],
        message: str,
        *,
        author: Person,
        committer: Person,
        when: datetime,
        signing: Signing | None = None,
        is_new_branch: bool = False,
    ) -> Commit:
        """Make a commit upon `base` with new contents of existing files, and push it, if the branch still
        is at `base` (or, new, does not exist).

        Raises Conflict when the branch moved, Rejected with the server's words when it refuses. After
        Unavailable the commit may be on the branch: look for its trailer.
        """
        checked_branch(branch)
        modes = self._modes(base, list(files))
        contents = {path: (modes[path], content) for path, content in files.items()}
        ref = f"refs/slipway/{uuid.uuid4().hex}"
        commands = objects.stream(ref, base, contents, message, author=author, committer=committer, when=when)
        made = self._with_copy(lambda: self._import(ref, commands))
        if signing is not None:
            made = self._signed(made, signing)
        self._push(branch, made, "" if is_new_branch else base)
        return self.commit(made)

    def _modes(self, base: str, paths: Sequence[str]) -> dict[str, str]:
        """Return the files' modes; nothing but an existing ordinary file is written to."""
        where = [checked_path(path) for path in paths]
        modes = {entry.path: entry.mode for entry in self._listed(base, base, "--", *where)}
        for path in paths:
            if path not in modes:
                raise NotFound(f"{path} does not exist at {base[:8]}", vendor=VENDOR)
            if modes[path] not in (FILE, EXECUTABLE):
                raise Rejected(f"{path} is no ordinary file at {base[:8]}", vendor=VENDOR)
        return modes

    def _import(self, ref: str, commands: bytes) -> str:
        try:
            return self._local("fast-import", "--quiet", "--done", data=commands).decode().strip()
        finally:
            # The commit stays without a name: nothing is ever collected here.
            with suppress(OSError):
                (self.path / ref).unlink()

    def _signed(self, made: str, signing: Signing) -> str:
        """Make the same commit once more, signed: fast-import cannot sign. Only the signature differs."""
        raw = self._with_copy(lambda: self._local("cat-file", "commit", made))
        head, _blank, message = raw.partition(b"\n\n")
        with signer(signing) as sign:
            signature = sign(raw)
        lines = signature.decode().rstrip("\n").split("\n")
        signed = head + b"\ngpgsig " + "\n ".join(lines).encode() + b"\n\n" + message
        return self._with_copy(
            lambda: self._local("hash-object", "-t", "commit", "-w", "--stdin", data=signed).decode().strip()
        )

    def _push(self, branch: str, sha: str, expected: str) -> None:
        ref = f"refs/heads/{branch}"
        options = ("--porcelain", "--no-verify", f"--force-with-lease={ref}:{expected}")
        done = self._with_copy(lambda: self._run("push", *options, "origin", f"{sha}:{ref}", talks=True))
        if done.status:
            raise failures.push_failure(self.remote, branch, done)

    # Commands

    def _listed(self, commit: str, *arguments: str) -> list[Entry]:
        self._have(commit)
        return self._with_copy(lambda: objects.entries(self._local("ls-tree", "-z", *arguments)))

    def _log(self, tip: str, *arguments: str) -> list[Commit]:
        self._have(tip)
        end = () if "--" in arguments else ("--",)
        return self._with_copy(
            lambda: list(objects.commits(self._local("log", objects.LOG_FORMAT, *arguments, *end)))
        )

    def _have(self, sha: str) -> None:
        """See that a commit is here: another process may have fetched it, or thrown the copy away."""
        _id(sha)

        def look() -> None:
            if self._run("cat-file", "-e", f"{sha}^{{commit}}").status:
                with locked(self._fetch_lock, timeout=_LOCK_SECONDS):
                    self._ask(*_FETCH, "origin", sha)

        self._with_copy(look)

    def _local(self, *arguments: str, data: bytes = b"") -> bytes:
        """Run a command that never leaves this machine and return what it printed."""
        done = self._run(*arguments, data=data)
        if done.status:
            raise failures.local_failure(done)
        return done.out

    def _ask(self, *arguments: str, data: bytes = b"") -> None:
        """Run a command that talks to the server."""
        done = self._run(*arguments, data=data, talks=True)
        if done.status:
            if failures.damaged(done):
                raise failures.Broken(done.err)
            raise failures.failure(self.remote, done)

    def _run(self, *arguments: str, data: bytes = b"", talks: bool = False) -> Done:
        command = ["git", f"--git-dir={self.path}", *arguments]
        if not talks:
            return run(command, environ=environment((), {}), timeout=_LOCAL_SECONDS, data=data)
        with access(self.remote) as reached:
            environ = environment((*reached.config, *_PROMISOR), reached.environ)
            return run(command, environ=environ, timeout=self.timeout, data=data)

    # The copy

    def _with_copy(self, work: Callable[[], T]) -> T:
        """Do the work on a copy that is whole; a damaged one is made anew, once."""
        try:
            return self._work(work)
        except failures.Broken:
            with locked(self._lock, timeout=_LOCK_SECONDS):
                shutil.rmtree(self.path, ignore_errors=True)
        try:
            return self._work(work)
        except failures.Broken as error:
            raise Unavailable(f"The repository's local copy is damaged: {error}", vendor=VENDOR) from error

    def _work(self, work: Callable[[], T]) -> T:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            with locked(self._lock, timeout=_LOCK_SECONDS):
                self._make()
        with locked(self._lock, shared=True, timeout=_LOCK_SECONDS):
            return work()

    def _make(self) -> None:
        if self.path.exists():
            return
        # Made beside and moved: a process that dies in between leaves no half of one.
        draft = self.path.with_suffix(f".{uuid.uuid4().hex}")
        command = ["git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(draft)]
        done = run(command, environ=environment((), {}), timeout=_LOCAL_SECONDS)
        if done.status:
            raise failures.local_failure(done)
        draft.rename(self.path)


def _id(sha: str) -> str:
    if not _SHA.fullmatch(sha):
        raise Rejected(f"{sha!r} is no commit id", vendor=VENDOR)
    return sha
