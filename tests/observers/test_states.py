"""The three answers about a Stage come from different observers, at any moment."""

from __future__ import annotations

import pytest

from promotions.models import StageState
from tests.cast import make_catalogue

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
