"""What comes from outside is text, whatever it says."""

from __future__ import annotations

import re
from pathlib import Path

from django.conf import settings
from django.test import Client

from promotions.models import Approval, Commit, Comparison, ImageVersion, StageState, StepResult
from promotions.present.links import safe_url
from tests import cast
from tests.pages.conftest import SignIn

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def poison(catalogue: cast.Catalogue, people: cast.People) -> list[str]:
    """Put hostile text wherever a stranger's text is shown; return the pages that show it."""
    Commit.objects.update(title=EVIL, author_name=EVIL, web_url="javascript:alert(1)")
    ImageVersion.objects.update(tag=EVIL[:100], tags=[EVIL[:100]])
    StageState.objects.update(desired_problem=EVIL, running_problem=EVIL, running_others=[EVIL])
    Comparison.objects.create(
        connection=catalogue.gitlab,
        project=cast.SOURCE_PROJECT,
        base=catalogue.old.commit,
        head=catalogue.newer.commit,
        commits=[{"sha": EVIL, "title": EVIL, "author": EVIL, "url": "javascript:alert(1)"}],
        merge_requests=[{"iid": 1, "title": EVIL, "author": EVIL, "url": "data:text/html,x"}],
    )
    promotion = cast.make_promotion(
        catalogue,
        people.requester,
        reason=EVIL,
        message=EVIL,
        requested_by_name=EVIL,
        diff=cast.DIFF.replace("ports:", EVIL).replace("overlays", EVIL),
        merge_request_url="javascript:alert(1)",
        edits=[{"file": EVIL, "key": EVIL, "old": EVIL, "new": EVIL}],
    )
    StepResult.objects.create(promotion=promotion, step="write", message=EVIL, link="javascript:alert(1)")
    Approval.objects.create(
        promotion=promotion, person_name=EVIL, decision="approved", comment=EVIL, change_hash="f" * 64
    )
    run = cast.make_run(catalogue, log=EVIL, message=EVIL, params={EVIL: EVIL}, results={EVIL: EVIL})
    delivery = cast.make_delivery(
        catalogue, EVIL.encode(), headers={EVIL: EVIL}, summary=EVIL, kind=EVIL, message=EVIL
    )
    cast.make_upstream(catalogue.gitlab, "branches", trouble=EVIL)
    return [
        "/",
        "/?q=" + EVIL,
        "/promotions/",
        "/deliveries/",
        "/upstreams/",
        catalogue.application.get_absolute_url(),
        promotion.get_absolute_url(),
        f"{promotion.get_absolute_url()}approve/",
        f"/applications/{catalogue.application.slug}/production/promote/{catalogue.newer.pk}/",
        run.get_absolute_url(),
        f"/deliveries/{delivery.pk}/",
    ]


def test_no_text_from_outside_becomes_markup(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    client: Client = sign_in(people.admin)
    for address in poison(catalogue, people):
        response = client.get(address)
        assert response.status_code == 200, address
        page = response.content.decode()
        assert "<img src=x" not in page, address
        assert "<script>alert" not in page, address
        assert not re.search(r"""(?:href|src|action)=["']?(?:javascript|data):""", page), address


def test_only_addresses_that_navigate_become_links() -> None:
    assert safe_url("https://gitlab.example.com/x") == "https://gitlab.example.com/x"
    assert safe_url("/runs/1/") == "/runs/1/"
    for evil in ("javascript:alert(1)", "data:text/html,x", "//evil.example", "https:///x", "http://[", "x"):
        assert safe_url(evil) == ""


def test_templates_hold_nothing_that_the_content_security_policy_forbids() -> None:
    forbidden = re.compile(
        r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|https?://(?!www\.w3\.org)", re.I
    )
    found = {
        path.name: match.group()
        for path in Path(settings.ROOT / "templates").rglob("*.html")
        if (match := forbidden.search(path.read_text()))
    }
    assert found == {}


def test_pages_say_which_scripts_and_styles_may_run(people: cast.People, sign_in: SignIn) -> None:
    policy = sign_in(people.viewer).get("/")["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-inline" not in policy


def test_errors_have_pages_of_their_own(people: cast.People, sign_in: SignIn) -> None:
    client = sign_in(people.viewer)
    assert "Nothing here" in client.get("/promotions/999999/").content.decode()
    assert "Not for you" in client.get("/deliveries/").content.decode()
