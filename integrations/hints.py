"""What a webhook may tell us: where to look, never what is true (design.md section 2).

Shared by the webhook modules of all vendors, so that the receiver treats them alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Subject = Literal["branch", "tag", "merge_request", "pipeline", "deployment", "image"]


@dataclass(frozen=True, slots=True)
class Hint:
    """Look at `name` in `project` now.

    `project` is GitLab's full path (or its numeric id as text when the path is missing), or for images
    the repository without host. `name` is the branch, tag, merge request iid, pipeline id, deployment id
    or image tag ("" for the repository as a whole); it is text chosen by others, printable and at most 255
    characters long, and nothing more is promised.
    """

    subject: Subject
    project: str
    name: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What one delivery says.

    `kind` is the vendor's word for the event ("push", "PUSH_ARTIFACT", ...), "" when unreadable;
    `summary` is one line for the inbox; `problem` is why the body could not be used, else None. An
    unknown kind is not a problem: it has no hints.
    """

    kind: str
    hints: tuple[Hint, ...] = ()
    summary: str = ""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """The secrets that are valid for one source now: current and, while rotating, previous.

    They never show in a repr. A source without any secret accepts nothing.
    """

    tokens: Sequence[str] = field(default=(), repr=False)
    signing_tokens: Sequence[str] = field(default=(), repr=False)
