"""What may be sent, and what is answered when it can't be done."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers

from promotions.catalogue.problems import suggestion
from promotions.choices import CheckState
from promotions.policy.rules import BREAKABLE

LONGEST = 2000


class Body(serializers.Serializer[Any]):
    """A request's body. A key nobody knows is refused by name: it would have been ignored in silence."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := set(data) - set(self.fields)):
            raise serializers.ValidationError(
                {key: [_("Unknown key.") + suggestion(key, self.fields)] for key in sorted(unknown)}
            )
        return super().to_internal_value(data)


class Nothing(Body):
    """No keys."""


class PromotionRequest(Body):
    stage = serializers.IntegerField(help_text="The Stage to promote to, by id")
    version = serializers.IntegerField(help_text="The ImageVersion, by id")
    reason = serializers.CharField(max_length=LONGEST)
    change_hash = serializers.CharField(
        max_length=64,
        required=False,
        help_text="The hash of the change you saw in the preview: another one is then refused as stale",
    )


class ScheduledRequest(PromotionRequest):
    """Times are ISO 8601, with an offset or as local times of `time_zone` (default: the Stage's)."""

    not_before = serializers.CharField(
        max_length=40, required=False, help_text="Begin then, if every gate is open: 2026-12-01T22:00"
    )
    until = serializers.CharField(
        max_length=40, required=False, help_text="Wait so long for the gates; needs not_before"
    )
    time_zone = serializers.CharField(max_length=64, required=False, help_text="An IANA name")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "until" in attrs and "not_before" not in attrs:
            raise serializers.ValidationError({"until": [_("It needs not_before.")]})
        return attrs


class ApprovalRequest(Body):
    change_hash = serializers.CharField(max_length=64, help_text="The hash of the change you approve")
    comment = serializers.CharField(max_length=LONGEST, required=False, allow_blank=True, default="")


class RejectionRequest(Body):
    change_hash = serializers.CharField(max_length=64, help_text="The hash of the change you reject")
    comment = serializers.CharField(max_length=LONGEST, help_text="Why not")


class AbortRequest(Body):
    reason = serializers.CharField(max_length=LONGEST)


class RollBackRequest(Body):
    reason = serializers.CharField(max_length=LONGEST)
    change_hash = serializers.CharField(max_length=64, required=False)


class StageRollBackRequest(RollBackRequest):
    version = serializers.IntegerField(help_text="A version that the Stage ran, by id")


class _Breaking(Body):
    gates = serializers.ListField(
        child=serializers.ChoiceField(choices=BREAKABLE),
        allow_empty=False,
        help_text="The gates to be passed, of those that the Environment lets be broken",
    )
    reason = serializers.CharField(max_length=LONGEST, help_text="Why it can't wait")
    confirm = serializers.CharField(max_length=300, help_text="The stage's name, as the pages show it")


class BreakGlassRequest(_Breaking):
    change_hash = serializers.CharField(max_length=64, help_text="The hash of the change you let go")


class PromoteThroughGlassRequest(_Breaking):
    version = serializers.IntegerField(help_text="The ImageVersion, by id")
    change_hash = serializers.CharField(max_length=64, required=False)


class ReviewRequest(Body):
    comment = serializers.CharField(max_length=LONGEST, help_text="What the review found")


class LockRequest(Body):
    """Which place to close. Without application and environment it is everything: the emergency stop."""

    application = serializers.SlugField(required=False, allow_null=True, default=None)
    environment = serializers.SlugField(required=False, allow_null=True, default=None)
    reason = serializers.CharField(max_length=LONGEST)


class ReasonRequest(Body):
    reason = serializers.CharField(max_length=LONGEST)


class PinRequest(ReasonRequest):
    version = serializers.IntegerField(help_text="The ImageVersion to stay at, by id")


class ExceptionRequest(ReasonRequest):
    change_hash = serializers.CharField(max_length=64, help_text="The hash of the change you let go")


class CheckRequest(Body):
    state = serializers.ChoiceField(choices=CheckState.choices)
    message = serializers.CharField(max_length=LONGEST, required=False, allow_blank=True, default="")
    link = serializers.URLField(max_length=1000, required=False, allow_blank=True, default="")
    change_hash = serializers.CharField(
        max_length=64,
        required=False,
        help_text="The change that was checked: another one is refused as stale",
    )


class RefusalSerializer(serializers.Serializer[Any]):
    gate = serializers.CharField(help_text="Stable, for machines")
    message = serializers.CharField(help_text="Why not, in a sentence")
    who_can_fix_it = serializers.CharField(source="fix")
    waits = serializers.BooleanField(help_text="A promotion under way waits for it to end")
    until = serializers.DateTimeField(allow_null=True, help_text="When it ends by itself, where known")


class Conflict(serializers.Serializer[Any]):
    """Either `refusals`, or `detail` and `stale`: what you saw is no longer so, look again."""

    refusals = RefusalSerializer(many=True, required=False)
    detail = serializers.CharField(required=False)
    stale = serializers.BooleanField(required=False)


class Problem(serializers.Serializer[Any]):
    detail = serializers.CharField()


class VendorProblem(Problem):
    """An outside system failed; `detail` is a sentence with its own words."""

    vendor = serializers.CharField()
