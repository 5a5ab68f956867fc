"""Asking for a promotion or a roll-back: the page that shows the exact change, and the request."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from promotions import comparisons, emergency, operations, rollbacks, scheduling
from promotions.forms import PromoteForm
from promotions.models import Application, ImageVersion, Promotion, Stage
from promotions.policy import Refused, Weight, stopping
from promotions.policy.rules import Rules
from promotions.policy.schedule import BadTime, When
from promotions.present.automation import direction, replaceable
from promotions.present.choosing import choosing
from promotions.present.commits import contents
from promotions.present.diff import parse_diff
from promotions.present.matrix import stages, state_of
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.rendering import CONFLICT, page, problem_context
from promotions.workflow import StaleState

_UNPROCESSABLE = 422
_TYPED = ("reason", "not_before", "until", "time_zone")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is about to be asked for: a roll-back of one promotion, to any past version, or a promotion."""

    stage: Stage
    version: ImageVersion
    rollback_of: Promotion | None = None
    rolls_back: bool = False

    def when(self, form: PromoteForm) -> When | None:
        """Return the times that were written into the form; raises BadTime."""
        said = form.cleaned_data
        return scheduling.read(self.stage, said["not_before"], said["until"], said["time_zone"])

    def send(self, by: PageRequest, form: PromoteForm, when: When | None) -> Promotion:
        reason, seen = form.cleaned_data["reason"], form.cleaned_data["seen_hash"]
        if self.rollback_of is not None:
            return operations.roll_back(self.rollback_of, by=by.user, reason=reason, seen_hash=seen)
        if self.rolls_back:
            return rollbacks.request(self.stage, self.version, by=by.user, reason=reason, seen_hash=seen)
        return operations.request_promotion(
            self.stage, self.version, by=by.user, reason=reason, seen_hash=seen, when=when
        )


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def promote(
    request: PageRequest, application: Application, environment: str, version_id: int
) -> HttpResponse:
    stage = get_object_or_404(stages(), application=application, environment__slug=environment)
    versions = ImageVersion.objects.select_related("image").filter(image__application=application)
    return _ask(request, Wish(stage, get_object_or_404(versions, pk=version_id)))


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def roll_back(request: PageRequest, promotion: Promotion) -> HttpResponse:
    target = operations.rollback_target(promotion)
    if target is None:
        return redirect(promotion)
    stage = get_object_or_404(stages(), pk=promotion.stage_id)
    version = get_object_or_404(ImageVersion.objects.select_related("image"), pk=target.pk)
    return _ask(request, Wish(stage, version, promotion, rolls_back=True))


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def roll_back_to(
    request: PageRequest, application: Application, environment: str, version_id: int
) -> HttpResponse:
    """Ask for any version that the Stage ran before."""
    stage = get_object_or_404(stages(), application=application, environment__slug=environment)
    versions = ImageVersion.objects.select_related("image").filter(image__application=application)
    version = get_object_or_404(versions, pk=version_id)
    if not rollbacks.ran_here(stage, version):
        raise Http404
    return _ask(request, Wish(stage, version, rolls_back=True))


def _ask(request: PageRequest, wish: Wish) -> HttpResponse:
    if request.method != "POST":
        return _confirmation(request, wish)
    form = PromoteForm(request.POST)
    if not form.is_valid():
        return _confirmation(request, wish, form, status=_UNPROCESSABLE)
    try:
        when = wish.when(form)
    except BadTime as error:
        form.add_error(error.field, str(error))
        return _confirmation(request, wish, form, status=_UNPROCESSABLE)
    try:
        return redirect(wish.send(request, form, when))
    except (Refused, StaleState) as error:
        return _confirmation(request, wish, form, error=error, status=CONFLICT)


def _confirmation(
    request: PageRequest,
    wish: Wish,
    form: PromoteForm | None = None,
    *,
    error: Refused | StaleState | None = None,
    status: int = 200,
) -> HttpResponse:
    """Show the change as it is now, with its hash: what is sent next is bound to it."""
    stage, version = wish.stage, wish.version
    preview = operations.preview(stage, version, request.user, rolling_back=wish.rolls_back)
    state = state_of(stage)
    running = state.running_version if state else None
    if running is not None:
        comparisons.want(stage.application, running.commit, version.commit)
    change = preview.change
    shown = form or _fresh_form(stage)
    if form is not None:
        # What was typed stays; the hash is the one of the difference on this page.
        shown.data = {name: form.data.get(name, "") for name in _TYPED}
    context = {
        "title": _title(wish),
        "stage": stage,
        "version": version,
        "from_text": running.label if running else "",
        "files": parse_diff(change.diff) if change else [],
        "edits": change.edits if change else [],
        "choosing": choosing(stage, preview.choices),
        "disagreement": preview.disagreement,
        "rendered_files": parse_diff(preview.rendered.diff),
        "rendered_note": preview.rendered.note,
        "refusals": stopping(preview.refusals),
        "waits_for": [each for each in preview.refusals if each.weight == Weight.DEFERS],
        "contents": contents(stage.application, running, version),
        "reverting": rollbacks.reverting(stage, version, change) if wish.rolls_back else None,
        "approvals_needed": preview.approvals_needed,
        "form": shown,
        "seen_hash": change.hash if change else "",
        "back_url": wish.rollback_of.get_absolute_url() if wish.rollback_of else stage.get_absolute_url(),
        "is_rollback": wish.rolls_back,
        "break_glass_url": _through_glass(request, wish, preview),
        "direction": direction(stage, running, version),
        "gives_way": replaceable(stage),
        "action_url": request.path,
        **(problem_context(error) if isinstance(error, StaleState) else {}),
    }
    if isinstance(error, Refused):
        context["refusals"] = error.refusals
    return page(request, "confirm_promotion.html", context, status=status)


def _through_glass(request: PageRequest, wish: Wish, preview: operations.Preview) -> str:
    """Return where the glass is broken, for whom that is open and where it would help."""
    covered = Rules.of(wish.stage.environment.policy).break_glass.gates
    helps = any(refusal.gate in covered for refusal in preview.refusals)
    if not helps or emergency.may(request.user, wish.stage):
        return ""
    place = wish.stage.application.slug, wish.stage.environment.slug
    url = reverse("promote-break-glass", args=[*place, wish.version.pk])
    return f"{url}?roll_back=1" if wish.rolls_back else url


def _fresh_form(stage: Stage) -> PromoteForm:
    """Times are the Stage's; where it names no zone they are the person's, whose browser knows it."""
    form = PromoteForm(initial={"time_zone": scheduling.zone_of(stage)})
    if not Rules.of(stage.environment.policy).time_zone:
        form.fields["time_zone"].widget.attrs["data-own-zone"] = ""
    return form


def _title(wish: Wish) -> str:
    words = {
        "application": wish.stage.application.name,
        "version": wish.version.label,
        "environment": wish.stage.environment.name,
    }
    if wish.rolls_back:
        return _("Roll %(application)s back to %(version)s in %(environment)s?") % words
    return _("Promote %(application)s to %(version)s in %(environment)s?") % words
