"""The manifest branches: what Git asks for. Polled, and looked at when a webhook says so."""

from __future__ import annotations

import threading

import structlog
from django.db import connection, transaction
from django.utils import timezone

from integrations.errors import IntegrationError
from promotions import changes, engine, operations
from promotions.choices import PromotionStatus
from promotions.manifests import ManifestError
from promotions.models import BranchTip, Connection, Stage, StageState
from promotions.observers import history
from promotions.observers.freshness import Freshness, database_work
from promotions.versions import find_version
from promotions.workflow import announce_stage

log = structlog.get_logger(__name__)
LOOK_EVERY = 30.0
_LOOK_LOCKS = 7_305_003


def observe(freshness: Freshness, stop: threading.Event) -> None:
    """Look at every manifest branch of a GitLab connection, again and again."""
    while not stop.is_set():
        with database_work():
            look_at_all(freshness.upstream.connection, freshness)
        stop.wait(LOOK_EVERY)


def look_at_all(gitlab: Connection, freshness: Freshness | None = None) -> None:
    branches = (
        Stage.objects.filter(manifest_connection=gitlab)
        .order_by("manifest_project", "manifest_branch")
        .values_list("manifest_project", "manifest_branch")
        .distinct()
    )
    for project, branch in branches:
        try:
            look_at_branch(gitlab.pk, project, branch)
        except IntegrationError as error:
            if freshness is not None:
                freshness.troubled(error)
            return
    if freshness is not None:
        freshness.seen()


def look_at_branch(connection_id: int, project: str, branch: str) -> None:
    """Read the branch's tip, and at a new one what each Stage's manifests ask for.

    Two looks at once could write the older answer last, so they take turns.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            name = f"{connection_id}:{project}:{branch}"
            cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOOK_LOCKS, name])
        stages = list(_stages(connection_id, project, branch))
        if not stages:
            return
        commit = changes.tip(stages[0])
        moved = _remember_tip(stages[0], commit)
        for stage in stages:
            if moved or _is_unread(stage, commit):
                _read(stage, commit)
    for stage in stages:
        if moved:
            _tell_promotions(stage)


def _stages(connection_id: int, project: str, branch: str) -> list[Stage]:
    return list(
        Stage.objects.filter(
            manifest_connection_id=connection_id, manifest_project=project, manifest_branch=branch
        ).select_related("application", "environment", "image", "manifest_connection")
    )


def _remember_tip(stage: Stage, commit: str) -> bool:
    known, is_new = BranchTip.objects.get_or_create(
        connection=stage.manifest_connection,
        project=stage.manifest_project,
        branch=stage.manifest_branch,
        defaults={"commit": commit, "changed_at": timezone.now()},
    )
    if known.commit == commit:
        return is_new
    known.commit, known.changed_at = commit, timezone.now()
    known.save()
    return True


def _is_unread(stage: Stage, commit: str) -> bool:
    state = StageState.objects.filter(stage=stage).first()
    return state is None or state.desired_commit != commit or state.desired_version_id is None


def _read(stage: Stage, commit: str) -> None:
    state, _new = StageState.objects.get_or_create(stage=stage)
    before = _shown(state)
    try:
        desired = changes.read_desired(stage, commit)
    except ManifestError as error:
        state.desired_problem = str(error)
    else:
        state.desired_tag, state.desired_digest = desired.tag, desired.digest
        state.desired_problem = desired.problem
        state.desired_places = [
            {"file": r.file, "key": r.key_path, "value": r.value, "line": r.line}
            for r in desired.references
            if not r.absent
        ]
        state.desired_version = find_version(stage.image, tag=desired.tag, digest=desired.digest)
    state.desired_commit, state.desired_seen_at = commit, timezone.now()
    state.save_desired()
    if _shown(state) != before:
        announce_stage(stage)
    # Not at the first look: a new catalogue of hundreds of Stages would ask for everything at once.
    if before[0:2] != ("", "") and before[0:2] != _shown(state)[0:2]:
        history.want(stage, state)


def _shown(state: StageState) -> tuple[object, ...]:
    return (
        state.desired_tag,
        state.desired_digest,
        state.desired_version_id,
        state.desired_commit,
        state.desired_problem,
    )


def _tell_promotions(stage: Stage) -> None:
    """A moved tip may change a waiting promotion's change, and is what a running one waits for."""
    for promotion in stage.promotions.open():
        if promotion.status == PromotionStatus.REQUESTED:
            if problem := operations.refresh_change(promotion):
                log.warning("a waiting change can't be computed", promotion=promotion.pk, problem=problem)
        else:
            engine.wake(promotion)
