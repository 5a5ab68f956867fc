"""Which of several builds is the newest: filter, extract a key, parse, order, tie-break. Pure.

The rules are those of reference tag-ordering.md, "Rules we recommend". Filters are shell globs and the
extract is a template, not regular expressions: Python's `re` goes back and forth without end on some, and
whoever writes the catalogue must not be able to stop a worker with one (rule 1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fnmatch import fnmatchcase
from string import Formatter
from typing import Any

# Signatures, attestations and bills of materials lie beside the image under tags of their own.
_NOT_BUILDS = ("*.sig", "*.att", "*.sbom", "sha256-*")
# A registry takes no longer tag; with this bound and so few placeholders a template can't take long.
_LONGEST_TAG = 128
_MOST_PLACEHOLDERS = 4
_NUMBER = r"(?:0|[1-9][0-9]*)"
_IDENTIFIER = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
_CALVER = re.compile(
    r"((?:[0-9]{4}|[0-9]{2})(?:[.-][0-9]{1,9}){1,4})(?:[._-]?([A-Za-z][0-9A-Za-z._-]*))?", re.ASCII
)
_PRE_WORD = re.compile(
    r"(?:a|alpha|b|beta|c|rc|pre|preview|dev|snapshot|nightly|m|milestone)[._-]?[0-9]*", re.I
)
_DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)
_PLACEHOLDERS = {
    "key": r"(?P<key>.+)",
    "number": r"[0-9]+",
    "sha": r"[0-9a-fA-F]{7,64}",
    "word": r"[0-9A-Za-z_]+",
    "any": r".*",
}

Key = tuple[Any, ...]


class BadOrder(ValueError):
    """The ordering policy can't be read; the message says why."""


class By(StrEnum):
    """What builds are ordered by. PUSHED is when a build was pushed, or first seen where that is unknown."""

    SEMVER = "semver"
    CALVER = "calver"
    NUMERIC = "numeric"
    LEXICAL = "lexical"
    PUSHED = "pushed"


class Why(StrEnum):
    """Why a tag takes no part. Everything but FILTERED is worth telling."""

    FILTERED = "filtered"
    NO_EXTRACT = "no-extract"
    UNREADABLE = "unreadable"
    PRERELEASE = "pre-release"
    NO_TAG = "no-tag"


@dataclass(frozen=True, slots=True)
class Build:
    """A build as the policy sees it: the tags it may be judged by, and when it was pushed."""

    ident: int
    tags: tuple[str, ...]
    pushed_at: datetime


@dataclass(frozen=True, slots=True)
class Ranked:
    """A build that takes part, by the best of its tags."""

    build: Build
    tag: str
    key: Key


@dataclass(frozen=True, slots=True)
class Skipped:
    build: Build
    tag: str
    why: Why


@dataclass(frozen=True, slots=True)
class Ranking:
    """Who takes part, newest first, and who does not."""

    ranked: tuple[Ranked, ...]
    skipped: tuple[Skipped, ...]

    @property
    def newest(self) -> Ranked | None:
        return self.ranked[0] if self.ranked else None


@dataclass(frozen=True, slots=True)
class Ordering:
    """How builds of an Image, or for a Stage, are ordered.

    `only` and `ignore` are globs on the whole tag. `extract` is a template such as "main-{sha}-{key}": what
    stands at {key} is ordered. `chart` reads "_" as the "+" that Helm can't write into a tag (rule 3).
    """

    by: By = By.SEMVER
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    extract: str = ""
    prereleases: bool = False
    chart: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any], *, chart: bool = False) -> Ordering:
        """Read a column; the catalogue wrote it, so what is absent has its default."""
        return cls(
            by=By(values.get("by", By.SEMVER)),
            only=tuple(values.get("only", ())),
            ignore=tuple(values.get("ignore", ())),
            extract=str(values.get("extract", "")),
            prereleases=bool(values.get("prereleases", False)),
            chart=chart,
        )

    def rank(self, builds: Iterable[Build]) -> Ranking:
        """Order the builds, newest first. Equal ones: pushed later, then the original tag (rule 2)."""
        ranked, skipped = [], []
        for build in builds:
            found = self._best(build)
            if isinstance(found, Ranked):
                ranked.append(found)
            else:
                skipped.append(found)
        ranked.sort(key=lambda each: (each.key, each.build.pushed_at, each.tag), reverse=True)
        return Ranking(tuple(ranked), tuple(skipped))

    def compare(self, one: Build, other: Build) -> int | None:
        """Return 1 where `one` is newer, -1 where it is older, 0 for equals; None where it can't be told.

        Filters and pre-releases do not matter here: what runs may be one of those (rule 12).
        """
        keys = [self._any_key(one), self._any_key(other)]
        if keys[0] is None or keys[1] is None:
            return None
        return (keys[0] > keys[1]) - (keys[0] < keys[1])

    def _best(self, build: Build) -> Ranked | Skipped:
        """A build on 1, 1.2 and 1.2.3 is judged by the one that can be read (rule 11)."""
        found = [(tag, self._judge(tag, build)) for tag in build.tags]
        keys = [(key, tag) for tag, key in found if not isinstance(key, Why)]
        if keys:
            key, tag = max(keys)
            return Ranked(build, tag, key)
        reasons = [(tag, why) for tag, why in found if isinstance(why, Why)]
        told = [each for each in reasons if each[1] != Why.FILTERED] or reasons or [("", Why.NO_TAG)]
        return Skipped(build, *told[0])

    def _judge(self, tag: str, build: Build) -> Key | Why:
        if any(fnmatchcase(tag, glob) for glob in (*_NOT_BUILDS, *self.ignore)):
            return Why.FILTERED
        if self.only and not any(fnmatchcase(tag, glob) for glob in self.only):
            return Why.FILTERED
        return self._key(tag, build.pushed_at, prereleases=self.prereleases)

    def _any_key(self, build: Build) -> Key | None:
        keys = [self._key(tag, build.pushed_at, prereleases=True) for tag in build.tags]
        return max((key for key in keys if not isinstance(key, Why)), default=None)

    def _key(self, tag: str, pushed_at: datetime, *, prereleases: bool) -> Key | Why:
        text = extracted(self.extract, tag) if self.extract else tag
        if text is None:
            return Why.NO_EXTRACT
        match self.by:
            case By.SEMVER:
                key = semver(text, chart=self.chart)
            case By.CALVER:
                key = calver(text)
            case By.NUMERIC:
                key = (Decimal(text),) if _DECIMAL.fullmatch(text) else None
            case By.LEXICAL:
                key = (text,)
            case By.PUSHED:
                key = (pushed_at,)
        if key is None:
            return Why.UNREADABLE
        # Both kinds of versions say at their fourth place whether they are a release.
        is_prerelease = self.by in (By.SEMVER, By.CALVER) and key[-1][0] < _RELEASE
        return Why.PRERELEASE if is_prerelease and not prereleases else key


