"""What people do to received webhooks."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from promotions.choices import DeliveryOutcome
from promotions.live import announce
from promotions.models import Delivery
from promotions.workflow import StaleState, record


def replay(delivery: Delivery, *, by: User) -> None:
    """Have a delivery processed again, as if it had just come. Raises StaleState while it still waits."""
    with transaction.atomic():
        ended = Delivery.objects.filter(pk=delivery.pk).exclude(outcome=DeliveryOutcome.PENDING)
        if not ended.update(outcome=DeliveryOutcome.PENDING, message="", processed_at=None, attempts=0):
            raise StaleState(_("This delivery is already waiting to be processed."))
        record("delivery.replayed", subject=f"delivery {delivery.pk}", by=by)
        announce("deliveries", "all")
        transaction.on_commit(_process)


def _process() -> None:
    try:
        app.configure_task("promotions.process_deliveries", queueing_lock="deliveries").defer()
    except AlreadyEnqueued:
        # The look that is queued takes this delivery with it.
        return
