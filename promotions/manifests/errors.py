"""Why a manifest was not read, or not changed.

`str(error)` is a sentence for a release manager and starts with the file and the line. Nothing was
written when one of these is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from promotions.manifests.model import Reference


class ManifestError(Exception):
    """The base: `file` is a path in the manifest tree, `line` counts from 1 (None: the whole file)."""

    def __init__(self, file: str, line: int | None, cause: str) -> None:
        self.file = file
        self.line = line
        self.cause = cause
        # All three as arguments, so that the error survives pickling between processes.
        super().__init__(file, line, cause)

    def __str__(self) -> str:
        # A cause that concerns no file (a missing digest) stands by itself.
        where = ", line ".join(str(part) for part in (self.file, self.line) if part)
        return f"{where}: {self.cause}" if where else self.cause


class NotFound(ManifestError):
    """No place decides the image, or the file or key that was named does not exist (any more)."""


class Unsafe(ManifestError):
    """Hostile or beyond the limits: too large, too deep, out of the tree, a symbolic link, a bad value."""


class Unparsable(ManifestError):
    """Not YAML or JSON that can be read one way only: broken, a template, a key twice, not UTF-8."""


class AliasRefused(ManifestError):
    """The value is shared through a YAML alias with a place that is not meant."""


class VerificationFailed(ManifestError):
    """The edited file, parsed again, would differ in more (or less) than the intended keys."""


class Ambiguous(ManifestError):
    """Several places decide the version and nobody has chosen yet; `candidates` are the places."""

    def __init__(self, candidates: Sequence[Reference]) -> None:
        self.candidates = tuple(candidates)
        # The line of the first place is where a reader starts looking.
        first = self.candidates[0]
        places = "; ".join(f"{each.place} (line {each.line})" for each in self.candidates)
        image = f"the version of {first.image}"
        super().__init__(first.file, first.line, f"{len(candidates)} places decide {image}, choose: {places}")
