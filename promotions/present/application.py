"""One application: its stages with the three answers, and the versions of its images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _

from promotions.models import Application, ImageVersion, Promotion, Stage, StageState, VersionBlock
from promotions.present import answers
from promotions.present.automation import AutomationNote, automation_notes
from promotions.present.commits import CommitIndex, CommitNote, commit_index, commit_note
from promotions.present.governance import Governance, block_sentence, blocks_by_version
from promotions.present.history import ManifestCommit, manifest_commits
from promotions.present.links import safe_url
from promotions.present.marks import Mark, health_mark, run_mark, sync_mark
from promotions.present.matrix import UnderWay, open_promotions, stages, state_of, under_way
from promotions.present.rollbacks import PastRow, history_url, past_rows

_NEWEST_VERSIONS = 50
_NEWEST_PAST = 6


@dataclass(frozen=True, slots=True)
class Answer:
    """What one source says. `at` is when we read it there, or when it was promoted."""

    source: str
    reference: answers.Reference
    commit: CommitNote | None
    detail: str
    url: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class StageCard:
    """Everything about one Stage that does not depend on who looks."""

    stage_id: int
    slug: str
    name: str
    risk: str
    is_promotable: bool
    answers: tuple[Answer, ...]
    sync: Mark | None
    health: Mark | None
    health_since: datetime | None
    disagreements: tuple[str, ...]
    problem: str
    under_way: UnderWay | None
    history: tuple[ManifestCommit, ...]
    notes: tuple[str, ...]
    lock_query: str
    automation: AutomationNote | None
    past: tuple[PastRow, ...] = ()
    history_url: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a version is: `says` tells by which of the three answers."""

    environment: str
    is_running: bool
    says: str


@dataclass(frozen=True, slots=True)
class PromoteLink:
    environment: str
    url: str


@dataclass(frozen=True, slots=True)
class VersionRow:
    version: ImageVersion
    commit: CommitNote | None
    run_name: str
    run_url: str
    run_mark: Mark | None
    places: tuple[Place, ...]
    promote: tuple[PromoteLink, ...]
    blocked: str


@dataclass(frozen=True, slots=True)
class Versions:
    application_id: int
    rows: tuple[VersionRow, ...]
    has_many_images: bool
    total: int


def stage_card(key: str) -> StageCard | None:
    """Return the card of the Stage with this id, None when it is gone."""
    found = list(stages().filter(pk=key))
    return cards(found)[0] if found else None


def cards(found: list[Stage]) -> list[StageCard]:
    open_ones = open_promotions(found)
    index = commit_index(sha for stage in found for sha in _commits(state_of(stage)))
    histories, marks = manifest_commits(found), Governance.of(found)
    notes = automation_notes(found)
    return [
        _card(stage, open_ones.get(stage.pk), index, histories.get(stage.pk, ()), marks, notes.get(stage.pk))
        for stage in found
    ]


def _commits(state: StageState | None) -> Iterable[str]:
    if state is None:
        return []
    promoted = state.promoted.version if state.promoted else None
    known = (state.desired_version, state.running_version, promoted)
    return [version.commit for version in known if version]


def _card(
    stage: Stage,
    promotion: Promotion | None,
    index: CommitIndex,
    history: tuple[ManifestCommit, ...],
    marks: Governance,
    automation: AutomationNote | None,
) -> StageCard:
    state = state_of(stage) or StageState(stage=stage)
    return StageCard(
        stage_id=stage.pk,
        slug=stage.environment.slug,
        name=stage.environment.name,
        risk=stage.environment.get_risk_display(),
        is_promotable=stage.promotable,
        answers=(
            _running(stage, state, index),
            _desired(stage, state, index),
            _promoted(state, index, stage),
        ),
        sync=sync_mark(state.sync_status),
        health=health_mark(state.health_status),
        health_since=state.health_since,
        disagreements=answers.disagreements(state, promotion),
        problem=state.running_problem,
        under_way=under_way(promotion),
        history=history,
        notes=marks.notes(stage),
        lock_query=f"application={stage.application.slug}&environment={stage.environment.slug}",
        automation=automation,
        past=past_rows(stage, limit=_NEWEST_PAST),
        history_url=history_url(stage),
    )


