"""What people write: reasons and comments. Whether they may is not a form's business."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from promotions.models import Application, Environment

_LONGEST = 2000


def _words(label: object, *, required: bool, help_text: object = "") -> forms.CharField:
    return forms.CharField(
        label=label,  # type: ignore[arg-type]
        help_text=help_text,  # type: ignore[arg-type]
        required=required,
        max_length=_LONGEST,
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class SeenForm(forms.Form):
    """Carries the hash of the change that was shown, so that no other one is acted on."""

    seen_hash = forms.CharField(max_length=64, widget=forms.HiddenInput)


class PromoteForm(SeenForm):
    reason = _words(
        _("Why?"), required=True, help_text=_("Approvers, the commit and the audit trail will show it.")
    )


class ApproveForm(SeenForm):
    comment = _words(_("Comment"), required=False)


class RejectForm(SeenForm):
    comment = _words(_("Why not?"), required=True)


class AbortForm(forms.Form):
    reason = _words(_("Why?"), required=True)


class LockForm(forms.Form):
    """Which place to close. Leaving both open closes everything: the emergency stop."""

    application = forms.ModelChoiceField(
        label=_("Application"),
        queryset=Application.objects.none(),
        to_field_name="slug",
        required=False,
        empty_label=_("all applications"),
    )
    environment = forms.ModelChoiceField(
        label=_("Environment"),
        queryset=Environment.objects.none(),
        to_field_name="slug",
        required=False,
        empty_label=_("all environments"),
    )
    reason = _words(_("Why?"), required=True, help_text=_("Everybody whose promotion it halts will read it."))

    def __init__(self, *args: Any, applications: QuerySet[Application], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = {"application": applications, "environment": Environment.objects.all()}
        for name, rows in choices.items():
            field = self.fields[name]
            assert isinstance(field, forms.ModelChoiceField)
            field.queryset = rows


class ReasonForm(forms.Form):
    reason = _words(_("Why?"), required=True)


class ExceptionForm(SeenForm):
    reason = _words(_("Why must it go now?"), required=True)
