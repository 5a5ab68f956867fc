"""What people write: reasons and comments. Whether they may is not a form's business."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

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
