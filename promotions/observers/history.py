"""Who changed what a Stage's manifests ask for: people, tools and promotions, by commit.

Read only when somebody looks, or when the version that Git asks for changed: a repository with hundreds of
Stages would otherwise cost a request for each of them at every push.
"""

from __future__ import annotations

from typing import Any

from integrations.errors import NotFound
from promotions import changes, looks, repositories
from promotions.manifests import ManifestError
from promotions.models import ManifestHistory, Stage, StageState
from promotions.repositories import Commit
from promotions.workflow import announce_stage

_KEPT = 5
_MOST_FILES = 4
_TRAILER = "promotion-id"


def want(stage: Stage, state: StageState | None) -> None:
    """Have the history read in the background where the branch has moved since it was read."""
    if state is None or not state.desired_commit or not state.desired_places:
        return
    if ManifestHistory.objects.filter(stage=stage, commit=state.desired_commit).exists():
        return
    looks.queue("promotions.read_history", f"history:{stage.pk}", {"stage_id": stage.pk})


def read(stage_id: int) -> None:
    """Read the newest commits that touched the Stage's places and keep them; raises IntegrationError."""
    stage = (
        Stage.objects.select_related("application", "environment", "image", "manifest_connection", "state")
        .filter(pk=stage_id)
        .first()
    )
    if stage is None or not hasattr(stage, "state"):
        return
    tip = stage.state.desired_commit
    before = ManifestHistory.objects.filter(stage=stage).first()
    known = {str(entry["sha"]): entry for entry in before.commits} if before else {}
    commits = [known.get(commit.id) or _entry(stage, commit) for commit in _newest(stage, stage.state, tip)]
    ManifestHistory.objects.update_or_create(stage=stage, defaults={"commit": tip, "commits": commits})
    if before is None or before.commits != commits:
        announce_stage(stage)


def _newest(stage: Stage, state: StageState, tip: str) -> list[Commit]:
    repository = repositories.of(stage)
    files = list(dict.fromkeys(str(place["file"]) for place in state.desired_places))
    found: dict[str, Commit] = {}
    for path in files[:_MOST_FILES]:
        for commit in repository.touching(tip, path, limit=_KEPT):
            found[commit.id] = commit
    # Of several files' commits the newest; the sort keeps Git's order within the same second.
    dated = sorted(found.values(), key=lambda each: str(each.committed_at or ""), reverse=True)
    return dated[:_KEPT]


def _entry(stage: Stage, commit: Commit) -> dict[str, Any]:
    tag, digest = _asked_for(stage, commit.id)
    named = [value for key, value in commit.trailers.items() if key.lower() == _TRAILER]
    return {
        "sha": commit.id,
        "title": commit.title,
        "author": commit.author_name,
        "at": commit.committed_at.isoformat() if commit.committed_at else None,
        "url": commit.url,
        "tag": tag,
        "digest": digest,
        "promotion": named[0] if named else "",
    }


def _asked_for(stage: Stage, commit: str) -> tuple[str, str]:
    """Return the tag and digest that the manifests asked for at a commit; "" where they can't be told."""
    try:
        desired = changes.read_desired(stage, commit)
    except (ManifestError, NotFound):
        return "", ""
    return desired.tag, desired.digest
