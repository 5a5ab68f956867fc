"""The last commits that touched a Stage's manifests: who, what they ask for, and which are Slipway's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from promotions.choices import WriteMode
from promotions.models import ManifestHistory, Promotion, Stage
from promotions.present import answers
from promotions.present.commits import CommitNote, commit_note_of


@dataclass(frozen=True, slots=True)
class ManifestCommit:
    """One commit. `asks` is the version it asks for, "" where it left the version alone.

    `promotion` is set for Slipway's own commits; any other was made by a person or a tool.
    """

    commit: CommitNote
    asks: str
    promotion: Promotion | None


def manifest_commits(found: Iterable[Stage]) -> dict[int, tuple[ManifestCommit, ...]]:
    """Return the history of each Stage by its id, newest first, with two queries."""
    stages = {stage.pk: stage for stage in found}
    histories = list(ManifestHistory.objects.filter(stage__in=stages))
    keys = {key for each in histories for entry in each.commits if (key := _key(entry)) is not None}
    promotions = {each.key: each for each in Promotion.objects.filter(key__in=keys)} if keys else {}
    return {
        each.stage_id: tuple(_rows(stages[each.stage_id], each.commits, promotions)) for each in histories
    }


def _rows(
    stage: Stage, entries: list[Mapping[str, Any]], promotions: Mapping[UUID, Promotion]
) -> Iterable[ManifestCommit]:
    older = [*entries[1:], None]
    for entry, before in zip(entries, older, strict=True):
        key = _key(entry)
        promotion = promotions.get(key) if key else None
        ours = promotion if promotion and _is_ours(stage, promotion, str(entry["sha"])) else None
        asks = "" if before is not None and _version(before) == _version(entry) else _text(entry)
        yield ManifestCommit(commit_note_of(entry), asks, ours)


def _version(entry: Mapping[str, Any]) -> tuple[str, str]:
    return str(entry.get("tag", "")), str(entry.get("digest", ""))


def _text(entry: Mapping[str, Any]) -> str:
    tag, digest = _version(entry)
    return answers.reference(None, tag, digest).text


def _key(entry: Mapping[str, Any]) -> UUID | None:
    try:
        return UUID(str(entry.get("promotion") or ""))
    except ValueError:
        return None


def _is_ours(stage: Stage, promotion: Promotion, sha: str) -> bool:
    """Anybody can copy a trailer into a commit: a direct one counts only if it is the one we wrote."""
    if promotion.stage_id != stage.pk:
        return False
    if sha in (promotion.written_commit, promotion.target_commit):
        return True
    # A merge request may be squashed or rebased: then GitLab made the commit, with our message.
    return stage.write_mode != WriteMode.DIRECT
