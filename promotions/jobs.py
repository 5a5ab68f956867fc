"""Background work. Each job says "look now" at something; the tables say what is due."""

from __future__ import annotations

import structlog
from channels.db import database_sync_to_async
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app
from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Status

from integrations.errors import Unavailable
from promotions import (
    automation,
    checking,
    comparisons,
    engine,
    evidence,
    live,
    notifications,
    retreat,
    scheduling,
)
from promotions.identity import throttle
from promotions.models import Application, AuditHead, Image
from promotions.observers import branches, history, images, pipelines
from promotions.telling import outages, sending, watching
from promotions.webhooks import processing

log = structlog.get_logger(__name__)
# Workers say every second that they live (settings.PROCRASTINATE_WORKER_DEFAULTS).
_SILENCE_OF_THE_DEAD = 5.0
_PATIENT = RetryStrategy(max_attempts=6, exponential_wait=2, retry_exceptions={Unavailable})


@app.task(name="promotions.advance")
def advance(promotion_id: int) -> None:
    """Look at one promotion."""
    try:
        engine.advance(promotion_id)
    except Exception as error:
        # The outermost loop: a defect of ours must not leave the promotion waiting for ever, unseen.
        log.exception("a promotion could not be advanced", promotion=promotion_id)
        engine.poison(promotion_id, error)


@app.task(name="promotions.process_deliveries", queueing_lock="deliveries")
def process_deliveries() -> None:
    """Act on the webhooks that wait."""
    processing.process_pending()


@app.task(name="promotions.notify", queueing_lock="notify")
def notify() -> None:
    """Find out whose approval is waited for, and send the messages that are due."""
    watching.tell_approvers()
    sending.send_due()


@app.task(name="promotions.look_at_branch", retry=_PATIENT)
def look_at_branch(connection_id: int, project: str, branch: str) -> None:
    """Read what a manifest branch says now."""
    branches.look_at_branch(connection_id, project, branch)


@app.task(name="promotions.look_at_image", retry=_PATIENT)
def look_at_image(image_id: int) -> None:
    """Read what a registry has of an image now."""
    images.look_at_image(Image.objects.select_related("connection").get(pk=image_id))


@app.task(name="promotions.compare", retry=_PATIENT)
def compare(application_id: int, base: str, head: str) -> None:
    """Read what lies between two source commits."""
    application = Application.objects.select_related("source_connection").get(pk=application_id)
    comparisons.read(application, base, head)


@app.task(name="promotions.look_at_pipeline", retry=_PATIENT)
def look_at_pipeline(connection_id: int, project: str, number: int) -> None:
    """Read how a GitLab pipeline of a source project stands."""
    pipelines.look_at_pipeline(connection_id, project, number)


@app.task(name="promotions.read_history", retry=_PATIENT)
def read_history(stage_id: int) -> None:
    """Read who changed a Stage's manifests last."""
    history.read(stage_id)


@app.task(name="promotions.look_at_stage")
def look_at_stage(stage_id: int) -> None:
    """See whether something newer may go to a Stage that promotes automatically."""
    try:
        automation.look_at(stage_id)
    except Exception as error:
        # The outermost loop: the other Stages must not wait for a defect at this one.
        log.exception("a stage could not be looked at", stage=stage_id)
        automation.poison(stage_id, error)


@app.periodic(cron="* * * * * */10")
@app.task(name="promotions.look_for_newer", queueing_lock="look-for-newer")
def look_for_newer(timestamp: int) -> None:
    """Have every Stage that promotes automatically looked at."""
    automation.sweep()


@app.periodic(cron="* * * * * */10")
@app.task(name="promotions.look_at_schedules", queueing_lock="schedules")
def look_at_schedules(timestamp: int) -> None:
    """End what nobody approved in time."""
    scheduling.look()


@app.periodic(cron="* * * * * */5")
@app.task(name="promotions.sweep", queueing_lock="sweep")
def sweep(timestamp: int) -> None:
    """Find whatever no job was left for: promotions that are due, deliveries that wait, nameless commits."""
    engine.sweep()
    processing.process_pending()
    if sending.is_due():
        # In a job of its own: a chat that takes its time must not keep the sweep waiting.
        notifications.wake()
    for version in processing.versions_without_commit_title():
        comparisons.remember_commit(version.image.application, version.commit)


@app.periodic(cron="* * * * * */10")
@app.task(name="promotions.look_at_waiting", queueing_lock="waiting")
def look_at_waiting(timestamp: int) -> None:
    """Ask what waiting promotions wait for: checks, scans, pipelines, who wrote the commits."""
    checking.look_at_waiting()


@app.periodic(cron="* * * * * */5")
@app.task(name="promotions.roll_back", queueing_lock="roll-back", lock="roll-back")
def roll_back(timestamp: int) -> None:
    """Roll back by itself what went bad, where the Environment says so."""
    for stage in retreat.stages():
        try:
            retreat.look_at(stage)
        except Exception:
            # The outermost loop: a defect at one Stage must not keep the others from their roll-back.
            log.exception("a stage could not be looked at", stage=str(stage))


@app.periodic(cron="* * * * * */15")
@app.task(name="promotions.look_for_news", queueing_lock="news")
def look_for_news(timestamp: int) -> None:
    """Tell what time makes worth telling: who must decide now, what is stuck, who is out of reach."""
    watching.tell_approvers()
    watching.tell_stuck()
    outages.look()


@app.periodic(cron="*/5 * * * *")
@app.task(name="promotions.read_freezes", queueing_lock="freezes")
def read_freezes(timestamp: int) -> None:
    """Read GitLab's freeze periods."""
    evidence.read_all_freezes()


@app.periodic(cron="*/10 * * * *")
@app.task(name="promotions.tidy", queueing_lock="tidy")
def tidy(timestamp: int) -> None:
    """Drop announcements no open page can still need, and what was told long ago."""
    live.forget_old()
    throttle.forget_old()
    sending.forget_old()
    head = AuditHead.objects.filter(pk=1).first()
    if head is not None:
        # An anchor outside of the database: `manage.py verify_audit --head` finds it in the chain again.
        log.info("audit head", number=head.number, hash=head.hash)


@app.periodic(cron="*/10 * * * *")
@app.task(name="promotions.remove_old_jobs", queueing_lock="remove-old-jobs", pass_context=True)
async def remove_old_jobs(context: object, timestamp: int) -> None:
    """Finished jobs tell nothing that the tables do not."""
    await app.job_manager.delete_old_jobs(nb_hours=1)


@app.periodic(cron="* * * * * */3")
@app.task(name="promotions.rescue", queueing_lock="rescue", pass_context=True)
async def rescue(context: object, timestamp: int) -> None:
    """Give the jobs of killed workers to living ones (measurements.md: this must be scheduled).

    Where the same look is queued again already, that one serves: jobs say "look now", no more.
    """
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=_SILENCE_OF_THE_DEAD):
        log.warning("a worker died with this job", job=job.id, task=job.task_name)
        if job.task_name == notify.name:
            await database_sync_to_async(sending.take_over)()
        try:
            await app.job_manager.retry_job(job)
        except UniqueViolation:
            # The same look was queued since: that one will do, and the dead one must give its lock back.
            await app.job_manager.finish_job(job, Status.FAILED, delete_job=True)
