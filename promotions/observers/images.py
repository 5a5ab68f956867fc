"""The registry: which builds exist. Looked at every few minutes, and when a webhook says so."""

from __future__ import annotations

import threading
from datetime import timedelta

import structlog
from django.utils import timezone

from integrations.errors import IntegrationError, NotFound
from integrations.images import parse_image
from promotions import residences, vendors
from promotions.models import Connection, Image, ImageVersion, Stage, StageState
from promotions.observers.freshness import Freshness, database_work
from promotions.observers.pipelines import name_builds
from promotions.versions import find_version, mark_missing, record_version, shas_in
from promotions.workflow import announce_stage

log = structlog.get_logger(__name__)
LOOK_EVERY = 150.0
# Only builds people may still promote are asked for again one by one.
_YOUNG = timedelta(days=90)
_MOST_CHECKS = 20
_MOST_COMMITS_ASKED = 5


def observe(freshness: Freshness, stop: threading.Event) -> None:
    """Look at every image of a registry connection, again and again."""
    while not stop.is_set():
        with database_work():
            look_at_all(freshness.upstream.connection, freshness)
        stop.wait(LOOK_EVERY)


def look_at_all(registry: Connection, freshness: Freshness | None = None) -> None:
    for image in Image.objects.filter(connection=registry):
        try:
            look_at_image(image)
        except NotFound:
            continue  # nothing was pushed there yet
        except IntegrationError as error:
            if freshness is not None:
                freshness.troubled(error)
            return
    if freshness is not None:
        freshness.seen()


def look_at_image(image: Image) -> None:
    """Record what the registry has of an image; raises IntegrationError."""
    client = vendors.registry(image.connection)
    repository = parse_image(image.repository).repository
    listed, nameless = set(), []
    for info in client.list_images(repository):
        listed.add(info.digest)
        if info.tags:
            version = record_version(
                image,
                info.digest,
                tags=info.tags,
                commit=info.revision or "",
                created_at=info.pushed_at or info.created_at,
            )
            if not version.commit:
                nameless.append(version)
    unlisted = (
        ImageVersion.objects.filter(image=image, missing_since=None, created_at__gt=timezone.now() - _YOUNG)
        .exclude(digest__in=listed)
        .select_related("image")[:_MOST_CHECKS]
    )
    for version in unlisted:
        if not client.exists(repository, version.digest):
            mark_missing(version)
    learn_commits(nameless)
    name_builds(image.application)
    name_stages(image)


def learn_commits(versions: list[ImageVersion]) -> None:
    """Ask GitLab which commit the tags of builds without a label name, newest builds first.

    CI that runs plain `docker build` writes no label: the commit is in the tag alone, as `<branch>-<short
    sha>` or as the full hash. What GitLab does not know stays unknown; it is asked for a few builds a look.
    """
    for version in sorted(versions, key=lambda each: each.created_at, reverse=True)[:_MOST_COMMITS_ASKED]:
        application = version.image.application
        for sha in shas_in(version.tags):
            try:
                commit = vendors.gitlab(application.source_connection).commit(application.source_project, sha)
            except NotFound:
                continue
            except IntegrationError as error:
                log.info("the commit of a tag can't be asked for", version=version.pk, error=str(error))
                return
            # GitLab takes branch and tag names here as well: only a hash that begins so was meant.
            if commit.id.startswith(sha):
                record_version(version.image, version.digest, tags=version.tags, commit=commit.id)
                break


def name_stages(image: Image) -> None:
    """Connect what Git and the cluster name to versions that were not known when it was read."""
    for state in StageState.objects.filter(stage__image=image).select_related("stage__image"):
        stage: Stage = state.stage
        desired = find_version(stage.image, tag=state.desired_tag, digest=state.desired_digest)
        running = find_version(stage.image, tag=state.running_tag, digest=state.running_digest)
        desired, running = desired or state.desired_version, running or state.running_version
        if (desired, running) == (state.desired_version, state.running_version):
            continue
        state.desired_version, state.running_version = desired, running
        state.save(update_fields=["desired_version", "running_version"])
        residences.note(state)
        announce_stage(stage)
