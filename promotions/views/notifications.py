"""What the visitor wants to hear of, and by which way."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from promotions.choices import Event
from promotions.forms import WishForm
from promotions.policy.access import visible_applications
from promotions.telling.wishes import OFFERED, Offer, choose, offers
from promotions.views.permissions import PageRequest, Permission, requires
from promotions.views.rendering import page

_UNPROCESSABLE = 422


@never_cache
@requires(Permission.SIGNED_IN, "GET", "POST")
def notifications(request: PageRequest) -> HttpResponse:
    """One form for all channels: what is not ticked is not wanted any more."""
    found = [(offer, _form(request, offer)) for offer in offers(request.user)]
    if request.method == "POST":
        # Who can't be reached by a channel was shown nothing to choose there.
        reaching = [(offer, form) for offer, form in found if not offer.problem]
        if all(form.is_valid() for _offer, form in reaching):
            for offer, form in reaching:
                choose(request.user, offer.channel, language=get_language() or "", **form.cleaned_data)
            messages.success(request, _("From now on you hear of what you chose."))
            return redirect("notifications")
    status = _UNPROCESSABLE if request.method == "POST" else 200
    return page(request, "notifications.html", {"offers": found}, status=status)


def _form(request: PageRequest, offer: Offer) -> WishForm:
    chosen = offer.chosen
    applications = visible_applications(request.user).order_by("name")
    return WishForm(
        request.POST if request.method == "POST" else None,
        prefix=offer.channel.slug,
        initial={"events": chosen.events, "applications": chosen.applications} if chosen else None,
        events=[(event.value, _label(event)) for event in OFFERED],
        applications=list(applications.values_list("slug", "name")),
    )


def _label(event: Event) -> str:
    return _("waiting for your approval") if event == Event.REQUESTED else str(event.label)
