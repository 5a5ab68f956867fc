"""Breaking the glass, and the reviews it leaves: each asks first, then makes one call of an operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _

from promotions import emergency, operations, rollbacks
from promotions.emergency import Glass
from promotions.forms import BreakGlassForm, ReviewForm
from promotions.models import Application, ImageVersion, Promotion, ReviewTask, Stage
from promotions.policy import Act, Refusal, gather, refusals
from promotions.policy.rules import Rules
from promotions.present import recovery
from promotions.present.diff import DiffFile, parse_diff
from promotions.present.matrix import stages
from promotions.views.asking import ask_and_act, posted
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.rendering import CONFLICT, page, problem_context


@dataclass(frozen=True, slots=True)
class Breaking:
    """For what the glass is about to be broken, and the change as it is now. `promotion` is None for one
    that is not asked for yet."""

    stage: Stage
    version: ImageVersion
    promotion: Promotion | None
    change_hash: str
    files: list[DiffFile]
    found: list[Refusal]
    back_url: str
    rolls_back: bool = False

    def do(self, by: User, said: dict[str, Any]) -> Promotion:
        glass = Glass(frozenset(said["gates"]), said["reason"], said["confirm"])
        if self.promotion is None:
            ask = rollbacks.request if self.rolls_back else operations.request_promotion
            seen = said["seen_hash"]
            return ask(self.stage, self.version, by=by, reason=glass.reason, seen_hash=seen, glass=glass)
        emergency.break_glass(self.promotion, glass, by=by, change_hash=said["seen_hash"])
        return self.promotion


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def break_for_promotion(request: PageRequest, promotion: Promotion) -> HttpResponse:
    """Let a promotion that was asked for pass the named gates."""
    facts = gather(promotion.stage, promotion.version, None, promotion=promotion)
    breaking = Breaking(
        promotion.stage,
        promotion.version,
        promotion,
        promotion.change_hash,
        parse_diff(promotion.diff),
        refusals(Act.RUN, facts),
        promotion.get_absolute_url(),
    )
    return _ask(request, breaking)


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def break_for_request(
    request: PageRequest, application: Application, environment: str, version_id: int
) -> HttpResponse:
    """Ask for a promotion, or with ?roll_back=1 a roll-back, that gates would not let anybody ask for."""
    stage = get_object_or_404(stages(), application=application, environment__slug=environment)
    versions = ImageVersion.objects.select_related("image").filter(image__application=application)
    version = get_object_or_404(versions, pk=version_id)
    rolls_back = request.GET.get("roll_back") == "1"
    seen = operations.preview(stage, version, request.user, rolling_back=rolls_back)
    name = "stage-roll-back" if rolls_back else "promote"
    breaking = Breaking(
        stage,
        version,
        None,
        seen.change.hash if seen.change else "",
        parse_diff(seen.change.diff) if seen.change else [],
        seen.refusals,
        reverse(name, args=[application.slug, environment, version.pk]),
        rolls_back,
    )
    return _ask(request, breaking)


def _ask(request: PageRequest, breaking: Breaking) -> HttpResponse:
    covered = Rules.of(breaking.stage.environment.policy).break_glass.gates
    standing = [refusal.gate for refusal in breaking.found if refusal.gate in covered]
    choices = recovery.gate_choices(covered)
    # What is sent is bound to the change on this page, and only to that.
    form = BreakGlassForm(posted(request), initial={"gates": standing}, gates=choices)

    def ask(status: int, **problem: Any) -> HttpResponse:
        context = {
            "breaking": breaking,
            "form": form,
            "may_not": emergency.may(request.user, breaking.stage),
            "action_url": request.get_full_path(),
            **problem,
        }
        return page(request, "break_glass.html", context, status=status)

    return ask_and_act(
        request,
        form,
        ask=ask,
        act=lambda said: breaking.do(request.user, said),
        refuse=lambda problem: ask(CONFLICT, **problem_context(problem)),
    )


@requires(Permission.SIGNED_IN)
def reviews(request: PageRequest) -> HttpResponse:
    """What broken glass left to be looked at, and what was found lately."""
    context = {
        "open": recovery.review_rows(request.user),
        "closed": recovery.review_rows(request.user, closed=True),
    }
    return page(request, "reviews.html", context)


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def close_review(request: PageRequest, task: ReviewTask) -> HttpResponse:
    """Say what the review found."""
    form = ReviewForm(posted(request))

    def ask(status: int, **problem: Any) -> HttpResponse:
        return page(
            request, "confirm_act.html", {**_reviewing(request, task, form), **problem}, status=status
        )

    return ask_and_act(
        request,
        form,
        ask=ask,
        act=lambda said: emergency.close_review(task, by=request.user, comment=said["comment"]),
        refuse=lambda problem: ask(CONFLICT, **problem_context(problem)),
        then="reviews",
    )


def _reviewing(request: PageRequest, task: ReviewTask, form: ReviewForm) -> dict[str, Any]:
    words = {"stage": task.promotion.stage, "person": task.glass.person_name}
    note = _("%(person)s passed %(gates)s: %(reason)s") % {
        **words,
        "gates": ", ".join(task.glass.gates),
        "reason": task.glass.reason,
    }
    return {
        "question": _("Close the review of the broken glass for %(stage)s?") % words,
        "note": note,
        "button": _("Close the review"),
        "tone": "main",
        "form": form,
        "refusals": emergency.may_review(request.user, task),
        "back_url": task.promotion.get_absolute_url(),
        "action_url": request.path,
    }