_PRERELEASE, _RELEASE, _LATER = -1, 0, 1


def semver(text: str, *, chart: bool = False) -> Key | None:
    """Return the key of a strict x.y.z version, with or without a leading v; None for anything else.

    Build metadata does not order (rule 2). Lenient readers take 1234567 or 20240131 for a version (rule 4).
    """
    match = _SEMVER.fullmatch(_without_v(text.replace("_", "+", 1) if chart else text))
    if match is None or len(text) > _LONGEST_TAG:
        return None
    major, minor, patch, pre = match.groups()
    suffix = (_PRERELEASE, tuple(_identifier(part) for part in pre.split("."))) if pre else (_RELEASE, ())
    return (int(major), int(minor), int(patch), suffix)


def _identifier(part: str) -> tuple[int, int, str]:
    """Numbers are below words; rc.10 is above rc.9, but rc10 below rc9 (rule 2)."""
    return (0, int(part), "") if part.isdigit() else (1, 0, part)


def calver(text: str) -> Key | None:
    """Return the key of a calendar version: 2024.01.05, 24.04, 2024-01-05-2, each with a suffix or without.

    The first part is a year of two or four digits. A suffix that names a pre-release is before the release,
    any other (hotfix, b3 of a re-build ...) behind it.
    """
    match = _CALVER.fullmatch(_without_v(text))
    if match is None or len(text) > _LONGEST_TAG:
        return None
    numbers = tuple(int(part) for part in re.split(r"[.-]", match[1]))
    suffix = match[2] or ""
    if not suffix:
        return (numbers, (_RELEASE, ()))
    place = _PRERELEASE if _PRE_WORD.fullmatch(suffix) else _LATER
    return (numbers, (place, _natural(suffix)))


def _natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Words and numbers apart, so that rc10 is above rc9: a calendar has no rule of its own for it."""
    return tuple(_identifier(part) for part in re.findall(r"[0-9]+|[A-Za-z]+", text))


def _without_v(text: str) -> str:
    return text[1:] if text[:1] in ("v", "V") else text


def extracted(template: str, tag: str) -> str | None:
    """Return what stands at {key} in a tag that the whole template matches; None where it does not."""
    if len(tag) > _LONGEST_TAG:
        return None
    match = re.fullmatch(_pattern(template), tag)
    return match["key"] if match else None


def check_extract(template: str) -> str:
    """Return why this is no template, or ""."""
    try:
        _pattern(template)
    except BadOrder as error:
        return str(error)
    return ""


def _pattern(template: str) -> str:
    """Return the template as a regular expression; raises BadOrder."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise BadOrder(f"can't be read: {error}") from error
    named = [name for _text, name, _form, _conversion in parts if name is not None]
    if named.count("key") != 1 or len(named) > _MOST_PLACEHOLDERS:
        raise BadOrder(f"must name {{key}} once, and at most {_MOST_PLACEHOLDERS} placeholders in all")
    pattern = ""
    for literal, name, form, conversion in parts:
        pattern += re.escape(literal)
        if name is None:
            continue
        if name not in _PLACEHOLDERS or form or conversion:
            known = ", ".join(f"{{{each}}}" for each in _PLACEHOLDERS)
            raise BadOrder(f"{{{name}}} is not one of {known}")
        pattern += _PLACEHOLDERS[name]
    return pattern
