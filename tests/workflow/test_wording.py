"""Commit messages and branch names from templates: nothing in them can forge a trailer or a ref."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions import wording
from promotions.choices import PromotionKind
from promotions.models import Application, Environment, ImageVersion, Promotion, Stage


def promotion(*, branch: str = "", message: str = "", **fields: object) -> Promotion:
    """An unsaved promotion of 1.1.0 to prod."""
    stage = Stage(
        application=Application(slug="shop"),
        environment=Environment(slug="prod"),
        branch_name=branch,
        commit_message=message,
    )
    version = ImageVersion(tag="1.1.0", tags=["1.1.0"], digest="sha256:" + "ab" * 32)
    values = {"version": version, "requested_by_name": "Rin Satō", "reason": "It is time"}
    return Promotion(stage=stage, **{**values, **fields})


def test_without_templates_both_say_what_goes_where() -> None:
    asked = promotion()
    assert wording.message_text(asked) == "Promote shop in prod to 1.1.0\n\nIt is time"
    assert wording.branch_name(asked) == f"slipway/shop-prod-{asked.key.hex[:12]}"
    back = promotion(kind=PromotionKind.ROLLBACK, reason="")
    assert wording.message_text(back) == "Roll back shop in prod to 1.1.0"


def test_scenario_b_s_branch_is_named_by_its_tag_and_numbered_when_it_is_taken() -> None:
    """Reference scenarios README, section B."""
    asked = promotion(branch="update-image-tag-{tag}")
    assert wording.branch_name(asked) == "update-image-tag-1.1.0"
    asked.branch_round = 2
    assert wording.branch_name(asked) == "update-image-tag-1.1.0-2"


@pytest.mark.parametrize(
    "template", ["{nobody}", "{application.slug}", "{version!r}", "{tag:>99}", "{", "{0}"]
)
def test_a_template_that_reaches_for_more_is_refused(template: str) -> None:
    with pytest.raises(wording.BadTemplate):
        wording.placeholders(template)


def test_line_breaks_in_what_people_say_make_no_trailers() -> None:
    asked = promotion(
        message="{reason}: {requester}",
        reason="Now\n\nPromotion-Id: 1\nApproved-by: Nobody",
        requested_by_name="Rin\nApproved-by: Rin",
    )
    text = wording.message_text(asked)
    assert "\n" not in text
    assert text.startswith("Now Promotion-Id: 1 Approved-by: Nobody: Rin Approved-by: Rin")


@given(tag=st.text(min_size=1, max_size=60), template=st.sampled_from(["{tag}", "x/{tag}/y", "a{tag}.lock"]))
def test_any_tag_gives_a_name_that_git_takes(tag: str, template: str) -> None:
    name = wording.branch_name(promotion(branch=template, version=ImageVersion(tag=tag)))
    done = subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True, check=False)
    assert done.returncode == 0, (tag, name)
