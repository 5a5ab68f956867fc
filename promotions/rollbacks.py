"""Roll back to any version a Stage ran: which ones those are, what that undoes, and the request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils.translation import gettext as _

from promotions import operations
from promotions.choices import PromotionKind, PromotionStatus
from promotions.emergency import Glass
from promotions.manifests import Change
from promotions.models import ImageVersion, Promotion, Residence, Stage, StageState
from promotions.policy import Refusal, Refused

# What a list of promotions never shows, and what is large.
_LARGE = ("diff", "previous_diff", "rendered_diff", "edits")


@dataclass(frozen=True, slots=True)
class PastVersion:
    """A version this Stage ran. `since` and `until` are of the last time; `brought_by` is None for what
    came from outside of Slipway."""

    version: ImageVersion
    since: datetime | None
    until: datetime | None
    brought_by: Promotion | None
    is_here: bool


@dataclass(frozen=True, slots=True)
class Touched:
    """A later promotion of another Stage that changed one of the same files.

    `same_place` tells that it even changed the very key, so that the roll-back undoes its change.
    """

    promotion: Promotion
    files: tuple[str, ...]
    same_place: bool


@dataclass(frozen=True, slots=True)
class Reverting:
    """What a roll-back takes back: the promotions here since the version was replaced, newest first.

    `at` is when it was replaced, None where that is not known.
    """

    at: datetime | None
    promotions: tuple[Promotion, ...]
    touched: tuple[Touched, ...]


def history(stage: Stage, *, limit: int | None = None) -> list[PastVersion]:
    """Return the versions this Stage ran, the last one first: seen running, brought, or replaced here."""
    brought = _brought(stage, limit)
    stays = {
        stay.version_id: stay
        for stay in Residence.objects.filter(stage=stage).select_related("version__image")[:limit]
    }
    replaced = _replaced(stage, limit)
    state = StageState.objects.filter(stage=stage).first()
    here = state.running_version_id if state else None
    versions: dict[int, ImageVersion] = {
        **{pk: promotion.from_version for pk, promotion in replaced.items() if promotion.from_version},
        **{pk: stay.version for pk, stay in stays.items()},
        **{pk: promotion.version for pk, promotion in brought.items()},
    }
    found = [
        PastVersion(
            version,
            _first(stays[pk].since if pk in stays else None, _arrived(brought.get(pk))),
            _first(stays[pk].left_at if pk in stays else None, _arrived(replaced.get(pk))),
            brought.get(pk),
            pk == here,
        )
        for pk, version in versions.items()
        if version.image_id == stage.image_id
    ]
    # Both times are of one source at least: what has neither was replaced before times were kept.
    found.sort(key=lambda past: _rank(past), reverse=True)
    return found[:limit]


def _rank(past: PastVersion) -> tuple[bool, float, int]:
    at = past.since or past.until
    return past.is_here, at.timestamp() if at else 0.0, past.version.pk


def _first(*moments: datetime | None) -> datetime | None:
    return next((moment for moment in moments if moment is not None), None)


def _arrived(promotion: Promotion | None) -> datetime | None:
    return (promotion.written_at or promotion.finished_at) if promotion else None


def _brought(stage: Stage, limit: int | None) -> dict[int, Promotion]:
    """The last successful promotion of each version."""
    done = stage.promotions.filter(status=PromotionStatus.SUCCEEDED)
    newest = done.select_related("version__image").defer(*_LARGE).order_by("version_id", "-id")
    found = {promotion.version_id: promotion for promotion in newest.distinct("version_id")}
    return dict(sorted(found.items(), key=lambda item: -item[1].pk)[:limit])


def _replaced(stage: Stage, limit: int | None) -> dict[int, Promotion]:
    """The last promotion that took each version's place."""
    landed = stage.promotions.exclude(target_commit="").exclude(from_version=None)
    newest = landed.select_related("from_version__image").defer(*_LARGE).order_by("from_version_id", "-id")
    found = {promotion.from_version_id: promotion for promotion in newest.distinct("from_version_id")}
    kept = sorted(found.items(), key=lambda item: -item[1].pk)[:limit]
    return {pk: promotion for pk, promotion in kept if pk is not None}


def reverting(stage: Stage, version: ImageVersion, change: Change | None) -> Reverting:
    """Return what a roll-back to `version` takes back, and who else touched the files it edits."""
    brought = stage.promotions.filter(version=version, status=PromotionStatus.SUCCEEDED).first()
    landed = stage.promotions.exclude(target_commit="").exclude(version=version)
    undone = list(
        landed.filter(pk__gt=brought.pk if brought else 0)
        .select_related("version__image", "stage__application", "stage__environment")
        .defer(*_LARGE)
    )
    at = _arrived(undone[-1]) if undone else None
    touched = tuple(_touching(stage, at, change)) if at is not None and change is not None else ()
    return Reverting(at, tuple(undone), touched)


def _touching(stage: Stage, since: datetime, change: Change) -> Iterable[Touched]:
    """Read it from the stored changes: the branch need not be asked."""
    places = {(edit.file, edit.key) for edit in change.edits}
    files = {file for file, _key in places}
    if not files:
        return
    same_file = Q()
    for file in files:
        same_file |= Q(edits__contains=[{"file": file}])
    later = (
        Promotion.objects.filter(
            same_file,
            written_at__gte=since,
            stage__manifest_connection=stage.manifest_connection_id,
            stage__manifest_project=stage.manifest_project,
            stage__manifest_branch=stage.manifest_branch,
        )
        .exclude(stage=stage)
        .for_pages()
        .defer("diff", "previous_diff", "rendered_diff")
    )
    for promotion in later:
        edited = {(str(edit["file"]), str(edit["key"])) for edit in promotion.edits}
        shared = sorted({file for file, _key in edited} & files)
        yield Touched(promotion, tuple(shared), bool(edited & places))


def ran_here(stage: Stage, version: ImageVersion) -> bool:
    """Tell whether the Stage ever ran the version, as far as anybody saw."""
    return any(past.version.pk == version.pk for past in history(stage))


def request(
    stage: Stage,
    version: ImageVersion,
    *,
    by: User,
    reason: str,
    seen_hash: str | None = None,
    glass: Glass | None = None,
) -> Promotion:
    """Ask for a version that this Stage ran before: a promotion with its own diff and approval.

    Raises Refused and StaleState as `operations.request_promotion` does.
    """
    if not ran_here(stage, version):
        sentence = _("%(stage)s never ran %(version)s, so it can't be rolled back to it.")
        words = {"stage": stage, "version": version.label}
        raise Refused([Refusal("rollback", sentence % words, _("a developer, by promoting it"))])
    return operations.request_promotion(
        stage,
        version,
        by=by,
        reason=reason,
        seen_hash=seen_hash,
        rollback_of=taken_back(stage, version),
        kind=PromotionKind.ROLLBACK,
        glass=glass,
    )


def taken_back(stage: Stage, version: ImageVersion) -> Promotion | None:
    """Return the promotion that a roll-back to `version` takes back first: the last one that landed."""
    last = stage.promotions.exclude(target_commit="").first()
    return last if last is not None and last.version_id != version.pk else None
