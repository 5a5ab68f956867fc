"""What Slipway does by itself at a Stage, what keeps it back, and promotions for a set time."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from promotions.choices import AutomationState
from promotions.models.catalogue import Stage
from promotions.models.promotion import Promotion
from promotions.models.versions import ImageVersion


class Pin(models.Model):
    """A person keeps a Stage at a version: nothing is promoted there automatically until it is lifted.

    `promotion` is the roll-back that made it, where nobody set it by hand.
    """

    stage = models.ForeignKey(Stage, on_delete=models.CASCADE, related_name="pins")
    version = models.ForeignKey(ImageVersion, on_delete=models.CASCADE, related_name="+")
    reason = models.TextField()
    promotion = models.OneToOneField(Promotion, on_delete=models.SET_NULL, null=True, related_name="pin")
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    set_by_name = models.CharField(max_length=255)
    set_at = models.DateTimeField(default=timezone.now)
    lifted_by_name = models.CharField(max_length=255, blank=True)
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["stage"], condition=Q(lifted_at__isnull=True), name="one_standing_pin_per_stage"
            ),
            models.CheckConstraint(name="pin_has_a_reason", condition=~Q(reason="")),
        ]

    def __str__(self) -> str:
        return f"pin of {self.stage} to {self.version}"


class Automation(models.Model):
    """What was found when a Stage that promotes automatically was last looked at.

    `version` is what would come next. Before `rests_until` nobody looks again: somebody looks now, or a
    vendor gave no answer a moment ago.
    """

    stage = models.OneToOneField(Stage, on_delete=models.CASCADE, related_name="automation")
    state = models.CharField(max_length=20, choices=AutomationState, default=AutomationState.IDLE)
    version = models.ForeignKey(ImageVersion, on_delete=models.SET_NULL, null=True, related_name="+")
    message = models.TextField(blank=True)
    until = models.DateTimeField(null=True, help_text="When what keeps it back ends by itself, where known")
    rests_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="automation_state_is_known", condition=Q(state__in=AutomationState.values)
            )
        ]

    def __str__(self) -> str:
        return f"automation of {self.stage}: {self.state}"


class Schedule(models.Model):
    """When a promotion may begin. Without `until` the gates must be open at that very time.

    `time_zone` is the one it was asked for in: pages show the times there. `note` tells how a local time
    was understood that comes twice. `released_at` is when a person had it go on without its time.
    """

    promotion = models.OneToOneField(Promotion, on_delete=models.CASCADE, related_name="schedule")
    not_before = models.DateTimeField()
    until = models.DateTimeField(null=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    note = models.TextField(blank=True)
    refused = models.TextField(blank=True, help_text="What kept it back when the gates were last asked")
    released_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="schedule_ends_after_it_begins",
                condition=Q(until__isnull=True) | Q(until__gt=F("not_before")),
            )
        ]

    def __str__(self) -> str:
        return f"schedule of {self.promotion_id}"
