"""Who changed a Stage's manifests, as its card and the API tell it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from promotions.choices import WriteMode
from promotions.models import ManifestHistory, Promotion, Stage
from promotions.observers import history
from promotions.present.application import cards
from promotions.present.history import manifest_commits
from promotions.present.matrix import stages
from tests import cast


def entry(sha: str, tag: str, *, author: str = "Tomás Silva", promotion: str = "") -> dict[str, str]:
    return {
        "sha": sha * 40,
        "title": f"Run {tag}",
        "author": author,
        "at": "2026-11-01T10:00:00+00:00",
        "url": f"https://gitlab.example.com/commit/{sha}",
        "tag": tag,
        "digest": "",
        "promotion": promotion,
    }


@pytest.fixture
def promotion(catalogue: cast.Catalogue, people: cast.People) -> Promotion:
    made = cast.make_promotion(catalogue, people.requester)
    Promotion.objects.filter(pk=made.pk).update(written_commit="b" * 40, target_commit="b" * 40)
    return made


def rows(stage: Stage, *entries: dict[str, str]) -> list[tuple[str, bool]]:
    """Keep a history, newest first; return for each commit what it asks for and whether it is ours."""
    ManifestHistory.objects.create(stage=stage, commit="f" * 40, commits=list(entries))
    shown = manifest_commits([Stage.objects.get(pk=stage.pk)])[stage.pk]
    return [(row.asks, row.promotion is not None) for row in shown]


def test_a_commit_that_left_the_version_alone_asks_for_nothing(catalogue: cast.Catalogue) -> None:
    found = rows(catalogue.production, entry("c", "1.1.0"), entry("b", "1.1.0"), entry("a", "1.0.0"))
    assert found == [("", False), ("1.1.0", False), ("1.0.0", False)]


def test_slipway_s_own_commit_is_told_from_one_that_copied_its_trailer(
    catalogue: cast.Catalogue, promotion: Promotion
) -> None:
    Stage.objects.update(write_mode=WriteMode.DIRECT)
    key = str(promotion.key)
    found = rows(
        catalogue.production,
        entry("c", "1.2.0", promotion=key),
        entry("b", "1.1.0", promotion=key),
        entry("a", "1.0.0", promotion="not a key"),
    )
    assert found == [("1.2.0", False), ("1.1.0", True), ("1.0.0", False)]


def test_a_squashed_merge_request_of_ours_stays_ours(catalogue: cast.Catalogue, promotion: Promotion) -> None:
    """GitLab makes another commit of it, with our message (reference gitlab-api.md, squash)."""
    assert catalogue.production.write_mode == WriteMode.TEAM_BRANCH
    assert rows(catalogue.production, entry("d", "1.1.0", promotion=str(promotion.key))) == [("1.1.0", True)]


def test_the_key_of_another_stage_s_promotion_says_nothing_here(
    catalogue: cast.Catalogue, promotion: Promotion
) -> None:
    assert rows(catalogue.dev, entry("b", "1.1.0", promotion=str(promotion.key))) == [("1.1.0", False)]


def test_the_card_names_who_changed_what(
    catalogue: cast.Catalogue, promotion: Promotion, client: Client, people: cast.People
) -> None:
    commits = [entry("c", "1.2.0"), entry("b", "1.1.0", author="Rin Sato", promotion=str(promotion.key))]
    ManifestHistory.objects.create(stage=catalogue.production, commit="f" * 40, commits=commits)
    (card,) = cards(list(stages().filter(pk=catalogue.production.pk)))
    assert [row.commit.author for row in card.history] == ["Tomás Silva", "Rin Sato"]
    viewer: User = people.viewer
    client.force_login(viewer)
    page = client.get(catalogue.application.get_absolute_url()).content.decode()
    for words in ("Last changes in Git", "Run 1.2.0", "Tomás Silva", "asks for 1.2.0", "outside Slipway"):
        assert words in page
    assert f"promotion #{promotion.pk}" in page


@pytest.mark.usefixtures("transactional_db")
def test_a_page_has_the_history_read_once_after_the_branch_moved(catalogue: cast.Catalogue) -> None:
    from procrastinate.contrib.django.models import ProcrastinateJob

    stage, state = catalogue.production, catalogue.production.state
    state.desired_commit, state.desired_places = "f" * 40, [{"file": "a.yaml", "key": "image"}]
    for _ in range(2):
        history.want(stage, state)
    jobs = ProcrastinateJob.objects.filter(task_name="promotions.read_history")
    assert [job.args for job in jobs] == [{"stage_id": stage.pk}]
    ManifestHistory.objects.create(stage=stage, commit="f" * 40, commits=[])
    history.want(stage, state)
    assert jobs.count() == 1
