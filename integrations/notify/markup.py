"""Words that people wrote, made harmless for the service that shows them.

Apprise escapes HTML, Slack's entities and Markdown where it converts, but not what plain text means to a
chat: Mattermost renders Markdown in it, most turn "@all" into a mention and "a.example" into a link.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

# Invisible; what stands on its two sides is no longer one word to any service's reader of markup.
_GAP = "\u200b"
_TRIGGERS = re.compile(
    r"""
    (?<=://) | (?<=<) | (?<=@) | (?<=\]) (?=[(\[:]) | (?<=~) (?=\w)
    | (?<=\w\.) (?=[^\W\d_]{2})          # a name of a host, or what is taken for one
    | (?<=\bmailto:) | (?<=\btel:) | (?<=^\#) | (?<=\s\#)
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~])")
# Read by programs: what was written must arrive as it was written.
_MACHINES = frozenset({"json", "jsons", "xml", "xmls", "form", "forms"})
_TEXT, _MARKDOWN_FORMAT = "text", "markdown"


@dataclass(frozen=True, slots=True)
class Rendered:
    """`format` is what Apprise is told about the body."""

    title: str
    body: str
    format: str


class Service(Protocol):
    """What is asked of one of Apprise's services."""

    def schemas(self) -> set[str]: ...

    def resolve_format(self, body_format: str) -> str: ...


def rendered(title: str, body: str, link: str, service: Service) -> Rendered:
    """Return the message as this service must get it, so that only the link leads anywhere."""
    if service.schemas() & _MACHINES:
        return Rendered(title, "\n".join(filter(None, (body, link))), _TEXT)
    if service.resolve_format(_TEXT) == _MARKDOWN_FORMAT:
        # Teams, Google Chat and others: a bare address is no link there.
        lines = [escaped(line) for line in body.splitlines()]
        lines += [f"[Slipway]({link})"] if link else []
        return Rendered(harmless(title), "\n\n".join(lines), _MARKDOWN_FORMAT)
    return Rendered(harmless(title), "\n".join(filter(None, (harmless(body), link))), _TEXT)


def harmless(text: str) -> str:
    """Return the text with a gap wherever a service would begin a mention or a link."""
    return _TRIGGERS.sub(_GAP, text).replace("`", "'")


def escaped(line: str) -> str:
    """Return the text as Markdown that shows exactly it."""
    return _MARKDOWN.sub(r"\\\1", harmless(line))
