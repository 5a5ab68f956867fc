"""What people write: reasons and comments. Whether they may is not a form's business."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from promotions.choices import TokenScope
from promotions.models import Application, Environment, ImageVersion

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

    not_before = forms.CharField(
        label=_("Begin at"),
        required=False,
        max_length=40,
        help_text=_("If every gate is open then. Empty: as soon as it is approved."),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )
    until = forms.CharField(
        label=_("Or later, until"),
        required=False,
        max_length=40,
        help_text=_("Till then it waits for the gates to open. Empty: it ends if one is closed."),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )
    time_zone = forms.CharField(label=_("Time zone"), required=False, max_length=64)


class PinForm(forms.Form):
    version = forms.ModelChoiceField(
        label=_("Stay at"), queryset=ImageVersion.objects.none(), empty_label=None
    )
    reason = _words(_("Why?"), required=True, help_text=_("The stage's card shows it with your name."))

    def __init__(self, *args: Any, versions: QuerySet[ImageVersion], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["version"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = versions


class ReleaseForm(PromoteForm):
    """A name for the whole, and how long to wait between two waves."""

    name = forms.CharField(label=_("Name"), max_length=100)
    pause = forms.IntegerField(
        label=_("Minutes between two waves"), required=False, min_value=0, max_value=7 * 24 * 60
    )
    field_order = ("name", "reason", "pause", "seen_hash")


class ApproveForm(SeenForm):
    comment = _words(_("Comment"), required=False)


class RejectForm(SeenForm):
    comment = _words(_("Why not?"), required=True)


class AbortForm(forms.Form):
    reason = _words(_("Why?"), required=True)


class TokenForm(forms.Form):
    """What a new token is for. Every token ends some day."""

    name = forms.CharField(
        label=_("Name"), max_length=100, help_text=_("What uses it, for example: nightly job")
    )
    scopes = forms.MultipleChoiceField(
        label=_("May"),
        choices=TokenScope.choices,
        initial=[TokenScope.READ],
        widget=forms.CheckboxSelectMultiple,
    )
    days = forms.TypedChoiceField(
        label=_("Ends after"),
        coerce=int,
        initial=90,
        choices=[(7, _("7 days")), (30, _("30 days")), (90, _("90 days")), (365, _("a year"))],
    )
    applications = forms.MultipleChoiceField(
        label=_("Only for"),
        required=False,
        help_text=_("None chosen means all that the roles cover."),
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, applications: Iterable[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["applications"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = list(applications)


class WishForm(forms.Form):
    """What one person wants to hear of through one channel. No event chosen means nothing."""

    events = forms.MultipleChoiceField(label=_("Of"), required=False, widget=forms.CheckboxSelectMultiple)
    applications = forms.MultipleChoiceField(
        label=_("Only for"),
        required=False,
        help_text=_("None chosen means all that you may see."),
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(
        self,
        *args: Any,
        events: Iterable[tuple[str, object]],
        applications: Iterable[tuple[str, str]],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        for name, choices in (("events", events), ("applications", applications)):
            field = self.fields[name]
            assert isinstance(field, forms.MultipleChoiceField)
            field.choices = list(choices)


class ServiceTokenForm(TokenForm):
    account = forms.RegexField(
        label=_("Service"),
        regex=r"^[a-z0-9][a-z0-9-]{0,60}$",
        help_text=_("Its account is called service-… and gets its roles like a person's."),
    )


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


class BreakGlassForm(SeenForm):
    """Which gates are passed, and why; the stage's name is typed so that no slip of the hand does it."""

    gates = forms.MultipleChoiceField(label=_("Gates to pass"), widget=forms.CheckboxSelectMultiple)
    reason = _words(_("Why can't it wait?"), required=True)
    confirm = forms.CharField(
        label=_("Type the stage's name"),
        max_length=300,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, gates: Iterable[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["gates"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = list(gates)


class ReviewForm(forms.Form):
    comment = _words(_("What did you find?"), required=True)
