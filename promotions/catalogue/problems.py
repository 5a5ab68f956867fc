"""What is wrong with a catalogue file: collected, so that people see everything at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

# Tokens of GitLab, GitHub, Slack, Harbor's robots and Standard Webhooks, JWTs, keys: by their first letters.
_SECRET = re.compile(
    r"gl[a-z]{2,6}-\w{6}|gh[pousr]_\w{6}|github_pat_|xox[abprs]-|whsec_|eyJ[\w-]{6}|sha256~|AKIA\w{8}"
    r"|-----BEGIN|\b(?:Bearer|Basic)\s+\S|://[^/@\s]+:[^/@\s]+@",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to correct: the line (from 1), the path of keys to it, and the sentence."""

    line: int
    path: str
    message: str

    def text(self, file: str) -> str:
        place = f"{file}:{self.line}" if self.line else file
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class CatalogueError(Exception):
    """The file can't be applied; nothing was changed. `problems` are in the order of the file's lines."""

    def __init__(self, file: str, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = sorted(set(problems))
        super().__init__("\n".join(problem.text(file) for problem in self.problems))


@dataclass
class Problems:
    """The problems found so far."""

    found: list[Problem] = field(default_factory=list)

    def add(self, line: int, path: str, message: str) -> None:
        self.found.append(Problem(line, path, message))


def looks_like_a_secret(value: str) -> bool:
    """Tell whether a value carries a credential as such and not by reference."""
    return _SECRET.search(value) is not None


def shown(value: str) -> str:
    """Return a value as a message may quote it: never a credential, never a page of text."""
    if looks_like_a_secret(value):
        return "(a value that looks like a secret)"
    return f'"{value if len(value) <= 80 else value[:77] + "..."}"'


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """Return " Did you mean ...?" or the known words, to end a sentence with."""
    words = sorted(known)
    if close := difflib.get_close_matches(wrong, words, n=1, cutoff=0.6):
        return f' Did you mean "{close[0]}"?'
    if not words:
        return ""
    more = " ..." if len(words) > 12 else ""
    return f" Known: {', '.join(words[:12])}{more}."
