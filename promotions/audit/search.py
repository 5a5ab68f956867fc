"""Find entries: by person, place, version, promotion, date; only those the person may see."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.db.models.functions import Upper
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from promotions.choices import Via
from promotions.models import AuditEntry
from promotions.policy.access import (
    Visitor,
    may_see_machinery,
    sees_every_application,
    visible_applications,
)

_LARGEST = 2**63 - 1


class AuditSearch(forms.Form):
    """What may be asked for, by pages, API and exports alike. Everything given must hold."""

    person = forms.CharField(label=_("Person"), required=False, max_length=255)
    application = forms.CharField(label=_("Application"), required=False, max_length=50)
    environment = forms.CharField(label=_("Environment"), required=False, max_length=50)
    action = forms.CharField(label=_("Action"), required=False, max_length=100)
    commit = forms.CharField(label=_("Commit"), required=False, min_length=4, max_length=64)
    tag = forms.CharField(label=_("Tag"), required=False, max_length=255)
    digest = forms.CharField(label=_("Digest"), required=False, min_length=4, max_length=100)
    promotion = forms.IntegerField(
        label=_("Promotion"), required=False, min_value=1, max_value=_LARGEST, widget=forms.TextInput
    )
    via = forms.ChoiceField(label=_("From"), required=False, choices=[("", _("anywhere")), *Via.choices])
    since = forms.DateField(
        label=_("Since"), required=False, widget=forms.DateInput({"type": "date"}, "%Y-%m-%d")
    )
    until = forms.DateField(
        label=_("Until"), required=False, widget=forms.DateInput({"type": "date"}, "%Y-%m-%d")
    )

    def find(self, user: Visitor) -> QuerySet[AuditEntry]:
        """Return what fits, newest first; the form must be valid."""
        said: dict[str, Any] = self.cleaned_data
        found = visible_entries(user)
        for name in ("application", "environment", "action", "tag", "via", "promotion"):
            if said.get(name):
                found = found.filter(**{name: said[name]})
        if person := said.get("person"):
            # Spelt like this, so that the index on the upper-case name serves.
            found = found.alias(upper_name=Upper("actor_name")).filter(
                Q(actor_username=person) | Q(upper_name=str(person).upper())
            )
        if commit := str(said.get("commit") or "").lower():
            found = found.filter(Q(commit__startswith=commit) | Q(manifest_commit__startswith=commit))
        if digest := str(said.get("digest") or "").lower():
            found = found.filter(digest__startswith=f"sha256:{digest.removeprefix('sha256:')}")
        return found.filter(**_between(said.get("since"), said.get("until"))).order_by("-id")


def visible_entries(user: Visitor) -> QuerySet[AuditEntry]:
    """Entries about an application are for who may see it; those about none are machinery.

    Of applications that are gone only those who may see every application still read.
    """
    shown = Q(pk__in=()) if not may_see_machinery(user) else Q(application="")
    if sees_every_application(user):
        shown |= ~Q(application="")
    else:
        shown |= Q(application__in=visible_applications(user).values("slug"))
    return AuditEntry.objects.filter(shown)


def _between(since: date | None, until: date | None) -> dict[str, datetime]:
    """Whole days, in the time zone that pages show."""
    found = {}
    if since:
        found["at__gte"] = timezone.make_aware(datetime.combine(since, time()))
    if until and until < date.max:
        found["at__lt"] = timezone.make_aware(datetime.combine(until + timedelta(days=1), time()))
    return found
