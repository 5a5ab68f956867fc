"""Put back what our commit undid of one that slipped in between: GitLab's lock fails open (gitlab-api.md)."""

from __future__ import annotations

import yaml
from django.utils.translation import gettext as _

from integrations.errors import Conflict
from integrations.git import merge_lines
from promotions.models import Promotion
from promotions.repositories import Commit, Draft, Repository
from promotions.steps.base import Failed, Waiting
from promotions.steps.together import combine

_TRAILER = "Repairs-Promotion"


def repair(repository: Repository, promotion: Promotion, commit: Commit) -> Waiting | Failed | None:
    """See that our commit changed exactly the approved edits, whatever its parent is.

    What it undid of another one is written again in a commit of its own, found by its trailer after a
    crash. None when all is well, or well again.
    """
    if not commit.parent_ids:
        return None
    stage, key = promotion.stage, str(promotion.key)
    combined = combine(promotion, commit.parent_ids[0])
    meant = combined.change
    ours = repository.tree(commit.id, stage.manifest_path)
    undone = {path: content for path, content in meant.files.items() if ours.read(path) != content}
    if not undone:
        return None
    if repository.find_written(stage.manifest_branch, base=commit.id, key=_TRAILER, value=key) is not None:
        return None
    tip = repository.tip(stage.manifest_branch)
    now = repository.tree(tip, stage.manifest_path)
    mended = {path: mend(ours.read(path), now.read(path), content) for path, content in undone.items()}
    files = {path: content for path, content in mended.items() if content is not None}
    if combined.differing or len(files) < len(mended):
        return Failed(_by_hand(commit, undone), link=commit.url)
    try:
        repository.write(_draft(promotion, commit, files, tip))
    except Conflict:
        return Waiting(_("The branch moved while putting back what our commit undid."), look_in=0.1)
    return None


def mend(ours: bytes, now: bytes, meant: bytes) -> bytes | None:
    """Return the file as it is now with what we undid; None where only a person can tell how.

    Lines that both changed are kept from both sides, if they are but comments: what the file says stays
    the same then.
    """
    clean = merge_lines(ours, now, meant)
    if clean is not None:
        return clean
    both = merge_lines(ours, now, meant, union=True)
    return both if both is not None and _says(both) == _says(now) else None


def _says(content: bytes) -> object:
    try:
        return list(yaml.load_all(content, Loader=yaml.CSafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return object()  # equal to nothing


def _draft(promotion: Promotion, commit: Commit, files: dict[str, bytes], tip: str) -> Draft:
    subject = f"Restore what {commit.id[:8]} undid in {', '.join(files)}"
    body = "Another commit came in while it was written; this brings its changes back."
    return Draft(
        branch=promotion.stage.manifest_branch,
        base=tip,
        files=files,
        message=f"{' '.join(subject.split())}\n\n{body}\n\n{_TRAILER}: {promotion.key}\n",
        author_name="Slipway",
        author_email="slipway@localhost",
    )


def _by_hand(commit: Commit, undone: dict[str, bytes]) -> str:
    return _(
        "Commit %(sha)s changed more of %(paths)s than was approved: another commit slipped in while it was"
        " written, and more has changed since. Compare it with its parent and mend it by hand."
    ) % {"sha": commit.id[:8], "paths": ", ".join(undone)}
