"""The matrix: applications x environments, each cell what runs there and every disagreement about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from promotions.choices import StepName
from promotions.models import Application, Environment, Promotion, Stage, StageState
from promotions.present import answers
from promotions.present.commits import CommitIndex, CommitNote, commit_index, commit_note
from promotions.present.governance import Governance
from promotions.present.marks import Mark, health_mark, promotion_mark, sync_mark


@dataclass(frozen=True, slots=True)
class UnderWay:
    """An open promotion to the Stage, in a few words. `since` is when its present wait or step began."""

    url: str
    version: str
    mark: Mark
    step: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Cell:
    """`built_at` is used for the age where the commit is not known."""

    stage_id: int
    url: str
    running: answers.Reference
    is_seen: bool
    commit: CommitNote | None
    built_at: datetime | None
    sync: Mark | None
    health: Mark | None
    disagreements: tuple[str, ...]
    under_way: UnderWay | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One application. `cells` are in the environments' order, None where it has no Stage."""

    name: str
    url: str
    description: str
    cells: tuple[tuple[Environment, Cell | None], ...]


def stages() -> QuerySet[Stage]:
    """Join what a cell and a stage card show."""
    return Stage.objects.select_related(
        "application",
        "environment",
        "image",
        "state__running_version",
        "state__desired_version",
        "state__promoted__version",
    )


def open_promotions(among: Iterable[Stage]) -> dict[int, Promotion]:
    """Return the open promotion of each Stage, by Stage id: the database allows one."""
    found = Promotion.objects.open().filter(stage__in=[stage.pk for stage in among])
    found = found.select_related("version__image").prefetch_related("steps")
    return {promotion.stage_id: promotion for promotion in found}


def state_of(stage: Stage) -> StageState | None:
    # A reverse one-to-one raises where there is no row; hasattr is how Django spells "is there one".
    return stage.state if hasattr(stage, "state") else None


def under_way(promotion: Promotion | None) -> UnderWay | None:
    if promotion is None:
        return None
    step = str(StepName(promotion.step).label) if promotion.step else ""
    mark = promotion_mark(promotion.status)
    return UnderWay(promotion.get_absolute_url(), promotion.version.label, mark, step, promotion.waits_since)


def rows(applications: Iterable[Application]) -> list[Row]:
    """Return the rows of these applications with a fixed number of queries."""
    kept = list(applications)
    environments = list(Environment.objects.all())
    found = list(stages().filter(application__in=[application.pk for application in kept]))
    cells = {(stage.application_id, stage.environment_id): stage for stage in found}
    index = commit_index(_running_commits(found))
    open_ones = open_promotions(found)
    marks = Governance.of(found)
    result = []
    for application in kept:
        of_row = [(environment, cells.get((application.pk, environment.pk))) for environment in environments]
        row_cells = tuple(
            (environment, _cell(stage, open_ones.get(stage.pk), index, marks) if stage else None)
            for environment, stage in of_row
        )
        result.append(
            Row(application.name, application.get_absolute_url(), application.description, row_cells)
        )
    return result


def _running_commits(found: Iterable[Stage]) -> list[str]:
    states = [state_of(stage) for stage in found]
    return [state.running_version.commit for state in states if state and state.running_version]


def cell(key: str) -> Cell | None:
    """Return the cell of the Stage with this id, None when it is gone."""
    stage = stages().filter(pk=key).first()
    if stage is None:
        return None
    index = commit_index(_running_commits([stage]))
    return _cell(stage, open_promotions([stage]).get(stage.pk), index, Governance.of([stage]))


def _cell(stage: Stage, promotion: Promotion | None, index: CommitIndex, marks: Governance) -> Cell:
    state = state_of(stage)
    if state is None:
        nothing = answers.Reference("", "", "", None)
        return Cell(
            stage.pk,
            stage.get_absolute_url(),
            nothing,
            False,
            None,
            None,
            None,
            None,
            (),
            under_way(promotion),
            marks.notes(stage),
        )
    version = state.running_version
    return Cell(
        stage_id=stage.pk,
        url=stage.get_absolute_url(),
        running=answers.running(state),
        is_seen=state.running_seen_at is not None or state.desired_seen_at is not None,
        commit=commit_note(stage.application, version.commit, index) if version else None,
        built_at=version.created_at if version else None,
        sync=sync_mark(state.sync_status),
        health=health_mark(state.health_status),
        disagreements=_all_disagreements(state, promotion),
        under_way=under_way(promotion),
        notes=marks.notes(stage),
    )


def _all_disagreements(state: StageState, promotion: Promotion | None) -> tuple[str, ...]:
    found = answers.disagreements(state, promotion)
    if state.running_problem:
        return (*found, _("Argo CD: %(words)s") % {"words": state.running_problem})
    return found
