"""Breaking the glass on the pages, and the reviews it leaves."""

from __future__ import annotations

import re

from django.urls import reverse

from promotions.models import BreakGlass, Environment, FreezeWindow, Promotion, ReviewTask
from tests import cast
from tests.pages.conftest import SignIn

PLACE = "flask-k8s-example / Production"


def said(**more: object) -> dict[str, object]:
    return {
        "gates": ["approvals", "freeze"],
        "reason": "Orders are being lost",
        "confirm": PLACE,
        "seen_hash": cast.HASH,
        **more,
    }


def test_an_admin_lets_a_promotion_pass_named_gates(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    promotion = cast.make_promotion(catalogue, people.requester)
    client, url = sign_in(people.admin), reverse("promotion-break-glass", args=[promotion.pk])
    assert "Break the glass …" in client.get(promotion.get_absolute_url()).content.decode()
    page = client.get(url).content.decode()
    assert "1 approval is missing." in page
    assert f"The stage's name is: {PLACE}" in page.replace("&#x27;", "'")
    assert re.search(r'value="approvals"[^>]* checked', page), "what stands in the way is ticked"
    assert 'value="lock"' not in page
    answer = client.post(url, said())
    assert answer["Location"] == promotion.get_absolute_url()
    promotion.refresh_from_db()
    assert promotion.status == "approved"
    shown = client.get(promotion.get_absolute_url()).content.decode()
    assert "Mar Costa" in shown
    assert "passed approvals, freeze:" in shown
    assert "Waits for somebody else's review …" in shown
    assert "broke the glass" in shown


def test_what_is_missing_or_wrong_is_said_and_what_was_typed_stays(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    promotion = cast.make_promotion(catalogue, people.requester)
    client, url = sign_in(people.admin), reverse("promotion-break-glass", args=[promotion.pk])
    assert client.post(url, said(reason="")).status_code == 422
    assert client.post(url, said(gates=["role"])).status_code == 422
    wrong = client.post(url, said(confirm="Production"))
    assert wrong.status_code == 409
    page = wrong.content.decode().replace("&#x27;", "'")
    assert f"Type the stage's name, {PLACE}." in page
    assert "Orders are being lost" in page
    stale = client.post(url, said(seen_hash="0" * 64))
    assert (stale.status_code, "no longer the one you saw" in stale.content.decode()) == (409, True)
    assert client.put(url).status_code == 405
    assert not BreakGlass.objects.exists()


def test_others_are_told_who_may_and_see_no_button(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    promotion = cast.make_promotion(catalogue, people.requester)
    url = reverse("promotion-break-glass", args=[promotion.pk])
    for who in (people.requester, people.approver):
        client = sign_in(who)
        assert "Break the glass" not in client.get(promotion.get_absolute_url()).content.decode()
        assert "that takes the role admin" in client.get(url).content.decode()
        assert client.post(url, said()).status_code == 409
    assert sign_in(people.outsider).get(url).status_code == 404
    assert not BreakGlass.objects.exists()


def test_what_gates_let_nobody_ask_for_is_asked_for_through_the_glass(
    reachable: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    Environment.objects.filter(slug="production").update(policy={"requires": ["dev"]})
    client = sign_in(people.admin)
    place = [reachable.application.slug, "production", reachable.newer.pk]
    url = reverse("promote-break-glass", args=place)
    assert f'href="{url}"' in client.get(reverse("promote", args=place)).content.decode()
    assert url not in sign_in(people.requester).get(reverse("promote", args=place)).content.decode()
    page = client.get(url).content.decode()
    assert "has not been in" in page
    found = re.search(r'name="seen_hash" value="([0-9a-f]{64})"', page)
    assert found
    assert client.post(url, said(gates=["approvals"], seen_hash=found[1])).status_code == 409
    answer = client.post(url, said(gates=["order"], seen_hash=found[1]))
    made = Promotion.objects.get()
    assert (answer["Location"], made.status) == (made.get_absolute_url(), "requested")
    assert made.broken_glass.get().gates == ["order"]


def test_open_reviews_stand_on_a_page_and_somebody_else_closes_them(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    promotion = cast.make_promotion(catalogue, people.requester)
    task = cast.make_review(promotion, people.admin)
    own = sign_in(people.admin).get(reverse("reviews")).content.decode()
    assert "Orders are being lost." in own
    assert "Who broke the glass or asked for the promotion can&#x27;t review it." in own
    assert "Orders are being lost." not in sign_in(people.outsider).get(reverse("reviews")).content.decode()
    client, url = sign_in(people.approver), task.get_absolute_url()
    assert f'href="{url}"' in client.get(reverse("reviews")).content.decode()
    assert "Mar Costa passed freeze: Orders are being lost." in client.get(url).content.decode()
    assert client.post(url, {"comment": ""}).status_code == 422
    assert sign_in(people.admin).post(url, {"comment": "Fine"}).status_code == 409
    assert client.post(url, {"comment": "It was right"})["Location"] == reverse("reviews")
    late = client.post(url, {"comment": "Once more"})
    assert (late.status_code, "closed already" in late.content.decode()) == (409, True)
    page = client.get(reverse("reviews")).content.decode()
    assert "Nothing waits for a review." in page
    assert "It was right" in page
    assert ReviewTask.objects.get().closed_by == people.approver
    shown = client.get(promotion.get_absolute_url()).content.decode()
    assert "Reviewed by Ada Weber:" in shown


def test_the_promote_page_offers_no_glass_where_nothing_stands_in_the_way(
    reachable: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    place = [reachable.application.slug, "production", reachable.newer.pk]
    client = sign_in(people.admin)
    assert "Break the glass" not in client.get(reverse("promote", args=place)).content.decode()
    FreezeWindow.objects.create(slug="all", begins_at="2020-01-01T00:00", ends_at="2099-01-01T00:00")
    assert "Break the glass" in client.get(reverse("promote", args=place)).content.decode()
