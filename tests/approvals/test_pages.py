"""The page "My approvals", the header's count and the API's list."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from promotions import operations
from promotions.models import Announcement, Promotion
from promotions.tokens import issue_token
from promotions.workflow import announce_promotion, transition
from tests import cast
from tests.pages.conftest import SignIn


def text(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def test_the_page_says_what_since_when_by_whom_and_what_changes(
    waiting: Promotion, people: cast.People, sign_in: SignIn
) -> None:
    since = timezone.now() - timedelta(hours=2)
    Promotion.objects.update(status_at=since)
    page = text(sign_in(people.approver), "/approvals/")
    assert f'href="{waiting.get_absolute_url()}"' in page
    assert since.isoformat() in page
    assert "data-elapsed" in page
    assert "Rin Sato" in page
    edit = waiting.edits[0]
    for said in (edit["file"], edit["key"], edit["old"], edit["new"], "1.1.0"):
        assert said in page
    assert "Nothing waits for you" in text(sign_in(people.requester), "/approvals/")


def test_only_the_first_of_many_edits_are_shown_and_the_others_counted(
    waiting: Promotion, people: cast.People, sign_in: SignIn
) -> None:
    edits = [{**waiting.edits[0], "file": f"file-{number}.yaml"} for number in range(9)]
    Promotion.objects.update(edits=edits)
    page = text(sign_in(people.approver), "/approvals/")
    assert "file-3.yaml" in page
    assert "file-4.yaml" not in page
    assert "and 5 more keys" in page


def test_the_part_that_is_loaded_again_is_the_one_on_the_page(
    waiting: Promotion, people: cast.People, sign_in: SignIn
) -> None:
    client = sign_in(people.approver)
    assert text(client, "/approvals/list/").strip() in text(client, "/approvals/")


def test_the_header_counts_for_each_person_and_says_nothing_for_nobody(
    waiting: Promotion, people: cast.People, sign_in: SignIn
) -> None:
    def counted(user: User) -> str:
        return re.sub(r"<[^>]*>", " ", text(sign_in(user), "/approvals/count/")).strip()

    assert re.split(r"\s+", counted(people.approver), maxsplit=1) == [
        "1",
        "promotion waits for your decision",
    ]
    assert counted(people.requester) == counted(people.outsider) == ""
    operations.approve(waiting, by=people.approver, change_hash=cast.HASH)
    assert counted(people.approver) == ""


def test_every_page_asks_for_the_count_and_again_at_each_sign(people: cast.People, sign_in: SignIn) -> None:
    page = text(sign_in(people.viewer), "/")
    count = r'id="approvals-count" role="status" hx-get="/approvals/count/" hx-trigger="{}refresh'
    assert re.search(count.format("load, "), page)
    # It takes the other one's place: live.js lets only what has a place on the page through.
    part = text(sign_in(people.viewer), "/approvals/count/")
    assert re.match("<span " + count.format(""), part)
    assert 'data-refresh-with="approvals-mark"' in page
    assert re.search(r'data-live-wants="[^"]*\bapprovals\b', page)
    assert '<output id="approvals-mark" hidden>' in page


@pytest.mark.django_db(transaction=True)
def test_a_decision_gives_the_sign_and_a_running_promotions_progress_does_not(
    waiting: Promotion, people: cast.People
) -> None:
    signs = Announcement.objects.filter(fragment="approvals")
    operations.approve(waiting, by=people.approver, change_hash=cast.HASH)
    assert set(signs.values_list("application_id", flat=True)) == {waiting.stage.application_id}
    signs.delete()
    waiting.refresh_from_db()
    transition(waiting, operations.Status.RUNNING, by=None, step="write")
    announce_promotion(waiting)
    assert not signs.exists()


def test_the_api_lists_the_same_and_a_narrowed_token_less(waiting: Promotion, people: cast.People) -> None:
    def listed(user: User, **narrowed: object) -> list[int]:
        _row, token = issue_token(user, name="t", by=user, **narrowed)  # type: ignore[arg-type]
        response = Client().get("/api/approvals/", headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == 200, response.content
        for found in response.json()["results"]:
            assert found["waits_since"]
            assert found["edits"]
        return [found["id"] for found in response.json()["results"]]

    assert listed(people.approver) == [waiting.pk]
    assert listed(people.requester) == []
    assert listed(people.approver, applications=["another"]) == []
