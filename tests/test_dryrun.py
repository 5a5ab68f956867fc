"""May it go there now, and if not, when?"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from promotions import dryrun
from promotions.models import Environment, FreezeWindow, Lock, Residence
from tests import cast

H = timedelta(hours=1)


@pytest.fixture
def catalogue(db: None) -> cast.Catalogue:
    made = cast.make_catalogue()
    made.people = cast.make_people()  # type: ignore[attr-defined]
    cast.grant(made.people, made.application)  # type: ignore[attr-defined]
    return made


def freeze(slug: str, begin: datetime, end: datetime) -> None:
    begins, ends = (at.replace(tzinfo=None).isoformat() for at in (begin, end))
    FreezeWindow.objects.create(slug=slug, begins_at=begins, ends_at=ends)


def asked(catalogue: cast.Catalogue) -> dryrun.Answer:
    catalogue.production.environment.refresh_from_db()
    by = catalogue.people.requester  # type: ignore[attr-defined]
    return dryrun.may(catalogue.production, catalogue.newer, by)


def test_it_may_with_the_approvals_it_needs(catalogue: cast.Catalogue) -> None:
    assert asked(catalogue) == dryrun.Answer(True, (), None, 1)


def test_a_freeze_after_the_soak_and_another_one_after_that_are_seen(catalogue: cast.Catalogue) -> None:
    now = timezone.now()
    Environment.objects.filter(slug="production").update(policy={"requires": ["dev"], "soak": 120})
    twin = cast.make_version(catalogue.dev.image, "dev-2", commit=catalogue.newer.commit)
    Residence.objects.create(stage=catalogue.dev, version=twin, healthy_since=now - H)
    answer = asked(catalogue)
    assert not answer.may
    assert [refusal.gate for refusal in answer.refusals] == ["soak"]
    assert answer.not_before == now + H
    freeze("a", now + H / 2, now + 2 * H)
    freeze("b", now + 2 * H, now + 3 * H)
    assert asked(catalogue).not_before == now + 3 * H


def test_where_more_than_time_is_missing_no_time_is_promised(catalogue: cast.Catalogue) -> None:
    now = timezone.now()
    freeze("a", now - H, now + H)
    Lock.objects.create(reason="An incident", set_by_name="Mar Costa")
    answer = asked(catalogue)
    assert [refusal.gate for refusal in answer.refusals] == ["lock", "freeze"]
    assert answer.not_before is None
    Lock.objects.all().delete()
    assert asked(catalogue).not_before == now + H
