"""Reading the trail: what is found by what, by whom, and what an export holds."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from promotions.audit import chain
from promotions.models import AuditEntry
from promotions.tokens import issue_token
from promotions.workflow import record
from tests import cast


def client_of(user: User, address: str = "10.1.2.3") -> Client:
    client = Client(REMOTE_ADDR=address)
    client.force_login(user)
    return client


@pytest.fixture
def promotion_entry(catalogue: cast.Catalogue, people: cast.People) -> AuditEntry:
    promotion = cast.make_promotion(catalogue, people.requester, written_commit="9" * 40)
    record("promotion.requested", subject=promotion, by=people.requester, promotion=promotion, reason="Today")
    record("catalogue.applied", subject="catalogue.yaml", by=None)
    return AuditEntry.objects.get(action="promotion.requested")


def found(user: User, **search: object) -> list[str]:
    answer = client_of(user).get(reverse("audit"), search)
    assert answer.status_code == 200
    return [row.entry.action for row in answer.context["shown"].rows]


@pytest.mark.parametrize(
    "search",
    [
        {"person": "requester"},
        {"person": "rin sato"},
        {"application": "flask-k8s-example"},
        {"environment": "production"},
        {"action": "promotion.requested"},
        {"commit": "2" * 40},
        {"commit": "2222222"},
        {"commit": "99999999"},
        {"tag": "1.1.0"},
        {"digest": "sha256:" + "2" * 40},
        {"digest": "22222222"},
        {"via": "command", "tag": "1.1.0"},
    ],
)
def test_an_entry_is_found_by_everything_it_is_about(
    promotion_entry: AuditEntry, people: cast.People, search: dict[str, str]
) -> None:
    assert found(people.admin, **search) == ["promotion.requested"]
    nothing = {name: "command" if name == "via" else "3" * 40 for name in search}
    assert found(people.admin, **nothing) == []


def test_an_entry_is_found_by_its_promotion_and_day(promotion_entry: AuditEntry, people: cast.People) -> None:
    today = timezone.localdate()
    assert found(people.admin, promotion=promotion_entry.promotion_id) == ["promotion.requested"]
    assert len(found(people.admin, since=today, until=today)) == 2
    assert found(people.admin, until=today - timedelta(days=1)) == []
    assert found(people.admin, since=today + timedelta(days=1)) == []


@pytest.mark.parametrize("search", ["since=yesterday", "promotion=x", "via=heaven", "commit=1"])
def test_a_search_that_means_nothing_is_refused_with_a_sentence(people: cast.People, search: str) -> None:
    answer = client_of(people.admin).get(f"{reverse('audit')}?{search}")
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
    assert client_of(people.admin).get(f"{reverse('audit-export', args=['csv'])}?{search}").status_code == 422


def test_each_person_reads_what_their_roles_cover(promotion_entry: AuditEntry, people: cast.People) -> None:
    other = AuditEntry.objects.get(action="catalogue.applied")
    assert found(people.viewer) == ["promotion.requested"]
    assert found(people.outsider) == []
    assert len(found(people.admin)) == 2
    assert client_of(people.viewer).get(promotion_entry.get_absolute_url()).status_code == 200
    assert client_of(people.viewer).get(other.get_absolute_url()).status_code == 404
    assert client_of(people.outsider).get(promotion_entry.get_absolute_url()).status_code == 404


def test_pages_go_on_by_key_while_entries_are_added(db: None, people: cast.People) -> None:
    for number in range(60):
        record("thing.done", subject=number, by=None)
    client = client_of(people.admin)
    first = client.get(reverse("audit"), {"action": "thing.done"})
    record("thing.done", subject="newer", by=None)
    link = f"?action=thing.done&before={first.context['shown'].older}"
    assert link.replace("&", "&amp;") in first.content.decode()
    second = client.get(reverse("audit") + link)
    subjects = [row.entry.subject for page in (first, second) for row in page.context["shown"].rows]
    assert subjects == [str(number) for number in range(59, -1, -1)]
    assert second.context["shown"].older is None


def test_an_entry_is_read_after_its_person_is_deleted(
    promotion_entry: AuditEntry, people: cast.People
) -> None:
    url = promotion_entry.get_absolute_url()
    people.requester.delete()
    page = client_of(people.admin).get(url).content.decode()
    assert "Rin Sato" in page
    assert found(people.admin, person="requester") == ["promotion.requested"]


def exported(user: User, kind: str, **search: object) -> str:
    answer = client_of(user).get(reverse("audit-export", args=[kind]), search)
    assert answer.status_code == 200
    assert f".{kind}" in answer.headers["Content-Disposition"]
    return b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "＝1", "\r=1"])
def test_no_cell_of_the_csv_is_a_formula(people: cast.People, evil: str) -> None:
    record("thing.done", subject=evil, by=None, reason=evil)
    rows = list(csv.DictReader(io.StringIO(exported(people.admin, "csv").removeprefix("\ufeff"), newline="")))
    assert rows[-1]["reason"] == f"'{evil}"
    assert rows[-1]["subject"] == f"'{evil}"


def test_json_lines_can_be_verified_without_the_database(
    promotion_entry: AuditEntry, people: cast.People
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    lines = [json.loads(line) for line in exported(people.admin, "jsonl").splitlines()]
    assert [line["action"] for line in lines] == [
        "audit.exported",
        "catalogue.applied",
        "promotion.requested",
    ]
    for line in lines:
        at = datetime.fromisoformat(line["at"])
        assert chain.content_hash({**line, "at": at}) == line["content_hash"]
        sealed = chain.seal(line["number"], line["id"], line["previous_hash"], line["content_hash"])
        assert sealed == line["hash"]


def test_an_export_holds_what_was_searched_and_is_itself_told(
    promotion_entry: AuditEntry, people: cast.People
) -> None:
    lines = exported(people.viewer, "jsonl", tag="1.1.0").splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["promotion.requested"]
    told = AuditEntry.objects.get(action="audit.exported")
    assert (told.actor, told.data["search"]) == (people.viewer, {"tag": "1.1.0"})
    assert client_of(people.viewer).get(reverse("audit-export", args=["xlsx"])).status_code == 404


def test_a_page_a_token_and_the_process_are_each_told_as_where_it_came_from(
    catalogue: cast.Catalogue, people: cast.People
) -> None:
    promotion = cast.make_promotion(catalogue, people.requester)
    client = client_of(people.approver, "10.0.0.7")
    said = {"seen_hash": cast.HASH, "comment": "Fine"}
    client.post(reverse("promotion-approve", args=[promotion.pk]), said)
    entry = AuditEntry.objects.get(action="approval.approved")
    assert (entry.via, entry.address, entry.reason) == ("page", "10.0.0.7", "Fine")
    _token, text = issue_token(people.requester, name="ci", by=people.admin, scopes=["promote"])
    headers = {"Authorization": f"Bearer {text}"}
    path = f"/api/promotions/{promotion.pk}/abort/"
    Client(REMOTE_ADDR="10.0.0.8").post(path, {"reason": "No"}, "application/json", headers=headers)
    entry = AuditEntry.objects.get(action="promotion.aborted")
    assert (entry.via, entry.client, entry.address) == ("token", "ci", "10.0.0.8")
    record("thing.done", subject="x", by=None)
    assert AuditEntry.objects.latest("id").via == "command", "the request's origin ends with the request"


def test_the_api_finds_what_the_page_finds(promotion_entry: AuditEntry, people: cast.People) -> None:
    client = client_of(people.admin)
    answer = client.get("/api/audit/?tag=1.1.0").json()
    (row,) = answer["results"]
    assert (row["action"], row["reason"], row["manifest_commit"]) == (
        "promotion.requested",
        "Today",
        "9" * 40,
    )
    assert client.get(f"/api/audit/?before={row['id']}").json()["results"] == []
    assert client.get("/api/audit/?commit=1").status_code == 400
    assert client.get("/api/audit/?before=x").status_code == 400
    assert client.get("/api/audit/?colour=red").status_code == 400
