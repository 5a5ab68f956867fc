"""Argo CD repeats itself: what of its stream is taken, what says nothing new (argocd-api.md section 4)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from integrations.argocd.reading import snapshot
from integrations.argocd.types import ApplicationSnapshot
from promotions.observers.applications import TAKE_AGAIN_AFTER, Taken
from tests.integrations.loopback import fixture


def seen(name: str = "synced-healthy") -> ApplicationSnapshot:
    data: Any = fixture(f"argocd/application-{name}.json")
    return snapshot(data, "https://argocd.example.com")


def another_look(at: ApplicationSnapshot) -> ApplicationSnapshot:
    """The same application after Argo CD compared it once more."""
    assert at.reconciled_at is not None
    later = at.reconciled_at + timedelta(minutes=3)
    return replace(at, resource_version=f"{at.resource_version}9", reconciled_at=later)


def test_another_look_with_the_same_result_is_no_news_and_any_other_result_is() -> None:
    taken, first = Taken(), seen()
    assert taken.is_news(first)
    assert not taken.is_news(another_look(first))
    moved = replace(first, health_status="Progressing")
    assert taken.is_news(moved)
    assert taken.is_news(first), "back again is news as well"


def test_applications_are_told_apart_by_project_and_name() -> None:
    taken, first = Taken(), seen()
    taken.is_news(first)
    assert taken.is_news(replace(first, name="another"))
    assert taken.is_news(replace(first, project="another"))
    assert not taken.is_news(first)


def test_what_was_deleted_is_news_when_it_comes_back() -> None:
    taken, first = Taken(), seen()
    taken.is_news(first)
    taken.forget(first)
    assert taken.is_news(first)


def test_it_is_taken_again_after_a_while_for_pods_may_change_without_a_word() -> None:
    moment = [0.0]
    taken, first = Taken(clock=lambda: moment[0]), seen()
    assert taken.is_news(first)
    moment[0] = TAKE_AGAIN_AFTER - 1
    assert not taken.is_news(first)
    moment[0] = TAKE_AGAIN_AFTER + 1
    assert taken.is_news(first)
