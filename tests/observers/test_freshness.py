"""What pages may say about how fresh an upstream is."""

from __future__ import annotations

import pytest

from integrations.errors import Unauthorized, Unavailable
from promotions.choices import UpstreamState
from promotions.models import Announcement, Upstream
from promotions.observers.freshness import Freshness
from tests import cast

DOWN = Unavailable("GitLab does not answer.", vendor="gitlab")
REFUSED = Unauthorized("GitLab refuses the token.", vendor="gitlab")


@pytest.fixture
def upstream(transactional_db: None, catalogue: cast.Catalogue) -> Upstream:
    made = cast.make_upstream(catalogue.gitlab, "branches")
    Upstream.objects.update(state=UpstreamState.STARTING, seen_at=None)
    return made


def row(upstream: Upstream) -> Upstream:
    return Upstream.objects.get(pk=upstream.pk)


def told() -> int:
    return Announcement.objects.filter(fragment="upstreams").count()


def test_an_answer_makes_it_fresh_and_is_told_once(upstream: Upstream) -> None:
    freshness = Freshness(upstream)
    for _ in range(5):
        freshness.seen()
    assert (row(upstream).state, told()) == (UpstreamState.FRESH, 1)
    assert row(upstream).seen_at is not None


def test_trouble_is_told_with_its_reason_and_when_it_began(upstream: Upstream) -> None:
    freshness = Freshness(upstream)
    freshness.seen()
    seen_at = row(upstream).seen_at
    freshness.troubled(DOWN)
    began = row(upstream).troubled_since
    assert began is not None
    freshness.troubled(REFUSED)
    now = row(upstream)
    assert (now.state, now.message, now.troubled_since) == (UpstreamState.REFUSED, str(REFUSED), began)
    assert now.seen_at == seen_at, "what it last answered stays known"
    freshness.seen()
    assert (row(upstream).state, row(upstream).troubled_since, row(upstream).message) == ("fresh", None, "")


def test_another_worker_that_takes_over_in_the_middle_keeps_the_beginning(upstream: Upstream) -> None:
    Freshness(upstream).troubled(DOWN)
    began = row(upstream).troubled_since
    Freshness(upstream).troubled(REFUSED)
    assert began is not None
    assert row(upstream).troubled_since == began
