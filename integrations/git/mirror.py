"""One remote repository through its local copy: the operations the product needs, and no others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from integrations.errors import NotFound, Rejected, Unavailable
from integrations.git import history, reading, transfer
from integrations.git.edit import Edit, edited, write
from integrations.git.failures import Broken
from integrations.git.folder import Folder
from integrations.git.remote import VENDOR, Remote, checked_branch
from integrations.git.signing import signer
from integrations.git.store import Repository, Store
from integrations.git.types import Commit, Entry, Person, Signing

T = TypeVar("T")
_COMMIT_ID = re.compile(r"[0-9a-f]{40}")


class Mirror:
    """A remote repository. May be used by many threads; many processes may share `cache_dir`.

    `timeout` is in seconds, for each git command. A damaged copy is fetched anew without the caller
    noticing. Every method raises IntegrationError: Unavailable, Unauthorized, NotFound, and as said.
    Commits are named by their full id.
    """

    def __init__(self, cache_dir: Path, remote: Remote, *, timeout: float = 60.0) -> None:
        self.remote = remote
        self._timeout = timeout
        self._store = Store(cache_dir, remote.url, timeout)

    def __repr__(self) -> str:
        return f"<Mirror {self.remote.url}>"

    # Reading

    def tip(self, branch: str) -> str:
        """The id of the branch's newest commit, asked of the server; its commits and trees are here then."""
        checked_branch(branch)
        return self._work(lambda copy: transfer.fetch_branch(self._store, copy, self.remote, branch))

    def folder(self, commit: str, path: str = "") -> Folder:
        """What is in a folder ("" is the root), by name. NotFound where there is none."""
        checked, where = _checked_commit(commit), path.strip("/")
        return self._work(lambda copy: reading.folder(copy, self.remote, checked, where))

    def entries(self, commit: str, folder: str = "", *, recursive: bool = False) -> tuple[Entry, ...]:
        """What is in a folder ("" is the root), or in all folders below too. NotFound where there is none."""
        if not recursive:
            return tuple(self.folder(commit, folder).all())
        checked, where = _checked_commit(commit), folder.strip("/")
        return self._work(lambda copy: reading.below(copy, self.remote, checked, where))

    def read(self, commit: str, path: str) -> bytes:
        """A file's bytes, or a symbolic link's target. NotFound where there is none."""
        return self.read_many(commit, [path])[path]

    def read_many(self, commit: str, paths: Sequence[str]) -> dict[str, bytes]:
        """The bytes of several files; what is not here yet comes in one fetch. NotFound if one is missing."""
        checked, wanted = _checked_commit(commit), list(dict.fromkeys(paths))
        return self._work(lambda copy: reading.read_many(copy, self.remote, checked, wanted))

    def commit(self, commit: str) -> Commit:
        """One commit, with the paths it changed."""
        return self._log(_checked_commit(commit), "-1", commit, paths=True)[0]

    def commits(self, base: str, tip: str, *, limit: int = 200) -> list[Commit]:
        """The commits `tip` has and `base` has not, newest first, each with the paths it changed."""
        selection = (f"--max-count={limit}", _checked_commit(tip), f"^{_checked_commit(base)}")
        return self._log(tip, *selection, paths=True, also=base)

    def touching(self, tip: str, path: str, *, limit: int) -> list[Commit]:
        """The newest commits up to `tip` that changed a file, newest first."""
        selection = (f"--max-count={limit}", _checked_commit(tip))
        return self._log(tip, *selection, touching=[path])

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Whether `descendant` holds `ancestor` (or is it)."""
        pair = _checked_commit(ancestor), _checked_commit(descendant)

        def ask(copy: Repository) -> bool:
            reading.need(copy, self.remote, *pair)
            done = copy.git("merge-base", "--is-ancestor", *pair)
            if done.status not in (0, 1):
                raise Broken(done.err)
            return done.status == 0

        return self._work(ask)

    def find_commit_by_trailer(self, branch: str, base: str | None, key: str, value: str) -> Commit | None:
        """The first commit on the branch since `base` whose trailers say `key: value`, or None.

        This is how a write is found again after a time-out; the branch is asked for anew. Where `base` is
        None or gone, for somebody rewrote the branch, its whole history is searched.
        """
        tip = self.tip(branch)
        # Git looks for the text anywhere in the message, which only spares us reading all the others.
        wanted = ["--fixed-strings", f"--grep={value}", tip]
        try:
            found = self._log(tip, *wanted, *([f"^{_checked_commit(base)}"] if base else []), also=base)
        except NotFound:
            found = self._log(tip, *wanted)
        ours = [commit for commit in found if value in commit.trailer(key)]
        return ours[-1] if ours else None

    # Writing

    def create_commit(
        self,
        branch: str,
        base: str | None,
        files: Mapping[str, bytes],
        *,
        message: str,
        author: Person,
        committer: Person,
        when: datetime,
        signing: Signing | None = None,
        new_branch: bool = False,
    ) -> Commit:
        """One commit on top of `base`, brought to the branch if `base` still is its tip.

        `new_branch` makes the branch, which must not exist; `base` None starts a repository without commits.
        Files keep their modes; new ones are plain files. Raises Conflict when the branch moved (nothing was
        written: read again), Rejected with the server's words, Unavailable when nobody knows what became of
        it: then look for the commit's trailer before writing again. It is never pushed twice.
        """
        checked_branch(branch)
        parent = _checked_commit(base) if base else None
        texts = (message, author.name, author.email, committer.name, committer.email)
        if not all(texts) or "\0" in "".join(texts):
            raise Rejected("A commit needs a message, an author and a committer", vendor=VENDOR)
        headers = _identity("AUTHOR", author, when) | _identity("COMMITTER", committer, when)

        def make(copy: Repository) -> Commit:
            edit = self._edited(copy, parent, files)
            write(copy, edit)
            made = self._commit(copy, edit.root, parent, message, headers, signing)
            return _told(made, parent, message, author, committer, when, edit.changed)

        commit = self._work(make)
        lease = None if new_branch else parent
        self._work(lambda copy: transfer.push(copy, self.remote, branch, lease, commit.id))
        return commit

    # How

    def _work(self, act: Callable[[Repository], T]) -> T:
        """Do something with the copy; where that shows it to be damaged, once more with a new one."""
        for last in (False, True):
            try:
                with self._store.opened() as copy:
                    generation = copy.generation
                    return act(copy)
            except Broken as broken:
                if last:
                    raise Unavailable(f"The repository cannot be read: {broken}", vendor=VENDOR) from broken
                self._store.discard(generation)
        raise AssertionError("not reached")

    def _log(
        self,
        tip: str,
        *selection: str,
        paths: bool = False,
        also: str | None = None,
        touching: Sequence[str] = (),
    ) -> list[Commit]:
        def ask(copy: Repository) -> list[Commit]:
            reading.need(copy, self.remote, tip, *([also] if also else []))
            return history.log(copy, *selection, paths=paths, touching=touching)

        return self._work(ask)

    def _edited(self, copy: Repository, base: str | None, files: Mapping[str, bytes]) -> Edit:
        edit = edited(copy, base, files)
        if edit is None and base:
            transfer.fetch_commit(copy, self.remote, base)
            edit = edited(copy, base, files)
        if edit is None:
            raise Broken(f"commit {base} is missing after it was fetched")
        if not edit.changed:
            raise Rejected("The files already are as they should become: nothing to commit", vendor=VENDOR)
        return edit

    def _commit(
        self,
        copy: Repository,
        tree: str,
        parent: str | None,
        message: str,
        headers: Mapping[str, str],
        signing: Signing | None,
    ) -> str:
        with signer(signing, self._timeout) as way:
            arguments = [*(["-S"] if way else []), *(["-p", parent] if parent else []), tree]
            out = copy.local(
                "commit-tree",
                *arguments,
                data=message.encode(),
                config=way.config if way else (),
                environ={**headers, **(way.environ if way else {})},
            )
        return out.decode().strip()


def _checked_commit(commit: str) -> str:
    if not _COMMIT_ID.fullmatch(commit):
        raise NotFound(f"{commit!r} is not the full id of a commit", vendor=VENDOR)
    return commit


def _identity(role: str, person: Person, when: datetime) -> dict[str, str]:
    date = f"@{int(when.timestamp())} {when.strftime('%z') or '+0000'}"
    return {
        f"GIT_{role}_NAME": person.name,
        f"GIT_{role}_EMAIL": person.email,
        f"GIT_{role}_DATE": date,
    }


def _told(
    commit: str,
    parent: str | None,
    message: str,
    author: Person,
    committer: Person,
    when: datetime,
    paths: Sequence[str],
) -> Commit:
    """The commit as `commit()` would read it, without a process that reads it."""
    return Commit(
        id=commit,
        parent_ids=(parent,) if parent else (),
        message=message,
        author_name=author.name,
        author_email=author.email,
        authored_at=when.replace(microsecond=0),
        committer_name=committer.name,
        committer_email=committer.email,
        committed_at=when.replace(microsecond=0),
        trailers=history.own_trailers(message),
        paths=tuple(sorted(paths)),
    )
