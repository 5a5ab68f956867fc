"""A Stage that promotes automatically, and what happens around it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F

from promotions import automation, engine
from promotions.choices import PromoteMode, PromotionStatus
from promotions.models import (
    Automation,
    Environment,
    ImageVersion,
    Promotion,
    Stage,
    StageState,
)
from tests import cast
from tests.workflow.small_gitlab import SmallGitLab

S = PromotionStatus
H = timedelta(hours=1)


@pytest.fixture
def stage(catalogue: cast.Catalogue, git: SmallGitLab) -> Stage:
    """Production promotes automatically, runs 1.0.0, and 1.1.0 is there; it asks for no approval."""
    Environment.objects.update(required_approvals=0)
    Stage.objects.filter(pk=catalogue.production.pk).update(promote=PromoteMode.AUTOMATICALLY)
    return Stage.objects.select_related("application", "environment", "image").get(pk=catalogue.production.pk)


def version(catalogue: cast.Catalogue, git: SmallGitLab, tag: str) -> ImageVersion:
    made = cast.make_version(catalogue.newer.image, tag, commit=f"{abs(hash(tag)):040x}"[:40])
    git.images[tag] = made.digest
    return made


def looked_at(stage: Stage) -> Automation:
    automation.look_at(stage.pk)
    return Automation.objects.get(stage=stage)


def arrived(stage: Stage, promotion: Promotion) -> None:
    """The promotion runs to its end and the observers see it."""
    engine.advance(promotion.pk)
    promotion.refresh_from_db()
    assert promotion.status == S.SUCCEEDED, promotion.message
    sees(stage, promotion.version)


def sees(stage: Stage, now: ImageVersion) -> None:
    StageState.objects.filter(stage=stage).update(
        desired_version=now, desired_tag=now.tag, running_version=now, running_tag=now.tag
    )
    Promotion.objects.filter(finished_at__isnull=False).update(status_at=F("status_at") - H)
