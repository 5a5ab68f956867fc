"""Pinning a stage to a version, and lifting the pin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _

from promotions import pins
from promotions.forms import PinForm, ReasonForm
from promotions.models import Application, ImageVersion, Pin, Stage
from promotions.present.matrix import stages, state_of
from promotions.views.asking import ask_and_act, posted
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.rendering import CONFLICT, page, problem_context

_MOST_VERSIONS = 100


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def pin(request: PageRequest, application: Application, environment: str) -> HttpResponse:
    """Keep a stage at a version, or let automatic promotion go on; what was asked decides, not what is."""
    stage = get_object_or_404(stages(), application=application, environment__slug=environment)
    standing = pins.standing(stage)
    wants_unpin = request.POST.get("act") == "unpin" if request.method == "POST" else standing is not None
    form: forms.Form = _form(request, stage, wants_unpin)
    question = _unpinning(stage, standing) if wants_unpin else _pinning(stage)
    context = {**question, "form": form, "refusals": tuple(pins.may_pin(request.user, stage))}

    def ask(status: int, **problem: Any) -> HttpResponse:
        frame = {"action_url": request.path, "tone": "main", "back_url": stage.get_absolute_url()}
        return page(request, "confirm_act.html", {**frame, **context, **problem}, status=status)

    def act(said: dict[str, Any]) -> None:
        if wants_unpin:
            pins.unpin(stage, by=request.user, reason=said["reason"])
        else:
            pins.pin(stage, said["version"], by=request.user, reason=said["reason"])

    return ask_and_act(
        request,
        form,
        ask=ask,
        act=act,
        refuse=lambda problem: ask(CONFLICT, **problem_context(problem)),
        then=stage,
    )


def _form(request: PageRequest, stage: Stage, wants_unpin: bool) -> forms.Form:
    if wants_unpin:
        return ReasonForm(posted(request))
    state = state_of(stage)
    there = (state.desired_version or state.running_version) if state else None
    return PinForm(posted(request), versions=_versions(stage, there), initial={"version": there})


def _versions(stage: Stage, there: ImageVersion | None) -> QuerySet[ImageVersion]:
    """The newest ones, and what is there, however old."""
    every = ImageVersion.objects.filter(image=stage.image_id)
    newest = list(every.values_list("pk", flat=True)[:_MOST_VERSIONS])
    return every.filter(pk__in=[*newest, *([there.pk] if there else [])])


def _pinning(stage: Stage) -> dict[str, Any]:
    return {
        "question": _("Pin %(stage)s to a version?") % {"stage": stage},
        "note": _(
            "Nothing is promoted there automatically until the pin is lifted. A pin changes nothing itself,"
            " and people can still promote."
        ),
        "button": _("Pin it"),
        "act": "pin",
    }


def _unpinning(stage: Stage, standing: Pin | None) -> dict[str, Any]:
    words = {"person": standing.set_by_name, "reason": standing.reason} if standing else {}
    return {
        "question": _("Lift the pin of %(stage)s?") % {"stage": stage},
        "note": _(
            "The newest version that passes the gates is then promoted. Pinned by %(person)s: %(reason)s"
        )
        % words
        if words
        else "",
        "button": _("Lift the pin"),
        "act": "unpin",
    }
