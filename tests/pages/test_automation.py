"""Pins and set times on the pages: allowed, forbidden, stale, shown."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from promotions.choices import AutomationState, PromoteMode
from promotions.models import Automation, Environment, Pin, Promotion, Schedule, Stage
from promotions.present.application import stage_card
from tests import cast
from tests.pages.conftest import SignIn


@pytest.fixture
def stage(catalogue: cast.Catalogue) -> Stage:
    Stage.objects.filter(pk=catalogue.production.pk).update(promote=PromoteMode.AUTOMATICALLY)
    return Stage.objects.get(pk=catalogue.production.pk)


def html(client: Client, url: str) -> str:
    return client.get(url).content.decode()


def pin_url() -> str:
    return reverse("stage-pin", args=["flask-k8s-example", "production"])


def test_a_card_says_how_automatic_promotion_stands(
    stage: Stage, catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    client, url = sign_in(people.viewer), catalogue.application.get_absolute_url()
    assert "Promotes automatically (newest by semver)." in html(client, url)
    row = Automation.objects.create(
        stage=stage, state=AutomationState.WAITING, version=catalogue.newer, message="It soaks till noon."
    )
    told = "Promotes automatically (newest by semver), next: 1.1.0, waits for: It soaks till noon."
    assert told in html(client, url)
    row.state, row.message = AutomationState.HELD, "Somebody set it back."
    row.save()
    assert "Automatic promotion is held: Somebody set it back." in html(client, url)
    row.state, row.message = AutomationState.IDLE, "Nothing newer is known by semver."
    row.save()
    assert "(newest by semver). Nothing newer is known by semver." in html(client, url)


def test_who_may_do_what_here_names_slipway(
    stage: Stage, catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    shown = html(sign_in(people.viewer), reverse("stage-access", args=["flask-k8s-example", "production"]))
    assert "ask for the newest version" in shown
    assert "the catalogue: promote: automatically" in shown
    shown = html(sign_in(people.viewer), reverse("stage-access", args=["flask-k8s-example", "dev"]))
    assert "ask for the newest version" not in shown


def test_a_stage_that_people_promote_to_says_nothing_of_it(catalogue: cast.Catalogue) -> None:
    card = stage_card(str(catalogue.production.pk))
    assert card is not None
    assert card.automation is None


def test_a_developer_pins_what_is_there_and_another_one_lifts_it(
    stage: Stage, catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    client = sign_in(people.requester)
    asking = html(client, pin_url())
    assert f'<option value="{catalogue.old.pk}" selected>1.0.0</option>' in asking
    said = {"act": "pin", "version": catalogue.old.pk, "reason": "The fair is on"}
    assert client.post(pin_url(), said)["Location"] == stage.get_absolute_url()
    shown = html(sign_in(people.viewer), catalogue.application.get_absolute_url())
    assert "held: pinned to 1.0.0 by Rin Sato because: The fair is on" in shown
    assert client.post(pin_url(), said).status_code == 409
    assert "The fair is on" in html(client, pin_url())
    lift = {"act": "unpin", "reason": "It is over"}
    assert sign_in(people.approver).post(pin_url(), lift).status_code == 302
    assert not Pin.objects.filter(lifted_at=None).exists()
    assert sign_in(people.approver).post(pin_url(), lift).status_code == 409


def test_a_pin_needs_its_reason_a_version_of_the_image_and_the_role(
    stage: Stage, catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    client = sign_in(people.requester)
    good = {"act": "pin", "version": catalogue.old.pk, "reason": "x"}
    for wrong in ({"reason": " "}, {"version": catalogue.dev_build.pk}):
        assert client.post(pin_url(), {**good, **wrong}).status_code == 422
    refused = sign_in(people.viewer).post(pin_url(), good)
    assert refused.status_code == 409
    assert "is not a developer" in refused.content.decode()
    assert "disabled" in html(sign_in(people.viewer), pin_url())
    assert not Pin.objects.exists()


def promote_url(catalogue: cast.Catalogue) -> str:
    return reverse("promote", args=["flask-k8s-example", "production", catalogue.newer.pk])


def test_a_promotion_is_asked_for_a_set_time_and_its_page_says_when(
    reachable: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    client, url = sign_in(people.requester), promote_url(reachable)
    seen = client.get(url)
    assert 'value="UTC"' in seen.content.decode()
    said = {"seen_hash": seen.context["seen_hash"], "reason": "tonight", "time_zone": "Europe/Berlin"}
    missing = client.post(url, {**said, "not_before": "2027-03-28T02:30"})
    assert missing.status_code == 422
    assert "There is no 02:30 on 2027-03-28 in Europe/Berlin" in missing.content.decode()
    assert 'value="2027-03-28T02:30"' in missing.content.decode()
    tomorrow = (timezone.now() + timedelta(days=1)).replace(hour=21, minute=30, second=0, microsecond=0)
    begin = tomorrow.replace(tzinfo=None).isoformat(timespec="minutes")
    answer = client.post(url, {**said, "time_zone": "UTC", "not_before": begin})
    promotion = Promotion.objects.get()
    assert answer["Location"] == promotion.get_absolute_url()
    assert Schedule.objects.get().not_before == tomorrow
    page = html(sign_in(people.viewer), promotion.get_absolute_url())
    assert "9:30 p.m. UTC (UTC), if every gate is open then." in page
    assert "set a time for it" in page
    assert "It is scheduled for" in page


def test_the_question_says_which_way_it_goes_and_what_gives_way(
    reachable: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    """Reference tag-ordering.md rule 12: a label, never a refusal."""
    image = reachable.newer.image
    older, newest = (cast.make_version(image, tag, commit=tag[0] * 40) for tag in ("0.9.0", "7.0.0"))
    cast.make_promotion(reachable, people.requester)
    client = sign_in(people.requester)
    for version, words in ((older, "a downgrade by semver"), (newest, "an upgrade by semver")):
        shown = html(client, reverse("promote", args=["flask-k8s-example", "production", version.pk]))
        assert words in shown
        assert "of 1.1.0 has not begun and gives way to this one." in shown


def test_who_rolls_back_reads_that_it_pins(
    stage: Stage, reachable: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    ended = {"status": "succeeded", "target_commit": "b" * 40, "finished_at": timezone.now()}
    forward = cast.make_promotion(
        reachable, people.requester, version=reachable.old, from_version=reachable.newer, **ended
    )
    shown = html(sign_in(people.requester), reverse("promotion-roll-back", args=[forward.pk]))
    assert "Rolling back pins the stage to this version" in shown
    assert "At a set time" not in shown


def test_the_form_asks_in_the_stage_s_time_zone_else_in_the_person_s(
    reachable: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    """The browser knows a person's zone: static/js/times.js puts it where the page lets it."""
    client, url = sign_in(people.requester), promote_url(reachable)
    assert "data-own-zone" in html(client, url)
    Environment.objects.filter(slug="production").update(policy={"time_zone": "Asia/Tokyo"})
    shown = html(client, url)
    assert 'value="Asia/Tokyo"' in shown
    assert "data-own-zone" not in shown
