"""What the Git adapter tells and takes, as values. All times are aware."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

TREE, FILE, EXECUTABLE, LINK, SUBMODULE = "040000", "100644", "100755", "120000", "160000"


@dataclass(frozen=True, slots=True)
class Person:
    """An author or committer."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a tree: `type` is blob, tree or commit (submodule); mode 120000 is a symbolic link."""

    path: str
    type: str
    id: str
    mode: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit; `trailers` are pairs as Git itself parses them, a key may come several times.

    `paths` are the files that differ from the first parent; empty where they were not asked for.
    """

    id: str
    parent_ids: tuple[str, ...]
    message: str
    author_name: str
    author_email: str
    authored_at: datetime
    committer_name: str
    committer_email: str
    committed_at: datetime
    trailers: tuple[tuple[str, str], ...] = ()
    paths: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The message's first line."""
        return self.message.split("\n", 1)[0]

    def trailer(self, key: str) -> tuple[str, ...]:
        """All values of a trailer; keys know no case, as in Git."""
        return tuple(value for name, value in self.trailers if name.lower() == key.lower())


@dataclass(frozen=True, slots=True)
class Signing:
    """A key without a passphrase that signs commits: its text, or the path of a file that holds it.

    For "ssh" a private key as ssh-keygen writes it; for "openpgp" an armoured secret key.
    """

    format: Literal["ssh", "openpgp"]
    key: str = field(repr=False)
