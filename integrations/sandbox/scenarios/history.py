"""Write a believable past into an empty repository: one fast-import process for all of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from integrations.sandbox.gitlab.git import Person, Repository
from integrations.sandbox.gitlab.writes import FileChange, data_block, file_lines, signature

DAY = 86400


@dataclass
class History:
    """Commits in the order they were made; ages are in days before now."""

    _stream: list[bytes] = field(default_factory=list)
    _marks: int = 0
    _now: int = field(default_factory=lambda: int(time.time()))

    def commit(
        self,
        branch: str,
        age: float,
        author: Person,
        message: str,
        files: Mapping[str, str | None],
        *,
        parents: tuple[int, ...] = (),
    ) -> int:
        """Add a commit and return its mark; None as content removes a file.

        Without `parents` it continues the branch; several make a merge, whose files are the first
        parent's plus `files`.
        """
        self._marks += 1
        when = self._now - int(age * DAY)
        changes = [
            FileChange(path, content=None if text is None else text.encode()) for path, text in files.items()
        ]
        # The first parent is `from`, every further one `merge`: fast-import's own words.
        names = ("from", *("merge" for _ in parents[1:]))
        links = "".join(f"{name} :{mark}\n" for name, mark in zip(names, parents, strict=False))
        self._stream += [
            f"commit refs/heads/{branch}\nmark :{self._marks}\n".encode(),
            signature("author", author, when),
            signature("committer", author, when),
            data_block(message.encode()),
            links.encode(),
            file_lines(changes),
        ]
        return self._marks

    def tag(self, name: str, mark: int, age: float, tagger: Person, message: str) -> None:
        """Add an annotated tag."""
        when = self._now - int(age * DAY)
        self._stream += [f"tag {name}\nfrom :{mark}\n".encode(), signature("tagger", tagger, when)]
        self._stream.append(data_block(message.encode()))

    def branch(self, name: str, mark: int) -> None:
        """Point a branch at a commit."""
        self._stream.append(f"reset refs/heads/{name}\nfrom :{mark}\n\n".encode())

    def write(self, repository: Repository) -> None:
        """Bring it all into the repository."""
        # --force: the default branch exists already, empty.
        repository.run("fast-import", "--quiet", "--force", data=b"".join(self._stream))
