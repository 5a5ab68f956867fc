"""Each person chooses for themselves; administrators see which channel takes no messages."""

from __future__ import annotations

import pytest

from promotions.models import AuditEntry, Notification, NotificationChannel, Promotion, Subscription
from promotions.telling import sending
from tests import cast
from tests.notifications.conftest import Room, channel, direct
from tests.pages.conftest import SignIn

pytestmark = pytest.mark.django_db
PAGE = "/account/notifications/"


def test_what_is_chosen_is_kept_shown_and_recorded(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    direct()
    client = sign_in(people.viewer)
    chosen = {"direct-events": ["failed", "requested"], "direct-applications": ["flask-k8s-example"]}
    assert client.post(PAGE, chosen).status_code == 302
    kept = Subscription.objects.get()
    assert (kept.user, kept.events) == (people.viewer, ["failed", "requested"])
    assert kept.applications == ["flask-k8s-example"]
    assert kept.language == "en"
    page = client.get(PAGE).content.decode()
    assert page.count(" checked") == 3
    assert "waiting for your approval" in page
    entry = AuditEntry.objects.get(action="notifications.chosen")
    assert "failed, requested (flask-k8s-example)" in str(entry.data)


def test_nothing_ticked_means_nothing_wanted_any_more(people: cast.People, sign_in: SignIn) -> None:
    Subscription.objects.create(user=people.viewer, channel=direct(), events=["failed"])
    Subscription.objects.create(
        user=people.admin, channel=NotificationChannel.objects.get(), events=["failed"]
    )
    sign_in(people.viewer).post(PAGE, {})
    assert [kept.user for kept in Subscription.objects.all()] == [people.admin]


@pytest.mark.parametrize(
    "posted",
    [
        {"direct-events": ["everything"]},
        {"direct-events": ["reachable"]},
        {"direct-events": ["failed"], "direct-applications": ["flask-k8s-example"]},
    ],
)
def test_only_what_is_offered_to_this_person_can_be_chosen(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn, posted: dict[str, list[str]]
) -> None:
    direct()
    assert sign_in(people.outsider).post(PAGE, posted).status_code == 422
    assert not Subscription.objects.exists()


def test_rooms_are_nobodys_to_choose_and_addresses_are_not_shown(
    room: Room, people: cast.People, sign_in: SignIn
) -> None:
    channel(slug="everybodys-room")
    direct()
    client = sign_in(people.viewer)
    page = client.get(PAGE).content.decode()
    assert "everybodys-room" not in page
    assert "Reaches you as viewer." in page
    for secret in ("127.0.0.1", "DIRECT_URL", "env:"):
        assert secret not in page
    client.post(PAGE, {"everybodys-room-events": ["failed"]})
    assert not Subscription.objects.exists()


def test_a_person_without_an_address_reads_who_can_help(people: cast.People, sign_in: SignIn) -> None:
    direct(slug="mail", url="env:MAIL_URL", personal="email")
    people.viewer.email = ""
    people.viewer.save()
    page = sign_in(people.viewer).get(PAGE).content.decode()
    assert "No e-mail address is known; an administrator can enter it." in page
    assert "mail-events" not in page
    assert "Reaches you as admin@example.com." in sign_in(people.admin).get(PAGE).content.decode()


def test_a_channel_that_takes_nothing_shows_with_its_last_error(
    room: Room, promotion: Promotion, people: cast.People, sign_in: SignIn
) -> None:
    room.deaf.update({"/secret-path", "/direct/viewer"})
    for to, person in ((channel(), None), (direct(), people.viewer)):
        values = {"event": "approved", "key": "k", "title": "t", "body": "b", "promotion": promotion}
        Notification.objects.create(channel=to, recipient=person, **values)
    channel(slug="quiet")
    sending.send_due()
    page = sign_in(people.admin).get("/upstreams/").content.decode()
    assert page.count("takes no messages") == 2
    assert page.count("it answered 503") == 2
    assert page.count("not used yet") == 1
    assert "secret-path" not in page
    own = sign_in(people.viewer).get(PAGE).content.decode()
    assert "The last message to you did not arrive:" in own
    assert "it answered 503" in own
