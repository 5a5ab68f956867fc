"""Each waiting item says since when."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from promotions.models import Promotion, StepResult
from tests import cast
from tests.pages.conftest import SignIn


@pytest.mark.parametrize("status", ["requested", "approved", "running", "held"])
def test_every_page_says_since_when_a_promotion_waits(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn, status: str
) -> None:
    promotion = cast.make_promotion(catalogue, people.requester)
    asked, since = (timezone.now() - timedelta(hours=hours) for hours in (9, 2))
    if status in ("requested", "approved"):
        Promotion.objects.update(status=status, status_at=since, requested_at=asked)
    else:
        Promotion.objects.update(status="running", step="write", status_at=asked, requested_at=asked)
        data = {"held_since": since.timestamp()} if status == "held" else {}
        began = asked if status == "held" else since
        StepResult.objects.create(promotion=promotion, step="write", started_at=began, data=data)
    client = sign_in(people.viewer)
    promotion.refresh_from_db()
    assert promotion.waits_since == since
    for address in ("/", "/promotions/", promotion.get_absolute_url(), "/applications/flask-k8s-example/"):
        page = client.get(address).content.decode()
        where = page.index(f'datetime="{since.isoformat()}"')
        assert "data-elapsed" in page[where : where + 200], address
    assert client.get(f"/api/promotions/{promotion.pk}/").json()["waits_since"]


def test_what_has_ended_waits_for_nothing(catalogue: cast.Catalogue, people: cast.People) -> None:
    now = timezone.now()
    ended = cast.make_promotion(catalogue, people.requester, status="failed", finished_at=now)
    assert ended.waits_since is None
