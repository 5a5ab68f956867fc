"""Argo CD's applications: what really runs. One stream per connection, plus a full list now and then."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import structlog
from django.db.models import QuerySet
from django.utils import timezone

from integrations.argocd import ArgoCDClient
from integrations.argocd.types import ApplicationSnapshot, StreamEvent
from integrations.errors import IntegrationError, Unauthorized
from integrations.images import ImageName, parse_image
from promotions import engine, looks, residences, vendors
from promotions.models import Connection, Promotion, Stage, StageState
from promotions.observers.freshness import Freshness, database_work
from promotions.steps.arrive import source_index
from promotions.versions import find_version
from promotions.workflow import announce_stage

log = structlog.get_logger(__name__)
# Argo CD drops events when its buffer is full, so the stream is never the whole truth (argocd-api.md 4).
RELIST_EVERY = 180.0
_LONGEST_PAUSE = 30.0
# The pods behind a tag that moves may change without a word in the snapshot: they are read this often.
TAKE_AGAIN_AFTER = 30.0


def observe(freshness: Freshness, stop: threading.Event) -> None:
    """Follow the stream; on any trouble list again after a growing pause."""
    failures = 0
    while not stop.is_set():
        try:
            with database_work():
                client = vendors.argocd(freshness.upstream.connection)
            _follow(client, freshness, stop)
            failures = 0
        except IntegrationError as error:
            failures += 1
            freshness.troubled(error)
            # Clients that came back at once after a 401 have flooded servers (known-pitfalls.md 10).
            longest = 300.0 if isinstance(error, Unauthorized) else _LONGEST_PAUSE
            stop.wait(min(longest, 0.5 * 2 ** min(failures, 10)) * random.uniform(0.5, 1))


class Taken:
    """What was last taken of each application: Argo CD sends all of it again at each of its own looks, though
    mostly nothing but the time of the look has changed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[tuple[str, str], tuple[ApplicationSnapshot, float]] = {}

    def is_news(self, snapshot: ApplicationSnapshot) -> bool:
        """Tell whether there is anything to take, and remember it as taken."""
        content = replace(snapshot, resource_version="", reconciled_at=None)
        name, now = (snapshot.project, snapshot.name), self._clock()
        before, taken_at = self._last.get(name, (None, 0.0))
        if content == before and now - taken_at < TAKE_AGAIN_AFTER:
            return False
        self._last[name] = content, now
        return True

    def forget(self, snapshot: ApplicationSnapshot) -> None:
        self._last.pop((snapshot.project, snapshot.name), None)


def _follow(client: ArgoCDClient, freshness: Freshness, stop: threading.Event) -> None:
    _look_at_all(client, freshness)
    taken, argocd = Taken(), freshness.upstream.connection
    listed_at = time.monotonic()
    for event in client.stream(stop=stop):
        if isinstance(event, StreamEvent):
            with database_work():
                _take_event(client, argocd, event, taken)
        freshness.seen()
        if time.monotonic() - listed_at > RELIST_EVERY:
            _look_at_all(client, freshness)
            listed_at = time.monotonic()


def _take_event(client: ArgoCDClient, argocd: Connection, event: StreamEvent, taken: Taken) -> None:
    if event.type == "DELETED":
        taken.forget(event.snapshot)
        _forget(argocd, event.snapshot)
    elif taken.is_news(event.snapshot):
        take(client, argocd, event.snapshot)
    else:
        # A promotion may wait for the look itself: only a comparison after its commit counts.
        _wake_promotions(argocd, event.snapshot)


def _wake_promotions(argocd: Connection, snapshot: ApplicationSnapshot) -> None:
    for promotion in Promotion.objects.open().filter(stage__in=_stages(argocd, snapshot)):
        engine.wake(promotion)


def _look_at_all(client: ArgoCDClient, freshness: Freshness) -> None:
    snapshots = client.applications()
    with database_work():
        for snapshot in snapshots:
            take(client, freshness.upstream.connection, snapshot)
    freshness.seen()


def _stages(argocd: Connection, snapshot: ApplicationSnapshot) -> QuerySet[Stage]:
    return Stage.objects.filter(
        argocd_connection=argocd,
        argocd_application=snapshot.name,
        argocd_project=snapshot.project,
    ).select_related("application", "environment", "image")


