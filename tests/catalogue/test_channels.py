"""What the file says about notification channels: rooms, and ways to each person."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User

from promotions.catalogue import CatalogueError, read_catalogue
from promotions.models import NotificationChannel, Subscription
from tests.catalogue.conftest import SHOP, Run

CHANNELS = """
notifications:
  releases: {url: env:CHAT_URL, events: [requested, rolled-back, stuck, unreachable], environments: [prod]}
  mail: {url: env:MAIL_URL, personal: email}
"""
FILE = SHOP + CHANNELS


@pytest.mark.django_db
def test_applying_again_leaves_what_people_chose_and_what_a_channel_went_through(
    apply_catalog: Run, edit: Callable[[str, str], None]
) -> None:
    edit(SHOP, FILE)
    assert "+ notification channel mail" in apply_catalog()
    mail = NotificationChannel.objects.get(personal="email")
    Subscription.objects.create(user=User.objects.create_user("a"), channel=mail, events=["failed"])
    NotificationChannel.objects.update(problem="It is gone.")
    assert "Nothing to change." in apply_catalog()
    assert (Subscription.objects.count(), NotificationChannel.objects.first().problem) == (1, "It is gone.")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("personal: email", "personal: pigeon", "notifications.mail.personal"),
        ("personal: email", "personal: email, events: [failed]", "each person chooses"),
        ("personal: email", "personal: email, environments: [prod]", "each person chooses"),
        ("rolled-back", "rolledback", "there is no event"),
        ("stuck", "reachable", "there is no event"),
    ],
)
def test_a_mistake_in_a_channel_is_told(old: str, new: str, told: str) -> None:
    with pytest.raises(CatalogueError) as raised:
        read_catalogue(FILE.replace(old, new, 1), file="f")
    assert told in str(raised.value)
