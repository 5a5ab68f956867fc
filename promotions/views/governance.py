"""Locks and blocked versions: each asks first, then makes one call of an operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from promotions import governing
from promotions.forms import LockForm, ReasonForm
from promotions.models import ImageVersion, Lock
from promotions.policy import Refusal
from promotions.policy.access import visible_applications
from promotions.present import governance as present
from promotions.views.asking import ask_and_act, posted
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.rendering import CONFLICT, page, problem_context


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
    form = LockForm(posted(request), initial=request.GET.dict(), applications=visible)
    return _decide(
        request, form, _closing(form), lambda said: governing.lock(**said, by=request.user), reverse("locks")
    )


@requires(Permission.SIGNED_IN, "GET", "POST")
def lift(request: PageRequest, lock_id: int) -> HttpResponse:
    """Open a place again."""
    row = next((row for row in present.visible_locks(request.user) if row.lock.pk == lock_id), None)
    if row is None:
        if Lock.objects.filter(pk=lock_id).exclude(lifted_at=None).exists():
            return redirect("locks")
        raise Http404
    standing = row.lock
    form = ReasonForm(posted(request))
    question = _question(
        _("Lift the lock on %(place)s?") % {"place": row.place},
        _("What was halted there goes on at once. The lock's reason: %(reason)s")
        % {"reason": standing.reason},
        _("Lift the lock"),
        form,
        row.refusals,
    )
    return _decide(
        request,
        form,
        question,
        lambda said: governing.lift(standing, by=request.user, reason=said["reason"]),
        reverse("locks"),
    )


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def block(request: PageRequest, version: ImageVersion) -> HttpResponse:
    """Mark a version as bad, or take the mark away; what was asked decides, not what is."""
    form = ReasonForm(posted(request))
    is_blocked = version.blocks.filter(lifted_at=None).exists()
    act = governing.unblock if request.POST.get("act") == "unblock" else governing.block
    return _decide(
        request,
        form,
        _blocking(version, form, is_blocked, governing.may_block(request.user, version)),
        lambda said: act(version, by=request.user, reason=said["reason"]),
        version.image.application.get_absolute_url(),
    )


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


def _decide(
    request: PageRequest,
    form: forms.Form,
    question: dict[str, Any],
    act: Callable[[dict[str, Any]], object],
    back: str,
) -> HttpResponse:
    def ask(status: int, **problem: Any) -> HttpResponse:
        context = {"action_url": request.path, **question, **problem}
        return page(request, "confirm_act.html", context, status=status)

    return ask_and_act(
        request,
        form,
        ask=ask,
        act=act,
        refuse=lambda problem: ask(CONFLICT, **problem_context(problem)),
        then=back,
    )
