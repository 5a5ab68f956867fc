"""What lies between two commits of a source project: the commits and merge requests of a candidate."""

from __future__ import annotations

import structlog

from integrations.errors import IntegrationError, NotFound
from integrations.gitlab import GitLabClient
from integrations.gitlab.types import Commit as GitLabCommit
from promotions import looks, vendors
from promotions.live import announce, announce_all
from promotions.models import Application, Commit, Comparison, Promotion

log = structlog.get_logger(__name__)
_MOST_ASKED_FOR_MERGE_REQUESTS = 30


def want(application: Application, base: str, head: str) -> Comparison | None:
    """Return a comparison, or have it read in the background and return None for now."""
    if not base or not head or base == head:
        return None
    known = Comparison.objects.filter(
        connection=application.source_connection, project=application.source_project, base=base, head=head
    ).first()
    # Rows of an older Slipway lack the addresses that tell who may not approve.
    if known is None or any("email" not in commit for commit in known.commits):
        name = f"compare:{base}:{head}"
        wanted: dict[str, int | str] = {"application_id": application.pk, "base": base, "head": head}
        looks.queue("promotions.compare", name, wanted)
    return known


def read(application: Application, base: str, head: str) -> Comparison | None:
    """Read it from GitLab and keep it; None when GitLab does not know one of the commits."""
    client = vendors.gitlab(application.source_connection)
    project = application.source_project
    try:
        commits = client.compare(project, base, head).commits
        # GitLab's comparison is empty when head is an ancestor: a roll-back undoes what lies between.
        backwards = not commits
        if backwards:
            commits = client.compare(project, head, base).commits
    except NotFound:
        return None
    row, _new = Comparison.objects.update_or_create(
        connection=application.source_connection,
        project=project,
        base=base,
        head=head,
        defaults={
            "commits": [_commit(commit) for commit in commits],
            "merge_requests": _merge_requests(client, project, commits),
            "backwards": backwards and bool(commits),
        },
    )
    shown = [("promotion", promotion) for promotion in application_promotions(application, base, head)]
    announce_all(("versions", application.pk), *shown, application_id=application.pk)
    return row


def application_promotions(application: Application, base: str, head: str) -> list[int]:
    """Return the promotions whose pages show this comparison."""
    return list(
        Promotion.objects.filter(
            stage__application=application, version__commit=head, from_version__commit=base
        ).values_list("pk", flat=True)
    )


def _commit(commit: GitLabCommit) -> dict[str, object]:
    return {
        "sha": commit.id,
        "title": commit.title,
        "author": commit.author_name,
        "email": commit.author_email,
        "at": commit.authored_at.isoformat() if commit.authored_at else None,
        "url": commit.web_url,
    }


def _merge_requests(
    client: GitLabClient, project: str, commits: tuple[GitLabCommit, ...]
) -> list[dict[str, object]]:
    found: dict[int, dict[str, object]] = {}
    for commit in commits[:_MOST_ASKED_FOR_MERGE_REQUESTS]:
        for request in client.commit_merge_requests(project, commit.id):
            found[request.iid] = {
                "iid": request.iid,
                "title": request.title,
                "author": request.author,
                "url": request.web_url,
            }
    return [found[iid] for iid in sorted(found)]


def remember_commit(application: Application, sha: str) -> Commit | None:
    """Return a source commit's title and author, read once and kept; None when GitLab can't tell now."""
    where = {"connection": application.source_connection, "project": application.source_project, "sha": sha}
    known = Commit.objects.filter(**where).first()
    if known is not None or not sha:
        return known
    try:
        commit = vendors.gitlab(application.source_connection).commit(application.source_project, sha)
    except IntegrationError as error:
        log.info("a commit can't be read", sha=sha, error=str(error))
        return None
    if commit.authored_at is None:
        return None
    row, _new = Commit.objects.get_or_create(
        **where,
        defaults={
            "title": commit.title,
            "author_name": commit.author_name,
            "authored_at": commit.authored_at,
            "web_url": commit.web_url,
        },
    )
    announce("versions", application.pk, application_id=application.pk)
    return row
