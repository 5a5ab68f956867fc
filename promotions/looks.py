"""Have something read soon, because of what was just done or seen here; webhooks ask for the same looks."""

from __future__ import annotations

import structlog
from django.db import transaction
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from promotions.models import Stage

log = structlog.get_logger(__name__)


def branch_lock(connection_id: int, project: str, branch: str) -> str:
    """Return what makes two looks at a manifest branch the same while they are queued."""
    return f"branch:{connection_id}:{project}:{branch}"


def at_branch(stage: Stage) -> None:
    """Have the Stage's manifest branch read: not every repository tells of pushes, and the poll takes time.

    Inside a transaction it is queued with that transaction's commit.
    """
    connection_id, project, branch = (
        stage.manifest_connection_id,
        stage.manifest_project,
        stage.manifest_branch,
    )
    lock = branch_lock(connection_id, project, branch)
    job = app.configure_task("promotions.look_at_branch", queueing_lock=lock)
    try:
        # A savepoint: the refusal of a second equal job must not undo what was done before it.
        with transaction.atomic():
            job.defer(connection_id=connection_id, project=project, branch=branch)
    except AlreadyEnqueued:
        log.debug("a look is queued already", stage=str(stage))
