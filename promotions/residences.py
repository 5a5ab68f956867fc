"""How long which version has been healthy where: the soak times of the policy are counted from this."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from promotions.models import Residence, StageState


def note(state: StageState, at: datetime | None = None) -> None:
    """Keep what the Stage's state says of the version that runs there; to be called when it was read.

    A version shares its Stage during a rollout: its healthy time begins when it is alone.
    """
    now = at or timezone.now()
    version = state.running_version
    for other in Residence.objects.filter(stage=state.stage_id, left_at=None).exclude(version=version):
        _pause(other, now)
        other.left_at = now
        other.save()
    if version is None:
        return
    stay, is_new = Residence.objects.get_or_create(
        stage_id=state.stage_id, version=version, defaults={"since": now}
    )
    before = (stay.healthy_since, stay.left_at)
    if stay.left_at is not None:
        stay.left_at, stay.since = None, now
    if state.health_status != "Healthy" or state.running_others:
        _pause(stay, now)
    elif stay.healthy_since is None:
        stay.healthy_since = now
    if is_new or (stay.healthy_since, stay.left_at) != before:
        stay.save()


def _pause(stay: Residence, now: datetime) -> None:
    """End the present healthy time; the longest one counts."""
    if stay.healthy_since is not None:
        stay.soaked = max(stay.soaked, int((now - stay.healthy_since).total_seconds()))
        stay.healthy_since = None
