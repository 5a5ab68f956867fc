"""Approve, reject, abort, retry: each asks first, then makes one call of an operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from promotions import operations
from promotions.forms import AbortForm, ApproveForm, RejectForm
from promotions.models import Promotion
from promotions.policy import Refused
from promotions.present import promotion as present
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.promotions import promotion_page
from promotions.views.rendering import page
from promotions.workflow import StaleState

_UNPROCESSABLE = 422


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def approve(request: PageRequest, promotion: Promotion) -> HttpResponse:
    if request.method != "POST":
        return _confirm(request, promotion, _approval(promotion))
    form = ApproveForm(request.POST)
    if not form.is_valid():
        return _confirm(request, promotion, {**_approval(promotion), "form": form}, _UNPROCESSABLE)
    said = form.cleaned_data
    return _do(
        request,
        promotion,
        lambda: operations.approve(
            promotion, by=request.user, change_hash=said["seen_hash"], comment=said["comment"]
        ),
    )


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def reject(request: PageRequest, promotion: Promotion) -> HttpResponse:
    if request.method != "POST":
        return _confirm(request, promotion, _rejection(promotion))
    form = RejectForm(request.POST)
    if not form.is_valid():
        return _confirm(request, promotion, {**_rejection(promotion), "form": form}, _UNPROCESSABLE)
    said = form.cleaned_data
    return _do(
        request,
        promotion,
        lambda: operations.reject(
            promotion, by=request.user, change_hash=said["seen_hash"], comment=said["comment"]
        ),
    )


@requires(Permission.SEE_APPLICATION, "GET", "POST")
def abort(request: PageRequest, promotion: Promotion) -> HttpResponse:
    if request.method != "POST":
        return _confirm(request, promotion, _abortion(AbortForm()))
    form = AbortForm(request.POST)
    if not form.is_valid():
        return _confirm(request, promotion, _abortion(form), _UNPROCESSABLE)
    reason = form.cleaned_data["reason"]
    return _do(request, promotion, lambda: operations.abort(promotion, by=request.user, reason=reason))


@requires(Permission.SEE_APPLICATION, "POST")
def retry(request: PageRequest, promotion: Promotion) -> HttpResponse:
    return _do(request, promotion, lambda: operations.retry(promotion, by=request.user))


def _do(request: PageRequest, promotion: Promotion, operation: Callable[[], None]) -> HttpResponse:
    try:
        operation()
    except (Refused, StaleState) as error:
        return promotion_page(request, promotion, error=error)
    return redirect(promotion)


def _confirm(
    request: PageRequest, promotion: Promotion, question: dict[str, Any], status: int = 200
) -> HttpResponse:
    """Show the exact change once more; the form carries its hash."""
    context = {"promotion": present.page(str(promotion.pk)), "action_url": request.path, **question}
    return page(request, "confirm_decision.html", context, status=status)


def _seen(promotion: Promotion) -> dict[str, str]:
    return {"seen_hash": promotion.change_hash}


def _approval(promotion: Promotion) -> dict[str, Any]:
    form: forms.Form = ApproveForm(initial=_seen(promotion))
    return {"question": _("Approve this change?"), "button": _("Approve"), "tone": "main", "form": form}


def _rejection(promotion: Promotion) -> dict[str, Any]:
    form: forms.Form = RejectForm(initial=_seen(promotion))
    return {"question": _("Reject this change?"), "button": _("Reject"), "tone": "danger", "form": form}


def _abortion(form: AbortForm) -> dict[str, Any]:
    return {
        "question": _("Abort this promotion?"),
        "note": _("It stops before its next act. What is already in Git stays there."),
        "button": _("Abort"),
        "tone": "danger",
        "form": form,
    }
