"""Have something read soon. A look that is queued already does for whoever wants the same one."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from django.db import transaction
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from promotions.models import Stage

log = structlog.get_logger(__name__)


def queue(task: str, name: str, arguments: Mapping[str, int | str], *, one_at_a_time: bool = False) -> None:
    """Queue a look unless one of its name waits already; inside a transaction with that one's commit.

    With `one_at_a_time` two of the same name never run side by side.
    """
    job = app.configure_task(task, queueing_lock=name, lock=name if one_at_a_time else None)
    try:
        # A savepoint: the queue answers a repeated wish with an error that would end the transaction.
        with transaction.atomic():
            job.defer(**arguments)
    except AlreadyEnqueued:
        log.debug("a look is queued already", task=task, name=name)


def branch_name(connection_id: int, project: str, branch: str) -> str:
    """Return what makes two looks at a manifest branch the same one."""
    return f"branch:{connection_id}:{project}:{branch}"


def at_branch(stage: Stage) -> None:
    """Have the Stage's manifest branch read: not every repository tells of pushes, and a poll takes time."""
    connection_id, project = stage.manifest_connection_id, stage.manifest_project
    queue(
        "promotions.look_at_branch",
        branch_name(connection_id, project, stage.manifest_branch),
        {"connection_id": connection_id, "project": project, "branch": stage.manifest_branch},
    )
