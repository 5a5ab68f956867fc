"""Releases: the list, one, asking for a new one, and deciding about it as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from promotions import releases as operations
from promotions.forms import AbortForm, ApproveForm, ExceptionForm, PromoteForm, RejectForm, ReleaseForm
from promotions.models import Environment, ImageVersion, Release
from promotions.policy import Refused, Weight, one_look
from promotions.present import releases as present
from promotions.releases import Item
from promotions.views.asking import UNPROCESSABLE, act_once, ask_and_act, posted
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.rendering import CONFLICT, page, problem_context
from promotions.workflow import StaleState

_ROWS = 50


@requires(Permission.SIGNED_IN)
def releases(request: PageRequest) -> HttpResponse:
    shown = Paginator(present.visible_releases(request.user), _ROWS).get_page(request.GET.get("page"))
    context = {"rows": [present.row(each) for each in shown.object_list], "shown": shown}
    return page(request, "releases.html", context)


@requires(Permission.SEE_APPLICATION)
def release(request: PageRequest, release: Release) -> HttpResponse:
    return release_page(request, release)


@one_look()
def release_page(
    request: PageRequest, release: Release, *, error: Refused | StaleState | None = None
) -> HttpResponse:
    """Show the Release as it is now; with an error, why what was asked was not done (409)."""
    shown = present.page(release, request.user)
    wants = " ".join(f"member:{each.promotion.pk}" for wave in shown.waves for each in wave.members)
    context = {"page": shown, "release": release, **(problem_context(error) if error else {})}
    return page(request, "release.html", context, wants=wants, status=CONFLICT if error else 200)


@requires(Permission.SEE_APPLICATION)
def release_state(request: PageRequest, release: Release) -> HttpResponse:
    """The part of the page that depends on who looks, and how far the whole is."""
    context = {"page": present.page(release, request.user), "release": release}
    return render(request, "parts/release_state.html", context)


@requires(Permission.SIGNED_IN, "GET", "POST")
def new_release(request: PageRequest) -> HttpResponse:
    """Choose versions, look at the whole change, ask for it: each step is a plain form."""
    said = (request.POST if request.method == "POST" else request.GET).dict()
    environment = said.get("environment", "")
    choices = present.choices(request.user, environment, {} if set(said) <= {"environment"} else said)
    items = _items(choices)
    if request.method == "POST":
        return _ask_for(request, said, items)
    if "look" in said and items:
        form = ReleaseForm(initial={"name": _("Release of %s") % timezone.localdate().isoformat()})
        return _confirm(request, said, items, form)
    context = {
        "choices": choices,
        "environment": environment,
        "environments": Environment.objects.all(),
        "nothing_chosen": "look" in said,
        "waves": range(1, 10),
    }
    return page(request, "release_new.html", context)


def _items(choices: list[present.Choice]) -> list[Item]:
    found = []
    for choice in choices:
        version = next((each for each in choice.versions if str(each.pk) == choice.chosen), None)
        if version is not None:
            # Stage and version know each other's image: what computes a change wants both.
            found.append(Item(choice.stage, _with_image(version, choice), choice.wave))
    return found


def _with_image(version: ImageVersion, choice: present.Choice) -> ImageVersion:
    version.image = choice.stage.image
    return version


def _ask_for(request: PageRequest, said: dict[str, str], items: list[Item]) -> HttpResponse:
    form = ReleaseForm(request.POST)
    if not form.is_valid():
        return _confirm(request, said, items, form, status=UNPROCESSABLE)
    words = form.cleaned_data
    try:
        made = operations.request_release(
            items,
            name=words["name"],
            reason=words["reason"],
            by=request.user,
            pause=words["pause"] or 0,
            seen_hash=words["seen_hash"],
        )
    except (Refused, StaleState) as error:
        return _confirm(request, said, items, form, error=error, status=CONFLICT)
    return redirect(made)


def _confirm(
    request: PageRequest,
    said: dict[str, str],
    items: list[Item],
    form: ReleaseForm,
    *,
    error: Refused | StaleState | None = None,
    status: int = 200,
) -> HttpResponse:
    """Show each commit's whole difference as it is now: what is sent next is bound to it."""
    preview = operations.preview(items, request.user)
    kept = {
        name: value for name, value in said.items() if name.startswith(("stage-", "wave-", "environment"))
    }
    context = {
        "items": [
            {
                "item": item,
                "from_text": present.running_label(item.stage),
                "waits_for": [why for why in one.refusals if why.weight == Weight.DEFERS],
            }
            for item, one in preview.items
        ],
        "parts": present.wished_parts(preview.parts),
        "refusals": preview.refusals,
        "seen_hash": preview.hash,
        "has_waves": len({item.wave for item in items}) > 1,
        "form": form,
        "kept": kept,
        **(problem_context(error) if isinstance(error, StaleState) else {}),
    }
    if isinstance(error, Refused):
        context["refusals"] = error.refusals
    return page(request, "release_confirm.html", context, status=status)


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def approve(request: PageRequest, release: Release) -> HttpResponse:
    form = ApproveForm(posted(request), initial={"seen_hash": release.change_hash})
    words = {"question": _("Approve this release?"), "button": _("Approve"), "tone": "main"}
    return _decide(
        request,
        release,
        form,
        words,
        lambda said: operations.approve(
            release, by=request.user, change_hash=said["seen_hash"], comment=said["comment"]
        ),
    )


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def reject(request: PageRequest, release: Release) -> HttpResponse:
    form = RejectForm(posted(request), initial={"seen_hash": release.change_hash})
    words = {"question": _("Reject this release?"), "button": _("Reject"), "tone": "danger"}
    return _decide(
        request,
        release,
        form,
        words,
        lambda said: operations.reject(
            release, by=request.user, change_hash=said["seen_hash"], comment=said["comment"]
        ),
    )


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def freeze_exception(request: PageRequest, release: Release) -> HttpResponse:
    form = ExceptionForm(posted(request), initial={"seen_hash": release.change_hash})
    words = {
        "question": _("Let this release go during the freeze?"),
        "note": _("The exception is for exactly this change, and stands in the audit trail with your name."),
        "button": _("Grant the exception"),
        "tone": "danger",
    }
    return _decide(
        request,
        release,
        form,
        words,
        lambda said: operations.except_from_freeze(
            release, by=request.user, change_hash=said["seen_hash"], reason=said["reason"]
        ),
    )


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def abort(request: PageRequest, release: Release) -> HttpResponse:
    words = {
        "question": _("Abort this release?"),
        "note": _("All of it stops before its next act. What is already in Git stays there."),
        "button": _("Abort"),
        "tone": "danger",
    }
    return _decide(
        request,
        release,
        AbortForm(posted(request)),
        words,
        lambda said: operations.abort(release, by=request.user, reason=said["reason"]),
    )


