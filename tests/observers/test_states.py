"""The three answers about a Stage come from different observers, at any moment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from integrations.argocd import ArgoCDClient
from integrations.argocd.reading import snapshot
from promotions.models import Stage, StageState
from promotions.observers.applications import take
from tests.cast import make_catalogue
from tests.integrations.loopback import fixture

pytestmark = pytest.mark.django_db


def test_an_observer_writes_its_own_answer_only() -> None:
    stage = make_catalogue().production
    StageState.objects.filter(stage=stage).delete()
    StageState.objects.create(stage=stage, desired_tag="1.0.0", running_tag="1.0.0")
    git, argocd = StageState.objects.get(stage=stage), StageState.objects.get(stage=stage)
    git.desired_tag, git.desired_commit = "1.1.0", "c" * 40
    argocd.running_tag, argocd.health_status = "1.1.0", "Progressing"
    git.save_desired()
    argocd.save_running()
    seen = StageState.objects.get(stage=stage)
    assert (seen.desired_tag, seen.desired_commit) == ("1.1.0", "c" * 40)
    assert (seen.running_tag, seen.health_status) == ("1.1.0", "Progressing")


def looks() -> int:
    return ProcrastinateJob.objects.filter(task_name="promotions.look_at_branch").count()


def test_argo_cd_knows_of_a_commit_that_we_do_not_so_the_branch_is_looked_at() -> None:
    """Whoever pushes to a plain Git server tells Argo CD or is found by its poll; us nobody tells."""
    stage = make_catalogue().production
    argocd = stage.argocd_connection
    assert argocd is not None
    data: Any = fixture("argocd/application-synced-healthy.json")
    seen = replace(snapshot(data, argocd.url), images=())
    Stage.objects.filter(pk=stage.pk).update(argocd_application=seen.name, argocd_project=seen.project)
    StageState.objects.update_or_create(
        stage=stage, defaults={"revision": "", "desired_commit": seen.revisions[0]}
    )
    client = ArgoCDClient(argocd.url, "")
    take(client, argocd, seen)
    assert looks() == 0, "what Argo CD compares with is what we read"
    take(client, argocd, replace(seen, revisions=("d" * 40,)))
    assert looks() == 1