def take(client: ArgoCDClient, argocd: Connection, snapshot: ApplicationSnapshot) -> None:
    """Keep what one snapshot says about the Stages it belongs to."""
    for stage in _stages(argocd, snapshot):
        state, _new = StageState.objects.get_or_create(stage=stage)
        before, revision = _shown(state), state.revision
        _take_status(state, stage, snapshot)
        _take_images(client, state, stage, snapshot)
        state.running_seen_at = timezone.now()
        state.save_running()
        residences.note(state)
        if _shown(state) != before:
            announce_stage(stage)
        if state.revision not in (revision, state.desired_commit):
            # Argo CD knows of a commit that we do not.
            looks.at_branch(stage)
        for promotion in stage.promotions.open():
            engine.wake(promotion)


def _take_status(state: StageState, stage: Stage, snapshot: ApplicationSnapshot) -> None:
    index = source_index(stage, snapshot)
    state.sync_status, state.health_status = snapshot.sync_status, snapshot.health_status
    state.health_since = snapshot.health_since
    state.revision = snapshot.revisions[index] if index < len(snapshot.revisions) else ""
    state.operation_phase = snapshot.operation.phase if snapshot.operation else ""
    state.running_problem = _problem(snapshot)
    if snapshot.health_status != "Degraded":
        state.degraded_since = None
    elif state.degraded_since is None:
        state.degraded_since = snapshot.health_since or timezone.now()


def _problem(snapshot: ApplicationSnapshot) -> str:
    words = [
        f"{condition.type}: {condition.message}" for condition in snapshot.conditions if condition.blocks
    ]
    if snapshot.operation is not None and snapshot.operation.phase in ("Failed", "Error"):
        words.append(snapshot.operation.message)
    if snapshot.health_status == "Degraded" and snapshot.health_message:
        words.append(snapshot.health_message)
    return " ".join(dict.fromkeys(words))


def _take_images(
    client: ArgoCDClient, state: StageState, stage: Stage, snapshot: ApplicationSnapshot
) -> None:
    """The running image is the live one; old and new are both live during a rollout."""
    live = _live(stage, snapshot)
    if not live:
        return
    kept = (state.running_tag, state.running_digest)
    chosen = next((i for i in live if kept in ((i.tag, i.digest), (i.tag, state.running_digest))), live[0])
    if len(live) == 1:
        chosen = live[0]
    state.running_others = [str(image) for image in live if image != chosen]
    digest = chosen.digest or _digest_of_pods(client, stage, chosen)
    state.running_tag = chosen.tag
    state.running_digest = digest
    state.running_version = find_version(stage.image, tag=chosen.tag, digest=digest) or (
        find_version(stage.image, tag=chosen.tag) if not digest else None
    )


def _live(stage: Stage, snapshot: ApplicationSnapshot) -> list[ImageName]:
    wanted = parse_image(stage.image.repository).name
    found = []
    for text in snapshot.images:
        try:
            image = parse_image(text)
        except ValueError:
            log.warning("Argo CD reports something that is not an image", image=text, stage=str(stage))
            continue
        if image.name == wanted:
            found.append(image)
    return found


def _digest_of_pods(client: ArgoCDClient, stage: Stage, image: ImageName) -> str:
    """A tag that moves does not say which build runs: the pods do, in status.containerStatuses."""
    try:
        pods = client.pod_images(stage.argocd_application, project=stage.argocd_project)
    except IntegrationError as error:
        log.warning("the pods' images can't be read", stage=str(stage), error=str(error))
        return ""
    digests = {pod.digest for pod in pods if pod.digest and _same_image(pod.image, image)}
    return digests.pop() if len(digests) == 1 else ""


def _same_image(text: str, image: ImageName) -> bool:
    try:
        found = parse_image(text)
    except ValueError:
        return False
    return (found.name, found.tag) == (image.name, image.tag)


def _shown(state: StageState) -> tuple[object, ...]:
    return (
        state.sync_status,
        state.health_status,
        state.revision,
        state.operation_phase,
        state.running_tag,
        state.running_digest,
        state.running_version_id,
        tuple(state.running_others),
        state.running_problem,
    )


def _forget(argocd: Connection, snapshot: ApplicationSnapshot) -> None:
    for stage in _stages(argocd, snapshot):
        StageState.objects.filter(stage=stage).update(
            sync_status="", health_status="Missing", running_seen_at=timezone.now()
        )
        announce_stage(stage)
