"""Pins, automatic promotion and set times in the API."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from promotions.choices import AutomationState, PromoteMode
from promotions.models import Automation, Pin, Promotion, Stage
from tests.api.conftest import ClientOf
from tests.cast import Catalogue, People
from tests.integrations.loopback import Loopback


@pytest.fixture
def path(catalogue: Catalogue) -> str:
    Stage.objects.filter(pk=catalogue.production.pk).update(promote=PromoteMode.AUTOMATICALLY)
    return f"/api/stages/{catalogue.production.pk}/"


def test_a_stage_says_how_automatic_promotion_stands(
    path: str, catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    client = client_of(people.viewer)
    assert client.get(path).json()["promote"] == "automatically"
    assert client.get(path).json()["automation"]["state"] is None
    Automation.objects.create(
        stage=catalogue.production, state=AutomationState.WAITING, version=catalogue.newer, message="Soaks."
    )
    told = client.get(path).json()["automation"]
    assert (told["newest_by"], told["state"], told["message"]) == ("semver", "waiting", "Soaks.")
    assert told["version"]["label"] == "1.1.0"
    assert client.get(f"/api/stages/{catalogue.dev.pk}/").json()["automation"] is None


def test_a_stage_is_pinned_and_unpinned(
    path: str, catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    client, body = client_of(people.requester), {"version": catalogue.old.pk, "reason": "The fair is on"}
    told = client.post(f"{path}pin/", body, format="json").json()["automation"]
    assert told["state"] == "held"
    assert told["pin"]["set_by"] == "Rin Sato"
    assert told["pin"]["version"]["label"] == "1.0.0"
    again = client.post(f"{path}pin/", body, format="json")
    assert (again.status_code, again.json()["stale"]) == (409, True)
    lifted = client.post(f"{path}unpin/", {"reason": "Over"}, format="json")
    assert lifted.json()["automation"]["pin"] is None
    assert client.post(f"{path}unpin/", {"reason": "Over"}, format="json").status_code == 409


def test_who_may_not_or_asks_for_nonsense_pins_nothing(
    path: str, catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    body = {"version": catalogue.old.pk, "reason": "x"}
    refused = client_of(people.viewer).post(f"{path}pin/", body, format="json")
    assert (refused.status_code, refused.json()["refusals"][0]["gate"]) == (409, "role")
    assert client_of(people.outsider).post(f"{path}pin/", body, format="json").status_code == 404
    client = client_of(people.requester)
    assert client.post(f"{path}pin/", {"version": 1}, format="json").status_code == 400
    other = {**body, "version": catalogue.dev_build.pk}
    assert client.post(f"{path}pin/", other, format="json").json()["refusals"][0]["gate"] == "image"
    assert not Pin.objects.exists()


def test_a_promotion_is_asked_for_a_set_time(
    catalogue: Catalogue, people: People, client_of: ClientOf, gitlab: Loopback
) -> None:
    begin = timezone.now().replace(microsecond=0) + timedelta(hours=5)
    body = {"stage": catalogue.production.pk, "version": catalogue.newer.pk, "reason": "tonight"}
    times = {"not_before": begin.isoformat(), "until": (begin + timedelta(hours=2)).isoformat()}
    client = client_of(people.requester)
    made = client.post("/api/promotions/", {**body, **times, "time_zone": "Asia/Tokyo"}, format="json")
    assert made.status_code == 201, made.json()
    schedule = made.json()["schedule"]
    assert schedule["not_before"] == begin.isoformat().replace("+00:00", "Z")
    assert schedule["time_zone"] == "Asia/Tokyo"
    assert "JST" in schedule["sentence"]
    again = client.post("/api/promotions/", {**body, **times, "time_zone": "Asia/Tokyo"}, format="json")
    assert again.json()["id"] == made.json()["id"]
    now = client.post("/api/promotions/", body, format="json")
    assert (now.status_code, now.json()["refusals"][0]["gate"]) == (409, "requested")
    listed = client.get("/api/promotions/").json()["results"]
    assert [row["schedule"]["note"] for row in listed] == [""]


@pytest.mark.parametrize(
    ("times", "key", "sentence"),
    [
        ({"not_before": "2027-03-28T02:30", "time_zone": "Europe/Berlin"}, "not_before", "There is no 02:30"),
        ({"not_before": "2020-01-01T00:00Z"}, "not_before", "has passed already"),
        ({"not_before": "2020-01-01T00:00", "time_zone": "Mars"}, "time_zone", "no time zone Mars"),
        ({"until": "2027-01-01T00:00"}, "until", "needs not_before"),
        ({"not_befor": "x"}, "not_befor", "Unknown key"),
    ],
)
def test_a_time_that_can_t_be_is_refused_by_name(
    catalogue: Catalogue, people: People, client_of: ClientOf, times: dict[str, str], key: str, sentence: str
) -> None:
    body = {"stage": catalogue.production.pk, "version": catalogue.newer.pk, "reason": "tonight", **times}
    answer = client_of(people.requester).post("/api/promotions/", body, format="json")
    assert answer.status_code == 400
    assert sentence in answer.json()[key][0]
    assert not Promotion.objects.exists()
