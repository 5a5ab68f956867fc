"""The three commands that talk to the server: fetch a branch, fetch single objects, push a commit."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256

from integrations.errors import IntegrationError, Unavailable
from integrations.git.access import Access, access
from integrations.git.asking import asked_tip
from integrations.git.failures import Broken, failure, landed, push_failure, refuses_filter
from integrations.git.process import Done
from integrations.git.remote import VENDOR, Remote
from integrations.git.store import PARTIAL, Repository, Store

_QUIET = (
    "--quiet",
    "--no-tags",
    "--no-write-fetch-head",
    "--recurse-submodules=no",
    "--no-show-forced-updates",
)


def tracking_ref(branch: str) -> str:
    """Our own name for a branch: flat, for `a` may be deleted and `a/b` made in its place."""
    return f"refs/mirror/{sha256(branch.encode()).hexdigest()[:32]}"


def fetch_branch(store: Store, repository: Repository, remote: Remote, branch: str) -> str:
    """Bring the branch's tip here; return its id. NotFound where the branch does not exist."""
    ref = tracking_ref(branch)
    known = repository.ref_value(ref)
    if known and known == asked_tip(remote, branch, repository.timeout):
        return known
    with store.fetching(), access(remote) as way:
        _fetch(repository, remote, way, "origin", f"+refs/heads/{branch}:{ref}")
        tip = repository.ref_value(ref)
        if repository.is_untidy:
            _tidy(repository)
    if not tip:
        raise Broken(f"{ref} is missing after it was fetched")
    return tip


def fetch_objects(repository: Repository, remote: Remote, ids: Sequence[str]) -> None:
    """Bring single objects here, all at once; NotFound where the server has them no more."""
    wanted = "".join(f"{each}\n" for each in dict.fromkeys(ids)).encode()
    # What we have does not matter: the server sends exactly what it is asked for.
    config = (("fetch.negotiationAlgorithm", "noop"),)
    with access(remote) as way:
        _fetch(repository, remote, way, "--stdin", "origin", data=wanted, config=config)


def fetch_commit(repository: Repository, remote: Remote, commit: str) -> None:
    """Bring a commit that no branch leads to any more; NotFound where the server has it no more."""
    with access(remote) as way:
        _fetch(repository, remote, way, "origin", commit)


def push(repository: Repository, remote: Remote, branch: str, base: str | None, commit: str) -> None:
    """Move the branch from `base` (None: from nothing) to `commit`, if it still is there.

    Raises Conflict when it is not, Rejected with the server's words, Unavailable when the outcome is unknown.
    """
    lease = f"--force-with-lease=refs/heads/{branch}:{base or ''}"
    config: list[tuple[str, str]] = [("remote.origin.fetch", f"+refs/heads/{branch}:{tracking_ref(branch)}")]
    if base is None or not repository.ref_value(tracking_ref(branch)):
        # Nothing the server lists may be known here, and without blobs no pack of everything can be made.
        config.append(("push.negotiate", "true"))
    with access(remote) as way:
        done = repository.git(
            "push",
            "--porcelain",
            "--no-verify",
            lease,
            "origin",
            f"{commit}:refs/heads/{branch}",
            config=(*way.config, *config),
            environ=way.environ,
        )
    if landed(branch, done):
        return
    error = push_failure(remote, branch, done)
    if isinstance(error, Broken):
        # Never pushed again with a new copy: nobody knows how far the first push came.
        raise Unavailable("The push broke off", vendor=VENDOR) from error
    raise error


def _fetch(
    repository: Repository,
    remote: Remote,
    way: Access,
    *arguments: str,
    data: bytes = b"",
    config: Sequence[tuple[str, str]] = (),
) -> None:
    def once(partial: Sequence[tuple[str, str]]) -> Done:
        together = (*way.config, *partial, *config)
        return repository.git("fetch", *_QUIET, *arguments, data=data, config=together, environ=way.environ)

    done = once(PARTIAL)
    if done.status and refuses_filter(done):
        done = once(())
    if done.status:
        raise failure(remote, done)


def _tidy(repository: Repository) -> None:
    """Join packs. Others read on meanwhile; where it fails, the next fetch tries again."""
    with suppress(IntegrationError):
        repository.git("gc", "--quiet", config=PARTIAL)
