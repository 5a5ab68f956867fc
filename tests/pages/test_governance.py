"""Locks, marks and exceptions on the pages: allowed, forbidden, stale, shown."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from promotions.models import (
    Environment,
    FreezeException,
    FreezeWindow,
    Lock,
    Promotion,
    VersionBlock,
)
from tests import cast
from tests.pages.conftest import SignIn

PLACE = {"application": "flask-k8s-example", "environment": "production"}


def html(client: Client, url: str) -> str:
    return client.get(url).content.decode()


def freeze() -> None:
    now = timezone.now().replace(tzinfo=None)
    begins, ends = (now + sign * timedelta(hours=2) for sign in (-1, 1))
    FreezeWindow.objects.create(
        slug="year", reason="Year's end", begins_at=begins.isoformat(), ends_at=ends.isoformat()
    )


def test_an_approver_locks_a_stage_and_everybody_sees_why(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    client = sign_in(people.approver)
    asking = html(client, f"{reverse('lock')}?application=flask-k8s-example&environment=production")
    assert '<option value="production" selected>' in asking
    answer = client.post(reverse("lock"), {**PLACE, "reason": "A migration runs"})
    assert answer["Location"] == reverse("locks")
    standing = Lock.objects.get()
    assert (standing.set_by, standing.reason) == (people.approver, "A migration runs")
    viewer = sign_in(people.viewer)
    for url in (reverse("locks"), reverse("matrix"), catalogue.application.get_absolute_url()):
        assert "A migration runs" in html(viewer, url), url
    assert "by lifting the lock" in html(sign_in(people.requester), promote_url(catalogue))


def promote_url(catalogue: cast.Catalogue) -> str:
    return reverse("promote", args=["flask-k8s-example", "production", catalogue.newer.pk])


def test_a_developer_may_not_lock_and_reads_who_may(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    answer = sign_in(people.requester).post(reverse("lock"), {**PLACE, "reason": "x"})
    assert answer.status_code == 409
    assert "Ada Weber" in answer.content.decode()
    assert not Lock.objects.exists()


def test_a_lock_needs_its_reason_and_a_place_that_one_may_see(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    assert sign_in(people.approver).post(reverse("lock"), {**PLACE, "reason": " "}).status_code == 422
    assert sign_in(people.outsider).post(reverse("lock"), {**PLACE, "reason": "x"}).status_code == 422
    assert not Lock.objects.exists()


def test_the_emergency_stop_is_announced_on_every_page_and_lifted_with_a_reason(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    admin = sign_in(people.admin)
    admin.post(reverse("lock"), {"reason": "The shop loses orders"})
    stop = Lock.objects.get()
    for url in (reverse("matrix"), reverse("promotions"), reverse("locks")):
        assert "Everything is locked." in html(sign_in(people.viewer), url)
    lift = reverse("lock-lift", args=[stop.pk])
    assert "disabled" in html(sign_in(people.approver), lift)
    assert sign_in(people.approver).post(lift, {"reason": "x"}).status_code == 409
    assert admin.post(lift, {"reason": ""}).status_code == 422
    assert admin.post(lift, {"reason": "Mended"})["Location"] == reverse("locks")
    assert admin.get(lift)["Location"] == reverse("locks")
    assert "Everything is locked." not in html(admin, reverse("matrix"))
    assert "lifted by" in html(admin, reverse("locks"))


def test_a_lock_of_an_application_one_may_not_see_does_not_exist(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    hidden = Lock.objects.create(application=catalogue.application, reason="Secret plans", set_by_name="x")
    client = sign_in(people.outsider)
    assert "Secret plans" not in html(client, reverse("locks"))
    assert client.get(reverse("lock-lift", args=[hidden.pk])).status_code == 404


def test_a_bad_version_is_marked_where_it_runs_and_refused_everywhere(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    client = sign_in(people.approver)
    url = reverse("version-block", args=[catalogue.old.pk])
    assert client.post(url, {"act": "block", "reason": "It loses orders"}).status_code == 302
    sentence = "1.0.0 is marked as bad by Ada Weber: It loses orders"
    for page in (reverse("matrix"), catalogue.application.get_absolute_url()):
        assert sentence in html(client, page)
    assert client.post(url, {"act": "block", "reason": "again"}).status_code == 409
    assert sign_in(people.requester).post(url, {"act": "unblock", "reason": "x"}).status_code == 409
    assert client.post(url, {"act": "unblock", "reason": "It was the network"}).status_code == 302
    assert not VersionBlock.objects.filter(lifted_at=None).exists()
    assert sentence not in html(client, reverse("matrix"))


def test_what_only_waits_does_not_disable_the_button(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    freeze()
    page = html(sign_in(people.requester), catalogue.application.get_absolute_url())
    assert "It would wait:" in page
    assert f'href="{promote_url(catalogue)}"' in page
    assert "is frozen until" in page


def test_an_approver_lets_a_promotion_go_during_the_freeze_and_its_requester_does_not(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    promotion = cast.make_promotion(catalogue, people.requester)
    url = reverse("promotion-freeze-exception", args=[promotion.pk])
    client = sign_in(people.approver)
    assert url not in html(client, promotion.get_absolute_url())
    freeze()
    assert url in html(client, promotion.get_absolute_url())
    assert cast.HASH in html(client, url)
    said = {"seen_hash": cast.HASH, "reason": "A security hole"}
    assert sign_in(people.requester).post(url, said).status_code == 409
    assert client.post(url, {**said, "seen_hash": "0" * 64}).status_code == 409
    assert client.post(url, {"seen_hash": cast.HASH}).status_code == 422
    assert client.post(url, said)["Location"] == promotion.get_absolute_url()
    assert FreezeException.objects.get().person == people.approver
    page = html(client, promotion.get_absolute_url())
    assert "is frozen until" not in page
    assert "let it go during the freeze" in page


def test_the_question_shows_the_old_and_the_new_difference_when_they_differ(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    old = cast.DIFF.replace("1.1.0", "1.0.9")
    promotion = cast.make_promotion(catalogue, people.requester, previous_diff=old)
    page = html(sign_in(people.approver), reverse("promotion-approve", args=[promotion.pk]))
    assert "1.0.9" in page
    assert "Earlier approvals do not count" in page


@pytest.mark.parametrize("name", ["lock", "lock-lift", "version-block", "promotion-freeze-exception"])
def test_every_act_needs_the_csrf_token(catalogue: cast.Catalogue, people: cast.People, name: str) -> None:
    lock = Lock.objects.create(
        environment=Environment.objects.get(slug="dev"), reason="x", set_by_name="Ada Weber"
    )
    promotion: Promotion = cast.make_promotion(catalogue, people.requester)
    arguments = {
        "lock": [],
        "lock-lift": [lock.pk],
        "version-block": [catalogue.newer.pk],
        "promotion-freeze-exception": [promotion.pk],
    }
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.admin)
    assert client.post(reverse(name, args=arguments[name]), {"reason": "x"}).status_code == 403
    assert client.put(reverse(name, args=arguments[name])).status_code in (403, 405)


def test_the_calendar_s_rules_are_listed_with_what_holds_now(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    freeze()
    FreezeWindow.objects.create(slug="mars", starts="0 0 * * *", lasts=60, time_zone="Mars/Olympus")
    page = html(sign_in(people.viewer), reverse("locks"))
    assert "holds until" in page
    assert "there is no time zone" in page
    assert "Year&#x27;s end" not in html(sign_in(people.outsider), reverse("locks"))


def test_a_promotion_shows_its_checks_and_its_exception(
    catalogue: cast.Catalogue, people: cast.People, sign_in: SignIn
) -> None:
    rules = [{"name": name, "url": "", "secret": "", "group": ""} for name in ("tests", "ticket")]
    Environment.objects.filter(slug="production").update(policy={"checks": rules})
    promotion = cast.make_promotion(catalogue, people.requester)
    promotion.checks.create(name="tests", state="failed", message="3 of 40", change_hash=cast.HASH)
    FreezeException.objects.create(
        promotion=promotion, person_name="Ada Weber", reason="A security hole", change_hash=cast.HASH
    )
    page = html(sign_in(people.viewer), promotion.get_absolute_url())
    for words in ("3 of 40", "ticket", "A security hole"):
        assert words in page
