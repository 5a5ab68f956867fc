"""One watcher for each upstream: taken by one, kept by renewing, given back, and inherited from the dead."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from promotions.models import Upstream
from promotions.observers import leases
from tests import cast
from tests.workflow.conftest import at_once


@pytest.fixture
def upstream(catalogue: cast.Catalogue) -> Upstream:
    return cast.make_upstream(catalogue.gitlab, "branches")


def holder(upstream: Upstream) -> str:
    return Upstream.objects.get(pk=upstream.pk).holder


def test_a_lease_is_one_worker_s_until_it_ends_and_only_its_holder_renews_it(upstream: Upstream) -> None:
    assert leases.acquire(upstream, "one")
    assert not leases.acquire(upstream, "two")
    assert leases.acquire(upstream, "one")
    assert holder(upstream) == "one"
    assert leases.held_by_others("two") == [upstream.name]
    assert leases.held_by_others("one") == []


def test_a_lease_that_ended_is_anybody_s_and_then_no_longer_the_first_one_s(upstream: Upstream) -> None:
    leases.acquire(upstream, "one")
    Upstream.objects.update(held_until=timezone.now() - timedelta(seconds=1))
    assert leases.held_by_others("two") == []
    assert leases.acquire(upstream, "two")
    assert not leases.acquire(upstream, "one")


def test_what_is_given_back_is_free_at_once_and_what_others_hold_stays_theirs(
    upstream: Upstream, catalogue: cast.Catalogue
) -> None:
    other = cast.make_upstream(catalogue.tekton, "taskruns")
    leases.acquire(upstream, "one")
    leases.acquire(other, "two")
    leases.release("one")
    assert (holder(upstream), holder(other)) == ("", "two")
    assert leases.acquire(upstream, "three")


def test_a_dead_holder_is_succeeded_within_10_seconds_whenever_it_died() -> None:
    """Design section 5: taken over within 10 s when its holder dies."""
    assert leases.TERM.total_seconds() + leases.RENEW_EVERY <= 10
    assert leases.TERM.total_seconds() > 2 * leases.RENEW_EVERY, "one late renewal must not lose the lease"


def test_of_ten_that_want_a_lease_at_the_same_moment_one_gets_it(
    transactional_db: None, upstream: Upstream
) -> None:
    for _ in range(3):
        Upstream.objects.update(holder="dead", held_until=timezone.now() - timedelta(seconds=1))
        got = at_once(*[partial(leases.acquire, upstream, f"worker {number}") for number in range(10)])
        assert got.count(True) == 1
        assert holder(upstream) == f"worker {got.index(True)}"
