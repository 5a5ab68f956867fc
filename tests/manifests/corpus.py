"""The corpus of manifests in tests/fixtures/manifests: one text file a case.

A case starts with `name: value` lines (root, image, tag, digest, style, kind, extra, choose, bytes),
then holds files after `-- path --`, then after `== expected ==` the one line that changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from promotions.manifests import Change, Reference, Style, Target, choose, compute_change, find_references
from promotions.manifests.tree import MemoryTree

FOLDER = Path(__file__).parent.parent / "fixtures" / "manifests"


@dataclass(frozen=True)
class Case:
    name: str
    head: dict[str, str]
    files: dict[str, bytes]
    expected: str

    @property
    def image(self) -> str:
        return self.head["image"]

    @property
    def tree(self) -> MemoryTree:
        return MemoryTree(self.files)

    @property
    def target(self) -> Target:
        tag = self.head.get("tag", "").strip('"') or None
        return Target(tag, self.head.get("digest"), Style(self.head.get("style", "tag")))

    def references(self) -> list[Reference]:
        extra = [self.head["extra"]] if "extra" in self.head else []
        root = self.head["root"].strip("'")
        found = find_references(self.tree, self.image, root=root, extra_paths=extra)
        return choose(found, [self.head["choose"]] if "choose" in self.head else [])

    def change(self) -> Change:
        return compute_change(self.tree, self.references(), self.image, self.target)


def cases() -> list[Case]:
    return [_case(path) for path in sorted(FOLDER.glob("*/*.txt"))]


def _case(path: Path) -> Case:
    text, _, expected = path.read_text("utf-8").partition("== expected ==\n")
    head, *parts = re.split(r"^-- (.+) --\n", text, flags=re.MULTILINE)
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    files = dict(zip(parts[::2], parts[1::2], strict=True))
    written = {name: _bytes(content, fields.get("bytes", "")) for name, content in files.items()}
    return Case(f"{path.parent.name}/{path.stem}", fields, written, expected)


def _bytes(content: str, how: str) -> bytes:
    words = how.split()
    if "no-final-newline" in words:
        content = content.removesuffix("\n")
    data = content.replace("\n", "\r\n").encode() if "crlf" in words else content.encode()
    return b"\xef\xbb\xbf" + data if "bom" in words else data
