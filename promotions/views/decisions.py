"""Approve, reject, abort, retry, let go in a freeze: each asks first, then makes one call of an operation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.http import HttpResponse
from django.utils.translation import gettext as _

from promotions import governing, operations
from promotions.forms import AbortForm, ApproveForm, ExceptionForm, RejectForm
from promotions.models import Promotion
from promotions.present import promotion as present
from promotions.views.asking import act_once, ask_and_act, posted
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.promotions import promotion_page
from promotions.views.rendering import page


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def approve(request: PageRequest, promotion: Promotion) -> HttpResponse:
    return _decide(
        request,
        promotion,
        ApproveForm(posted(request), initial=_seen(promotion)),
        {"question": _("Approve this change?"), "button": _("Approve"), "tone": "main"},
        lambda said: operations.approve(
            promotion, by=request.user, change_hash=said["seen_hash"], comment=said["comment"]
        ),
    )


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def reject(request: PageRequest, promotion: Promotion) -> HttpResponse:
    return _decide(
        request,
        promotion,
        RejectForm(posted(request), initial=_seen(promotion)),
        {"question": _("Reject this change?"), "button": _("Reject"), "tone": "danger"},
        lambda said: operations.reject(
            promotion, by=request.user, change_hash=said["seen_hash"], comment=said["comment"]
        ),
    )


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def abort(request: PageRequest, promotion: Promotion) -> HttpResponse:
    words = {
        "question": _("Abort this promotion?"),
        "note": _("It stops before its next act. What is already in Git stays there."),
        "button": _("Abort"),
        "tone": "danger",
    }
    return _decide(
        request,
        promotion,
        AbortForm(posted(request)),
        words,
        lambda said: operations.abort(promotion, by=request.user, reason=said["reason"]),
    )


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def freeze_exception(request: PageRequest, promotion: Promotion) -> HttpResponse:
    """Let one promotion go although its Stage is frozen."""
    words = {
        "question": _("Let this promotion go during the freeze?"),
        "note": _("The exception is for exactly this change, and stands in the audit trail with your name."),
        "button": _("Grant the exception"),
        "tone": "danger",
    }
    return _decide(
        request,
        promotion,
        ExceptionForm(posted(request), initial=_seen(promotion)),
        words,
        lambda said: governing.except_from_freeze(
            promotion, by=request.user, change_hash=said["seen_hash"], reason=said["reason"]
        ),
    )


@requires(Permission.SEE_APPLICATION, "POST")
def retry(request: PageRequest, promotion: Promotion) -> HttpResponse:
    return act_once(
        lambda: operations.retry(promotion, by=request.user),
        refuse=lambda problem: promotion_page(request, promotion, error=problem),
        then=promotion,
    )


def _seen(promotion: Promotion) -> dict[str, str]:
    return {"seen_hash": promotion.change_hash}


def _decide(
    request: PageRequest,
    promotion: Promotion,
    form: forms.Form,
    words: dict[str, str],
    act: Callable[[dict[str, Any]], None],
) -> HttpResponse:
    return ask_and_act(
        request,
        form,
        ask=partial(_ask, request, promotion, {**words, "form": form}),
        act=act,
        refuse=lambda problem: promotion_page(request, promotion, error=problem),
        then=promotion,
    )


def _ask(request: PageRequest, promotion: Promotion, question: dict[str, Any], status: int) -> HttpResponse:
    """Show the exact change once more; the form carries its hash."""
    context = {"promotion": present.page(str(promotion.pk)), "action_url": request.path, **question}
    return page(request, "confirm_decision.html", context, status=status)
