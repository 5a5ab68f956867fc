"""What Slipway writes into Git in words: commit messages and branch names, from templates per Stage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter

from promotions.choices import PromotionKind
from promotions.models import Promotion

MESSAGE = "{verb} {application} in {environment} to {version}\n\n{reason}"
BRANCH = "slipway/{application}-{environment}-{key}"
# {key} and {promotion} are the promotion's own, {verb} is "Promote" or "Roll back".
PLACEHOLDERS = (
    "application",
    "environment",
    "version",
    "tag",
    "digest",
    "old_version",
    "promotion",
    "key",
    "requester",
    "reason",
    "verb",
)
# One of these tells a promotion's branch from the others'.
TELLING_APART = frozenset({"key", "promotion", "version", "tag", "digest"})
# What git-check-ref-format refuses, and blanks.
_NOT_IN_BRANCHES = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]+|\.\.+|@\{|//+")
_LONGEST_BRANCH = 200


class BadTemplate(ValueError):
    """The template can't be filled; the message says why."""


def placeholders(template: str) -> set[str]:
    """Return the placeholders a template names; raises BadTemplate for anything but {name}."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise BadTemplate(str(error)) from error
    named = set()
    for _text, name, form, conversion in parts:
        if name is None:
            continue
        # A dot or bracket would reach into objects: only plain names are filled in.
        if name not in PLACEHOLDERS or form or conversion:
            known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
            raise BadTemplate(f"{{{name}}} is not one of {known}")
        named.add(name)
    return named


def branch_name(promotion: Promotion) -> str:
    """Return the name of the promotion's own branch; further rounds get a number behind it."""
    filled = _filled(promotion.stage.branch_name or BRANCH, promotion)
    name = _NOT_IN_BRANCHES.sub("-", filled)[:_LONGEST_BRANCH]
    parts = [part.strip(".-").removesuffix(".lock") for part in name.split("/")]
    plain = "/".join(part for part in parts if part) or f"slipway/{promotion.key.hex[:12]}"
    return plain if promotion.branch_round == 1 else f"{plain}-{promotion.branch_round}"


def message_text(promotion: Promotion) -> str:
    """Return the commit message above its trailers."""
    lines = _filled(promotion.stage.commit_message or MESSAGE, promotion).strip().splitlines()
    return "\n".join(line.rstrip() for line in lines).strip() or f"Promotion {promotion.pk}"


def release_text(parts: list[Promotion]) -> str:
    """Return the message of a Release's commit: what goes where, a line each."""
    release = parts[0].release
    assert release is not None
    verb = "Roll back" if release.kind == PromotionKind.ROLLBACK else "Release"
    lines = [
        f"{each.stage.application.slug} in {each.stage.environment.slug} to {each.version.label}"
        for each in parts
    ]
    subject = one_line(f"{verb} {release.name}")
    return "\n".join([subject, "", *map(one_line, lines), "", one_line(release.reason)])


def _filled(template: str, promotion: Promotion) -> str:
    placeholders(template)
    return template.format_map(_values(promotion))


def _values(promotion: Promotion) -> Mapping[str, str]:
    stage, version = promotion.stage, promotion.version
    values = {
        "application": stage.application.slug,
        "environment": stage.environment.slug,
        "version": version.label,
        "tag": version.tag,
        "digest": version.digest.removeprefix("sha256:")[:12],
        "old_version": promotion.from_version.label if promotion.from_version else "",
        "promotion": str(promotion.pk),
        "key": promotion.key.hex[:12],
        "requester": promotion.requested_by_name,
        "reason": promotion.reason,
        "verb": "Roll back" if promotion.kind == PromotionKind.ROLLBACK else "Promote",
    }
    return {name: one_line(value) for name, value in values.items()}


def one_line(text: str) -> str:
    """A line break in a person's text could forge a trailer."""
    return " ".join(text.split())
