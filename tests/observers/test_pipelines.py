"""GitLab CI's pipelines as build runs: connected to the version of their commit in whatever order."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from promotions.models import PipelineRun
from promotions.observers.pipelines import name_builds
from tests import cast

URL = "https://gitlab.example.com/gitlab/flask-k8s-example/-/pipelines/7"


def pipeline(catalogue: cast.Catalogue, uid: str, *, minutes_ago: int = 0, url: str = URL) -> PipelineRun:
    return PipelineRun.objects.create(
        connection=catalogue.gitlab,
        application=catalogue.application,
        uid=uid,
        namespace=cast.SOURCE_PROJECT,
        name=f"pipeline-{uid}",
        pipeline="GitLab CI, main",
        status="succeeded",
        commit="d" * 40,
        created_at=timezone.now() - timedelta(minutes=minutes_ago),
        web_url=url,
    )


def test_a_version_is_connected_to_the_first_pipeline_of_its_commit(catalogue: cast.Catalogue) -> None:
    """Later ones on the same commit are scheduled tests and the like."""
    type(catalogue.newer).objects.filter(pk=catalogue.newer.pk).update(commit="d" * 40, built_by=None)
    pipeline(catalogue, "9")
    first = pipeline(catalogue, "8", minutes_ago=30)
    name_builds(catalogue.application)
    catalogue.newer.refresh_from_db()
    assert catalogue.newer.built_by == first
    other = pipeline(catalogue, "7", minutes_ago=60)
    name_builds(catalogue.application)
    catalogue.newer.refresh_from_db()
    assert catalogue.newer.built_by == first != other


@pytest.mark.parametrize(("url", "is_linked"), [(URL, True), ("javascript:alert(1)", False)])
def test_a_pipeline_s_page_links_to_its_jobs_in_gitlab(
    catalogue: cast.Catalogue, people: cast.People, client: Client, url: str, is_linked: bool
) -> None:
    run = pipeline(catalogue, "7", url=url)
    client.force_login(people.viewer)
    page = client.get(run.get_absolute_url()).content.decode()
    assert (f'href="{URL}"' in page) == is_linked
    assert "javascript" not in page.partition("<main")[2]
    assert ("Tasks" in page) != is_linked
