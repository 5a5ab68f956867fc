"""What every decision's view does alike: ask, mind what was written, act once, say why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from django import forms
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect

from promotions.policy import Refused
from promotions.views.permissions import PageRequest
from promotions.workflow import StaleState

UNPROCESSABLE = 422
Problem = Refused | StaleState


class HasPage(Protocol):
    def get_absolute_url(self) -> str: ...


def posted(request: PageRequest) -> QueryDict | None:
    """Return what a form is bound to: even a form that came empty was sent."""
    return request.POST if request.method == "POST" else None


def ask_and_act(
    request: PageRequest,
    form: forms.Form,
    *,
    ask: Callable[[int], HttpResponse],
    act: Callable[[dict[str, Any]], Any],
    refuse: Callable[[Problem], HttpResponse],
    then: HasPage | str | None = None,
) -> HttpResponse:
    """Answer a question's page: `ask` shows it with a status, `act` does what the form's words say.

    Leads to `then` (what has a page, or a URL), or else to what `act` made. Words that will not do
    are asked for again (422); what `act` refuses is `refuse`'s to show.
    """
    if request.method != "POST":
        return ask(200)
    if not form.is_valid():
        return ask(UNPROCESSABLE)
    return act_once(lambda: act(form.cleaned_data), refuse=refuse, then=then)


def act_once(
    act: Callable[[], Any], *, refuse: Callable[[Problem], HttpResponse], then: HasPage | str | None = None
) -> HttpResponse:
    """Do what needs no question."""
    try:
        made = act()
    except (Refused, StaleState) as problem:
        return refuse(problem)
    return redirect(then or made)
