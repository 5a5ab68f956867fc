"""One application, and what could be promoted in it."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render

from promotions import comparisons
from promotions.models import Application, ImageVersion
from promotions.observers import history
from promotions.present import actions, promotions, runs
from promotions.present import application as present
from promotions.present.actions import Candidates
from promotions.present.matrix import stages, state_of
from promotions.present.rollbacks import past_rows
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.rendering import page


@requires(Permission.SEE_APPLICATION)
def application(request: PageRequest, application: Application) -> HttpResponse:
    found = list(stages().filter(application=application).select_related("argocd_connection"))
    by_stage = actions.candidates(application, request.user)
    for stage in found:
        state = state_of(stage)
        _have_read(application, state.running_version if state else None, [by_stage[stage.pk]])
        history.want(stage, state)
    key = str(application.pk)
    context = {
        "application": application,
        "stages": [(card, by_stage[card.stage_id]) for card in present.cards(found)],
        "versions": present.versions(key),
        "promotions": promotions.recent(key),
        "runs": runs.recent(key),
    }
    wants = " ".join(f"stage:{stage.pk}" for stage in found)
    return page(
        request, "application.html", context, wants=f"{wants} versions:{key} promotions:{key} runs:{key}"
    )


@requires(Permission.SEE_APPLICATION)
def candidates(request: PageRequest, application: Application, environment: str) -> HttpResponse:
    """The part of a stage's card that depends on who looks."""
    stage = get_object_or_404(stages(), application=application, environment__slug=environment)
    found = actions.of_stage(stage, request.user)
    state = state_of(stage)
    _have_read(application, state.running_version if state else None, [found])
    return render(request, "parts/candidates.html", {"candidates": found})


@requires(Permission.SEE_APPLICATION)
def stage_history(request: PageRequest, application: Application, environment: str) -> HttpResponse:
    """Every version that the Stage ran, each with a way back to it."""
    stage = get_object_or_404(stages(), application=application, environment__slug=environment)
    return page(request, "stage_history.html", {"stage": stage, "past": past_rows(stage)})


def _have_read(application: Application, running: ImageVersion | None, found: Iterable[Candidates]) -> None:
    """Have what each candidate brings read in the background, where it is not known yet."""
    for candidate in (row for each in found for row in each.rows):
        if running is not None and candidate.contents.state == "being-read":
            comparisons.want(application, running.commit, candidate.version.commit)
