"""Locks, blocked versions and freeze exceptions: each asks first, then makes one call of an operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from promotions import governing
from promotions.forms import ExceptionForm, LockForm, ReasonForm
from promotions.models import ImageVersion, Lock, Promotion
from promotions.policy import Refusal, Refused
from promotions.policy.access import visible_applications
from promotions.present import governance as present
from promotions.present import promotion as present_promotion
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.promotions import promotion_page
from promotions.views.rendering import CONFLICT, page, problem_context
from promotions.workflow import StaleState

_UNPROCESSABLE = 422


@requires(Permission.SIGNED_IN)
def locks(request: PageRequest) -> HttpResponse:
    """What is closed now, and what was."""
    context = {
        "locks": present.visible_locks(request.user),
        "lifted": present.visible_locks(request.user, standing=False),
        "freezes": present.freeze_rows() if visible_applications(request.user).exists() else [],
    }
    return page(request, "locks.html", context)


@requires(Permission.SIGNED_IN, "GET", "POST")
def lock(request: PageRequest) -> HttpResponse:
    """Close a place."""
    visible = visible_applications(request.user)
    form = LockForm(request.POST or None, initial=request.GET.dict(), applications=visible)
    if request.method != "POST":
        return _ask(request, _closing(form))
    if not form.is_valid():
        return _ask(request, _closing(form), status=_UNPROCESSABLE)
    said = form.cleaned_data
    return _do(request, _closing(form), lambda: governing.lock(**said, by=request.user), reverse("locks"))


@requires(Permission.SIGNED_IN, "GET", "POST")
def lift(request: PageRequest, lock_id: int) -> HttpResponse:
    """Open a place again."""
    row = next((row for row in present.visible_locks(request.user) if row.lock.pk == lock_id), None)
    if row is None:
        if Lock.objects.filter(pk=lock_id).exclude(lifted_at=None).exists():
            return redirect("locks")
        raise Http404
    standing = row.lock
    form = ReasonForm(request.POST or None)
    question = _question(
        _("Lift the lock on %(place)s?") % {"place": row.place},
        _("What was halted there goes on at once. The lock's reason: %(reason)s")
        % {"reason": standing.reason},
        _("Lift the lock"),
        form,
        row.refusals,
    )
    if request.method != "POST":
        return _ask(request, question)
    if not form.is_valid():
        return _ask(request, question, status=_UNPROCESSABLE)
    reason = form.cleaned_data["reason"]
    return _do(
        request, question, lambda: governing.lift(standing, by=request.user, reason=reason), reverse("locks")
    )


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def block(request: PageRequest, version: ImageVersion) -> HttpResponse:
    """Mark a version as bad, or take the mark away."""
    form = ReasonForm(request.POST or None)
    is_blocked = version.blocks.filter(lifted_at=None).exists()
    question = _blocking(version, form, is_blocked, governing.may_block(request.user, version))
    if request.method != "POST":
        return _ask(request, question)
    if not form.is_valid():
        return _ask(request, question, status=_UNPROCESSABLE)
    reason = form.cleaned_data["reason"]
    act = governing.unblock if request.POST.get("act") == "unblock" else governing.block
    back = version.image.application.get_absolute_url()
    return _do(request, question, lambda: act(version, by=request.user, reason=reason), back)


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def freeze_exception(request: PageRequest, promotion: Promotion) -> HttpResponse:
    """Let one promotion go although its Stage is frozen."""
    if request.method != "POST":
        return _ask_exception(request, promotion, ExceptionForm(initial={"seen_hash": promotion.change_hash}))
    form = ExceptionForm(request.POST)
    if not form.is_valid():
        return _ask_exception(request, promotion, form, _UNPROCESSABLE)
    said = form.cleaned_data
    try:
        governing.except_from_freeze(
            promotion, by=request.user, change_hash=said["seen_hash"], reason=said["reason"]
        )
    except (Refused, StaleState) as error:
        return promotion_page(request, promotion, error=error)
    return redirect(promotion)


def _ask_exception(
    request: PageRequest, promotion: Promotion, form: forms.Form, status: int = 200
) -> HttpResponse:
    context = {
        "promotion": present_promotion.page(str(promotion.pk)),
        "action_url": request.path,
        "question": _("Let this promotion go during the freeze?"),
        "note": _("The exception is for exactly this change, and stands in the audit trail with your name."),
        "button": _("Grant the exception"),
        "tone": "danger",
        "form": form,
    }
    return page(request, "confirm_decision.html", context, status=status)


def _question(
    title: str,
    note: str,
    button: str,
    form: forms.Form,
    refusals: tuple[Refusal, ...] | list[Refusal] = (),
    **more: Any,
) -> dict[str, Any]:
    return {
        "question": title,
        "note": note,
        "button": button,
        "form": form,
        "refusals": tuple(refusals),
        "tone": "danger",
        "back_url": reverse("locks"),
        **more,
    }


def _closing(form: LockForm) -> dict[str, Any]:
    return _question(
        _("Lock a place?"),
        _(
            "Nothing begins there until the lock is lifted, and what runs halts before its next effect."
            " All applications and all environments together are the emergency stop."
        ),
        _("Lock it"),
        form,
    )


def _blocking(
    version: ImageVersion, form: forms.Form, is_blocked: bool, refusals: list[Refusal]
) -> dict[str, Any]:
    words = {"version": version.label}
    back = {"back_url": version.image.application.get_absolute_url()}
    if is_blocked:
        title = _("Take the mark “bad” from %(version)s?") % words
        note = _("It may be promoted again.")
        return _question(title, note, _("Take the mark away"), form, refusals, act="unblock", **back)
    title = _("Mark %(version)s as bad?") % words
    note = _("It is promoted nowhere until the mark is taken away, and stages that run it show it.")
    return _question(title, note, _("Mark as bad"), form, refusals, act="block", **back)


def _ask(request: PageRequest, question: dict[str, Any], status: int = 200, **problem: Any) -> HttpResponse:
    return page(
        request, "confirm_act.html", {"action_url": request.path, **question, **problem}, status=status
    )


def _do(
    request: PageRequest, question: dict[str, Any], operation: Callable[[], object], back: str
) -> HttpResponse:
    try:
        operation()
    except (Refused, StaleState) as error:
        return _ask(request, question, CONFLICT, **problem_context(error))
    return redirect(back)