@requires(Permission.SEE_APPLICATION, "POST")
def retry(request: PageRequest, release: Release) -> HttpResponse:
    return act_once(
        lambda: operations.retry(release, by=request.user),
        refuse=lambda problem: release_page(request, release, error=problem),
        then=release,
    )


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def roll_back(request: PageRequest, release: Release) -> HttpResponse:
    preview = operations.preview(operations.way_back(release), request.user, rolling_back=True)
    words = {
        "question": _("Roll this release back?"),
        "note": _("Every stage that it reached gets the version it had before."),
        "button": _("Request the roll-back"),
        "tone": "danger",
        "refusals": preview.refusals,
    }
    return _decide(
        request,
        release,
        PromoteForm(posted(request), initial={"seen_hash": preview.hash}),
        words,
        lambda said: operations.roll_back(
            release, by=request.user, reason=said["reason"], seen_hash=said["seen_hash"]
        ),
        parts=lambda: preview.parts,
    )


def _decide(
    request: PageRequest,
    release: Release,
    form: forms.Form,
    words: dict[str, Any],
    act: Callable[[dict[str, Any]], Release | None],
    *,
    parts: Callable[[], Sequence[operations.Part]] | None = None,
) -> HttpResponse:
    """Show the whole change once more (`parts`: another one); the form carries its hash."""

    def ask(status: int) -> HttpResponse:
        shown = parts() if parts else operations.parts_now(release)
        return _question(request, release, form, words, shown, status)

    return ask_and_act(
        request,
        form,
        ask=ask,
        act=lambda said: act(said) or release,
        refuse=lambda problem: release_page(request, release, error=problem),
    )


def _question(
    request: PageRequest,
    release: Release,
    form: forms.Form,
    words: dict[str, Any],
    parts: Sequence[operations.Part],
    status: int,
) -> HttpResponse:
    context = {
        "release": release,
        "parts": present.wished_parts(parts),
        "form": form,
        "action_url": request.path,
        "back_url": reverse("release", args=[release.pk]),
        **words,
    }
    return page(request, "confirm_release.html", context, status=status)
