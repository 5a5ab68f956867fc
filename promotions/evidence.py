"""Look afresh at what gates decide by: the image and its scan, the commit's pipeline, GitLab's freezes.

What is seen goes into the tables; the gates then speak. Reads only: nothing outside is changed.
"""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from integrations.errors import IntegrationError, NotFound, Rejected, Unauthorized
from integrations.gitlab import GitLabClient
from integrations.images import parse_image
from integrations.registry import RegistryClient
from promotions import vendors
from promotions.choices import EditStyle, Vendor
from promotions.live import announce
from promotions.models import Connection, FreezePeriod, ImageVersion, Stage
from promotions.policy.rules import Rules
from promotions.versions import mark_missing, record_version

log = structlog.get_logger(__name__)
FRESH_FOR = timedelta(seconds=60)
_PINNING_TAGS = (EditStyle.TAG, EditStyle.APP_VERSION)


def before_writing(stage: Stage, version: ImageVersion) -> None:
    """Look at everything once more, just before a promotion's first outside effect.

    Raises IntegrationError: what can't be looked at now must not be taken for granted.
    """
    look_at_image(stage, version)
    look_at_build(stage, version)
    if Rules.of(stage.environment.policy).gitlab_freezes:
        for connection, project in freeze_sources(stage):
            read_freezes(connection, project)
    version.refresh_from_db()


def look_at_image(stage: Stage, version: ImageVersion) -> None:
    """See whether the registry has the digest, and whether the tag still stands on it."""
    client = vendors.registry(version.image.connection)
    repository = parse_image(version.image.repository).repository
    if not client.exists(repository, version.digest):
        mark_missing(version)
        version.refresh_from_db()
        return
    tag_counts = stage.edit_style in _PINNING_TAGS and version.tag not in ("", "latest")
    if tag_counts:
        _look_at_tag(client, repository, version)


def _look_at_tag(client: RegistryClient, repository: str, version: ImageVersion) -> None:
    try:
        digest = client.resolve(repository, version.tag)
    except NotFound:
        version.tags = [tag for tag in version.tags if tag != version.tag]
        version.save(update_fields=["tags"])
        return
    # Whatever it stands on now: this takes it off every other version.
    record_version(version.image, digest, tags=[version.tag])


def look_at_build(stage: Stage, version: ImageVersion) -> bool:
    """Read the scan and the commit's pipeline where the Environment asks for them; tell what changed."""
    rules = Rules.of(stage.environment.policy)
    if not rules.worst_finding and not rules.pipeline_green:
        return False
    before = (version.scan_status, version.scan_severity, version.pipeline_status)
    if rules.worst_finding:
        _look_at_scan(version)
    if rules.pipeline_green:
        _look_at_pipeline(stage, version)
    version.evidence_at = timezone.now()
    names = ["scan_status", "scan_severity", "pipeline_status", "pipeline_url", "evidence_at"]
    version.save(update_fields=names)
    changed = before != (version.scan_status, version.scan_severity, version.pipeline_status)
    if changed:
        announce("versions", stage.application_id, application_id=stage.application_id)
    return changed


def look_at_build_quietly(stage: Stage, version: ImageVersion) -> bool:
    """The same for pages: not more often than once a minute, and an outage leaves what is known."""
    if version.evidence_at is not None and timezone.now() - version.evidence_at < FRESH_FOR:
        return False
    try:
        return look_at_build(stage, version)
    except IntegrationError as error:
        log.info("evidence can't be read", version=str(version), error=str(error))
        return False


def _look_at_scan(version: ImageVersion) -> None:
    connection = version.image.connection
    if connection.vendor != Vendor.HARBOR:
        return
    repository = parse_image(version.image.repository).repository
    try:
        report = vendors.registry(connection).scan(repository, version.digest)
    except NotFound:
        report = None
    version.scan_status = report.status if report else ""
    version.scan_severity = report.severity if report else ""


def _look_at_pipeline(stage: Stage, version: ImageVersion) -> None:
    if not version.commit:
        return
    application = stage.application
    if application.source_connection.vendor != Vendor.GITLAB:
        return
    client = vendors.gitlab(application.source_connection)
    try:
        version.pipeline_status, version.pipeline_url = _pipeline(
            client, application.source_project, version.commit
        )
    except NotFound:
        version.pipeline_status, version.pipeline_url = "", ""


def _pipeline(client: GitLabClient, project: str, sha: str) -> tuple[str, str]:
    """The newest pipeline speaks; a status that another system posted and that failed outweighs it."""
    pipelines = client.pipelines(project, sha)
    statuses = client.commit_statuses(project, sha)
    failed = next((status for status in statuses if status.status in ("failed", "canceled")), None)
    if pipelines and (pipelines[0].status != "success" or failed is None):
        return pipelines[0].status, pipelines[0].web_url
    if failed is not None:
        return failed.status, failed.target_url
    going = next((status for status in statuses if status.status != "success"), None)
    if going is not None:
        return going.status, going.target_url
    return ("success", statuses[0].target_url) if statuses else ("", "")


def freeze_sources(stage: Stage) -> list[tuple[Connection, str]]:
    """Return the GitLab projects whose freeze periods speak of a Stage."""
    application = stage.application
    sources = [
        (application.source_connection, application.source_project),
        (stage.manifest_connection, stage.manifest_project),
    ]
    # Only GitLab has freeze periods; plain Git can't be asked.
    return [pair for pair in dict.fromkeys(sources) if pair[0].vendor == Vendor.GITLAB]


def read_freezes(connection: Connection, project: str) -> None:
    """Keep a project's freeze periods as they are now. Where we may not read them, what is known stays.

    Raises Unavailable.
    """
    try:
        found = vendors.gitlab(connection).freeze_periods(project)
    except (NotFound, Unauthorized, Rejected) as error:
        log.info("freeze periods can't be read", project=project, error=str(error))
        return
    with transaction.atomic():
        known = FreezePeriod.objects.filter(connection=connection, project=project)
        known.exclude(number__in=[period.id for period in found]).delete()
        for period in found:
            FreezePeriod.objects.update_or_create(
                connection=connection,
                project=project,
                number=period.id,
                defaults={
                    "starts": period.start,
                    "ends": period.end,
                    "time_zone": period.timezone,
                    "seen_at": timezone.now(),
                },
            )


def read_all_freezes() -> None:
    """Read the freeze periods of every project that a guarded Stage depends on."""
    stages = Stage.objects.select_related(
        "environment", "application__source_connection", "manifest_connection"
    )
    guarded = [stage for stage in stages if Rules.of(stage.environment.policy).gitlab_freezes]
    for connection, project in dict.fromkeys(pair for stage in guarded for pair in freeze_sources(stage)):
        try:
            read_freezes(connection, project)
        except IntegrationError as error:
            log.info("freeze periods can't be read now", project=project, error=str(error))