def _desired(stage: Stage, state: StageState, index: CommitIndex) -> Answer:
    version = state.desired_version
    detail = f"{stage.manifest_project}@{stage.manifest_branch}"
    if state.desired_commit:
        detail = f"{detail} {state.desired_commit[:8]}"
    return Answer(
        _("Git asks for"),
        answers.desired(state),
        commit_note(stage.application, version.commit, index) if version else None,
        detail,
        "",
        state.desired_seen_at,
    )


def _running(stage: Stage, state: StageState, index: CommitIndex) -> Answer:
    version = state.running_version
    return Answer(
        _("Running"),
        answers.running(state),
        commit_note(stage.application, version.commit, index) if version else None,
        stage.argocd_application,
        _argocd_link(stage),
        state.running_seen_at,
    )


def _argocd_link(stage: Stage) -> str:
    connection = stage.argocd_connection
    if connection is None or not connection.web_url or not stage.argocd_application:
        return ""
    return safe_url(f"{connection.web_url.rstrip('/')}/applications/{stage.argocd_application}")


def _promoted(state: StageState, index: CommitIndex, stage: Stage) -> Answer:
    promotion = state.promoted
    if promotion is None:
        return Answer(_("Last promoted"), answers.promoted(state), None, "", "", None)
    return Answer(
        _("Last promoted"),
        answers.promoted(state),
        commit_note(stage.application, promotion.version.commit, index),
        _("promotion #%(number)d") % {"number": promotion.pk},
        promotion.get_absolute_url(),
        promotion.finished_at,
    )


def versions(key: str) -> Versions | None:
    """Return the newest versions of the application with this id, None when it is gone."""
    application = Application.objects.filter(pk=key).first()
    if application is None:
        return None
    every = ImageVersion.objects.filter(image__application=application)
    newest = list(every.select_related("image", "built_by")[:_NEWEST_VERSIONS])
    found = list(stages().filter(application=application))
    index = commit_index(version.commit for version in newest)
    blocks = blocks_by_version(version.pk for version in newest)
    return Versions(
        application.pk,
        tuple(_version_row(application, version, found, index, blocks.get(version.pk)) for version in newest),
        len({version.image_id for version in newest}) > 1,
        every.count(),
    )


def _version_row(
    application: Application,
    version: ImageVersion,
    found: list[Stage],
    index: CommitIndex,
    block: VersionBlock | None,
) -> VersionRow:
    run = version.built_by
    return VersionRow(
        version,
        commit_note(application, version.commit, index),
        run.name if run else "",
        run.get_absolute_url() if run else "",
        run_mark(run.status) if run else None,
        tuple(place for stage in found if (place := _place(stage, version))),
        tuple(link for stage in found if (link := _promote_link(application, stage, version))),
        block_sentence(version.label, block) if block else "",
    )


def _place(stage: Stage, version: ImageVersion) -> Place | None:
    state = state_of(stage)
    if state is None:
        return None
    says = {
        _("running"): state.running_version_id,
        _("in Git"): state.desired_version_id,
        _("promoted"): state.promoted.version_id if state.promoted else None,
    }
    words = [word for word, pk in says.items() if pk == version.pk]
    if not words:
        return None
    return Place(stage.environment.name, state.running_version_id == version.pk, ", ".join(words))


def _promote_link(application: Application, stage: Stage, version: ImageVersion) -> PromoteLink | None:
    """Where there is something to promote; whether this visitor may is told by the page it leads to."""
    state = state_of(stage)
    there = state is not None and state.running_version_id == state.desired_version_id == version.pk
    if not stage.promotable or stage.image_id != version.image_id or there:
        return None
    url = reverse("promote", args=[application.slug, stage.environment.slug, version.pk])
    return PromoteLink(stage.environment.name, url)
