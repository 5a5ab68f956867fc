"""The versions a Stage ran, on its card and its page, and the way back to each."""

from __future__ import annotations

import re

from django.urls import reverse
from django.utils import timezone

from promotions.choices import PromotionKind, PromotionStatus
from promotions.models import Environment, Promotion, Residence
from tests import cast
from tests.pages.conftest import SignIn


def address(name: str, catalogue: cast.Catalogue, *more: object) -> str:
    return reverse(name, args=[catalogue.application.slug, "production", *more])


def succeeded(catalogue: cast.Catalogue, people: cast.People, **fields: object) -> Promotion:
    now = timezone.now()
    done = {"status": PromotionStatus.SUCCEEDED, "finished_at": now, "written_at": now}
    return cast.make_promotion(catalogue, people.requester, target_commit="b" * 40, **{**done, **fields})


def test_the_card_and_the_page_list_what_ran_with_who_brought_it_and_a_way_back(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    done = succeeded(catalogue, people)
    client = sign_in(people.viewer)
    back = address("stage-roll-back", catalogue, catalogue.newer.pk)
    for url in (catalogue.application.get_absolute_url(), address("stage-history", catalogue)):
        page = client.get(url).content.decode()
        assert f"brought by Rin Sato, promotion #{done.pk}" in page
        assert "Roll back to 1.1.0 …" in page
        assert f'href="{back}"' in page
        assert "Roll back to 1.0.0 …" not in page, "it runs here now"


def test_the_page_that_asks_shows_the_change_and_what_it_takes_back(
    reachable: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    """Promoted 1.1.0, then 1.0.0 over it; another application edited the same file since."""
    Environment.objects.filter(slug="production").update(policy={"rollback": {"required_approvals": 0}})
    succeeded(reachable, people)
    last = succeeded(reachable, people, version=reachable.old, from_version=reachable.newer)
    reachable.dev.manifest_branch = "main"
    reachable.dev.save()
    other = succeeded(reachable, people, stage=reachable.dev)
    url = address("stage-roll-back", reachable, reachable.newer.pk)
    client = sign_in(people.requester)
    page = client.get(url).content.decode()
    assert "Roll flask-k8s-example back to 1.1.0 in Production?" in page
    assert '<mark class="changed">1.1.0</mark>' in page
    assert "What this takes back" in page
    assert f"promotion #{last.pk}" in page
    assert f"promotion #{other.pk}" in page
    assert "No approval is asked for a roll-back here" in page
    found = re.search(r'name="seen_hash" value="([0-9a-f]{64})"', page)
    assert found
    response = client.post(url, {"reason": "It does not start.", "seen_hash": found[1]})
    made = Promotion.objects.latest("pk")
    assert response["Location"] == made.get_absolute_url()
    assert (made.kind, made.rollback_of, made.status) == (PromotionKind.ROLLBACK, last, "approved")


def test_a_viewer_reads_why_not(reachable: cast.Catalogue, people: cast.People, sign_in: SignIn) -> None:
    succeeded(reachable, people)
    url = address("stage-roll-back", reachable, reachable.newer.pk)
    client = sign_in(people.viewer)
    assert "Vic Lund is not a developer of" in client.get(url).content.decode()
    said = {"reason": "x", "seen_hash": "e" * 64}
    assert client.post(url, said).status_code == 409
    assert Promotion.objects.count() == 1
    assert client.put(url).status_code == 405


def test_what_never_ran_there_can_not_be_rolled_back_to(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    url = address("stage-roll-back", catalogue, catalogue.newer.pk)
    assert sign_in(people.requester).get(url).status_code == 404
    Residence.objects.create(stage=catalogue.production, version=catalogue.newer)
    assert sign_in(people.requester).get(url).status_code == 200
    assert sign_in(people.outsider).get(url).status_code == 404
