"""The local copy on disk: a bare repository without file contents, shared by processes and threads.

It holds nothing that cannot be fetched again. It says nothing in its own configuration of the remote or
of missing objects, so that no local command ever goes to the network by itself to fetch one.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from integrations.errors import Unavailable
from integrations.git.failures import damaged, local_failure
from integrations.git.locks import locked
from integrations.git.memory import Trees
from integrations.git.process import MAX_OUTPUT, Done, environment, run
from integrations.git.remote import VENDOR
from integrations.shape import one_line

# Told only to fetches: blobs are missing on purpose, and the remote has them.
PARTIAL = (("remote.origin.promisor", "true"), ("remote.origin.partialclonefilter", "blob:none"))
_GENERATION = "generation"
# Every fetch leaves a pack and every commit some loose objects; reading slows down with their number.
_PACKS, _LOOSE_IN_ONE_OF_256 = 100, 20
_LIMITS = (
    ("core.logAllRefUpdates", "false"),
    # Loose objects of a fetch that was killed half-way would look like a whole commit.
    ("fetch.unpackLimit", "1"),
    ("core.filesRefLockTimeout", "2000"),
    # Refs are looked up as files.
    ("gc.packRefs", "false"),
)


@dataclass(frozen=True, slots=True)
class Repository:
    """The copy as one user of it sees it: `generation` tells one making of it from the next."""

    folder: Path
    timeout: float
    generation: str
    memory: Trees

    def git(
        self,
        *arguments: str,
        data: bytes = b"",
        config: Sequence[tuple[str, str]] = (),
        environ: Mapping[str, str] | None = None,
        max_output: int = MAX_OUTPUT,
    ) -> Done:
        """Run one git command on the copy, whatever it answers; Unavailable after the time-out."""
        return run(
            ["git", f"--git-dir={self.folder}", *arguments],
            environ=environment((*_LIMITS, *config), environ or {}),
            timeout=self.timeout,
            data=data,
            max_output=max_output,
        )

    def local(
        self,
        *arguments: str,
        data: bytes = b"",
        config: Sequence[tuple[str, str]] = (),
        environ: Mapping[str, str] | None = None,
    ) -> bytes:
        """The output of a command that needs no server; raises Broken where the copy is damaged."""
        done = self.git(*arguments, data=data, config=config, environ=environ)
        # Some commands complain of damage, take the object for missing and call it a success.
        if done.status or damaged(done):
            raise local_failure(done)
        return done.out

    def ref_value(self, ref: str) -> str:
        """What a ref of ours names, or ""."""
        try:
            return (self.folder / ref).read_text().strip()
        except FileNotFoundError:
            return ""

    @property
    def is_untidy(self) -> bool:
        """Whether so many small files have gathered that reading suffers."""
        packs = sum(1 for each in _names(self.folder / "objects/pack") if each.endswith(".pack"))
        return packs > _PACKS or len(_names(self.folder / "objects/17")) > _LOOSE_IN_ONE_OF_256


class Store:
    """Makes, opens and replaces the copy of one address below a cache folder."""

    def __init__(self, cache: Path, url: str, timeout: float) -> None:
        self._name = sha256(url.encode()).hexdigest()[:24]
        self._cache = cache
        self._folder = cache / f"{self._name}.git"
        self._timeout = timeout
        self._memory = Trees("")

    @contextmanager
    def opened(self) -> Iterator[Repository]:
        """The copy, made where there is none; it is not replaced as long as somebody has it open."""
        self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            with self._lock("use", shared=True):
                if generation := self._generation():
                    yield self._repository(generation)
                    return
            with self._lock("use"):
                if not self._generation():
                    self._make()

    def _repository(self, generation: str) -> Repository:
        if self._memory.generation != generation:
            self._memory = Trees(generation)
        return Repository(self._folder, self._timeout, generation, self._memory)

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """The right to move the copy's refs."""
        with self._lock("fetch"):
            yield

    def discard(self, generation: str) -> None:
        """Throw the copy away, unless somebody else has replaced that one already."""
        with self._lock("use"):
            if self._generation() == generation:
                self._remove(self._folder)

    @contextmanager
    def _lock(self, what: str, *, shared: bool = False) -> Iterator[None]:
        # A holder may spend one time-out on its own command.
        with locked(self._cache / f"{self._name}.{what}", shared=shared, timeout=2 * self._timeout):
            yield

    def _generation(self) -> str:
        """The mark of a copy that is whole as far as a glance can tell, or ""."""
        whole = all((self._folder / each).exists() for each in ("HEAD", "config", "objects", "refs"))
        try:
            return (self._folder / _GENERATION).read_text() if whole else ""
        except (OSError, UnicodeDecodeError):
            return ""

    def _make(self) -> None:
        """Made aside and then renamed, so that a half-made one never has the name."""
        self._remove(self._folder)
        aside = self._cache / f"{self._name}.{uuid.uuid4().hex}.new"
        done = run(
            ["git", "init", "--quiet", "--bare", "--template=", str(aside)],
            environ=environment((), {"GIT_DEFAULT_REF_FORMAT": "files"}),
            timeout=self._timeout,
        )
        if done.status:
            raise Unavailable(f"The local copy cannot be made: {one_line(done.err)}", vendor=VENDOR)
        (aside / _GENERATION).write_text(uuid.uuid4().hex)
        aside.rename(self._folder)

    def _remove(self, folder: Path) -> None:
        """Rename first: a removal that is killed half-way leaves nothing under the name."""
        for kind in ("old", "new"):
            for left in self._cache.glob(f"{self._name}.*.{kind}"):
                shutil.rmtree(left, ignore_errors=True)
        if folder.is_dir() and not folder.is_symlink():
            gone = self._cache / f"{self._name}.{uuid.uuid4().hex}.old"
            folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)
        else:
            folder.unlink(missing_ok=True)


def _names(folder: Path) -> list[str]:
    try:
        return [each.name for each in folder.iterdir()]
    except FileNotFoundError:
        return []
