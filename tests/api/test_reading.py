"""What the API shows, and to whom."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from promotions.models import StepLog
from promotions.workflow import record
from tests.api.conftest import TIP, ClientOf
from tests.cast import Catalogue, People, make_delivery, make_promotion, make_run, make_upstream
from tests.integrations.loopback import Loopback

LISTS = (
    "applications",
    "environments",
    "stages",
    "versions",
    "promotions",
    "runs",
    "deliveries",
    "upstreams",
    "audit",
)
MACHINERY = ("deliveries", "upstreams")


@pytest.mark.parametrize("name", LISTS)
def test_strangers_are_asked_for_a_token(db: None, name: str) -> None:
    answer = APIClient().get(f"/api/{name}/")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="slipway"'


@pytest.mark.parametrize("name", [name for name in LISTS if name not in MACHINERY])
def test_somebody_without_a_role_sees_empty_lists(
    catalogue: Catalogue, people: People, client_of: ClientOf, name: str
) -> None:
    make_run(catalogue)
    promotion = make_promotion(catalogue, people.requester)
    record("promotion.requested", subject=promotion, by=people.requester, promotion=promotion)
    record("catalogue.applied", subject="a file", by=None)
    answer = client_of(people.outsider).get(f"/api/{name}/")
    assert answer.status_code == 200
    assert answer.json()["count"] == 0


@pytest.mark.parametrize("name", LISTS)
def test_a_viewer_sees_everything_of_the_application_and_no_machinery(
    catalogue: Catalogue, people: People, client_of: ClientOf, name: str
) -> None:
    make_run(catalogue)
    make_delivery(catalogue)
    promotion = make_promotion(catalogue, people.requester)
    record("promotion.requested", subject=promotion, by=people.requester, promotion=promotion)
    answer = client_of(people.viewer).get(f"/api/{name}/")
    if name in MACHINERY:
        assert answer.status_code == 403
    else:
        assert answer.json()["count"] > 0


def test_what_a_person_may_not_see_does_not_exist_for_them(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    promotion = make_promotion(catalogue, people.requester)
    run = make_run(catalogue)
    log = StepLog.objects.filter(task_run__run=run)[0]
    stage, version = catalogue.production.pk, catalogue.newer.pk
    client = client_of(people.outsider)
    for path in (
        f"applications/{catalogue.application.slug}/",
        f"stages/{stage}/",
        f"stages/{stage}/preview/?version={version}",
        f"versions/{version}/",
        f"promotions/{promotion.pk}/",
        f"runs/{run.pk}/",
        f"runs/{run.pk}/logs/{log.pk}/",
    ):
        assert client.get(f"/api/{path}").status_code == 404, path


def test_a_stage_gives_the_three_answers(catalogue: Catalogue, people: People, client_of: ClientOf) -> None:
    """Design section 2: desired, running and promoted are never merged into one."""
    promotion = make_promotion(catalogue, people.requester)
    state = catalogue.production.state
    state.promoted = promotion
    state.save()
    found = client_of(people.viewer).get(f"/api/stages/{catalogue.production.pk}/").json()
    assert (found["application"], found["environment"]) == ("flask-k8s-example", "production")
    assert found["desired"]["version"]["label"] == "1.0.0"
    assert (found["running"]["tag"], found["running"]["sync_status"]) == ("1.0.0", "Synced")
    assert found["promoted"]["promotion"] == promotion.pk
    assert found["manifests"]["write_mode"] == "team-branch"


def test_a_preview_shows_the_exact_change_and_its_hash(
    catalogue: Catalogue, people: People, client_of: ClientOf, gitlab: Loopback
) -> None:
    path = f"/api/stages/{catalogue.production.pk}/preview/?version={catalogue.newer.pk}"
    found = client_of(people.requester).get(path).json()
    assert found["refusals"] == []
    assert found["base_commit"] == TIP
    assert found["change"]["edits"][0]["new"].endswith("1.1.0")
    assert (
        "-          image: harbor.centre.com/k8s/flask-k8s-example:1.0.0 # by hand\n"
        in found["change"]["diff"]
    )
    assert len(found["change"]["hash"]) == 64


def test_a_preview_tells_every_reason_why_not_and_who_can_fix_it(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    path = f"/api/stages/{catalogue.dev.pk}/preview/?version={catalogue.newer.pk}"
    found = client_of(people.viewer).get(path).json()
    gates = {refusal["gate"] for refusal in found["refusals"]}
    # GitLab is out of reach here: that too is a reason, not an error of the preview.
    assert gates >= {"role", "promotable", "image", "change"}
    assert all(refusal["message"] and refusal["who_can_fix_it"] for refusal in found["refusals"])
    assert found["change"] is None


@pytest.mark.parametrize(("query", "status"), [("", 400), ("?version=x", 400), ("?version=99999999", 404)])
def test_a_preview_needs_a_version(
    catalogue: Catalogue, people: People, client_of: ClientOf, query: str, status: int
) -> None:
    path = f"/api/stages/{catalogue.production.pk}/preview/{query}"
    assert client_of(people.viewer).get(path).status_code == status


def test_a_promotion_shows_its_diff_steps_and_approvals(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    promotion = make_promotion(catalogue, people.requester)
    promotion.steps.create(step="write", status="running")
    promotion.approvals.create(
        person=people.approver, person_name="Ada Weber", decision="approved", change_hash="c" * 64
    )
    found = client_of(people.viewer).get(f"/api/promotions/{promotion.pk}/").json()
    assert "-          image:" in found["diff"]
    assert [step["step"] for step in found["steps"]] == ["write"]
    assert [approval["person"] for approval in found["approvals"]] == ["Ada Weber"]
    assert found["edits"][0]["file"] == "overlays/prod/deployment.yml"
    assert "diff" not in client_of(people.viewer).get("/api/promotions/").json()["results"][0]


def test_a_run_shows_its_tasks_and_its_logs_as_text(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    run = make_run(catalogue, log="<script>alert(1)</script>\n")
    client = client_of(people.viewer)
    found = client.get(f"/api/runs/{run.pk}/").json()
    assert [task["task"] for task in found["tasks"]] == ["git-clone", "build"]
    log = found["tasks"][1]["logs"][0]
    answer = client.get(f"/api/runs/{run.pk}/logs/{log['id']}/")
    assert answer.content == b"<script>alert(1)</script>\n"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Disposition"] == "attachment"


def test_a_run_of_no_application_is_machinery(
    catalogue: Catalogue, people: People, client_of: ClientOf, machinist: User
) -> None:
    run = make_run(catalogue, application=None)
    assert client_of(people.viewer).get(f"/api/runs/{run.pk}/").status_code == 404
    assert client_of(machinist).get(f"/api/runs/{run.pk}/").status_code == 200


def test_a_delivery_shows_its_raw_body_and_no_secret(
    catalogue: Catalogue, machinist: User, client_of: ClientOf
) -> None:
    headers = {"x-gitlab-event": "Push Hook", "x-gitlab-token": "very-secret"}
    delivery = make_delivery(catalogue, body=b'{"ref": "\xff"}', headers=headers)
    answer = client_of(machinist).get(f"/api/deliveries/{delivery.pk}/")
    assert answer.json()["body"] == '{"ref": "�"}'
    assert answer.json()["headers"]["x-gitlab-event"] == "Push Hook"
    assert "very-secret" not in answer.content.decode()


def test_an_upstream_shows_how_fresh_it_is(
    catalogue: Catalogue, machinist: User, client_of: ClientOf
) -> None:
    make_upstream(catalogue.gitlab, "branch", trouble="GitLab answers 502.")
    (found,) = client_of(machinist).get("/api/upstreams/?state=troubled").json()["results"]
    assert (found["connection"], found["message"]) == ("gitlab", "GitLab answers 502.")


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("promotions/?application=flask-k8s-example&environment=production&status=requested", 1),
        ("promotions/?status=succeeded,failed", 0),
        ("promotions/?status=succeeded,requested", 1),
        ("promotions/?environment=dev", 0),
        ("promotions/?requested_by=requester", 1),
        ("versions/?tag=1.1.0", 1),
        ("versions/?image=flask-k8s-example", 2),
        ("stages/?environment=dev,production", 2),
        ("environments/?risk=production", 1),
    ],
)
def test_lists_are_filtered(
    catalogue: Catalogue, people: People, client_of: ClientOf, path: str, count: int
) -> None:
    make_promotion(catalogue, people.requester)
    assert client_of(people.viewer).get(f"/api/{path}").json()["count"] == count


@pytest.mark.parametrize(
    ("query", "name", "told"),
    [
        ("stauts=open", "stauts", 'Did you mean "status"?'),
        ("status=requestd", "status", 'Did you mean "requested"?'),
        ("stage=one", "stage", '"one" is not a number.'),
        ("ordering=size", "ordering", '"size" is not one of them.'),
        ("requested_by=%00", "requested_by", "Holds a NUL character."),
    ],
)
def test_a_parameter_nobody_knows_is_refused_by_name(
    catalogue: Catalogue, people: People, client_of: ClientOf, query: str, name: str, told: str
) -> None:
    answer = client_of(people.viewer).get(f"/api/promotions/?{query}")
    assert answer.status_code == 400
    assert told in answer.json()[name][0]


def test_lists_come_in_pages_and_in_the_order_asked_for(
    catalogue: Catalogue, people: People, client_of: ClientOf
) -> None:
    client = client_of(people.viewer)
    first = client.get("/api/versions/?limit=2&ordering=created_at").json()
    assert first["count"] == 3
    assert [version["tag"] for version in first["results"]] == ["1.0.0", "1.1.0"]
    assert [version["tag"] for version in client.get(first["next"]).json()["results"]] == ["latest"]
    assert client.get("/api/versions/?limit=100000").json()["next"] is None


def test_audit_entries_can_not_be_written(catalogue: Catalogue, people: People, client_of: ClientOf) -> None:
    client = client_of(people.admin)
    for method in (client.post, client.put, client.patch, client.delete):
        assert method("/api/audit/", {}, format="json").status_code == 405


@pytest.mark.parametrize("name", LISTS)
def test_a_list_takes_as_many_queries_for_many_rows_as_for_one(
    catalogue: Catalogue,
    people: People,
    client_of: ClientOf,
    name: str,
    django_assert_max_num_queries: object,
) -> None:
    for number in range(5):
        make_run(catalogue)
        make_delivery(catalogue)
        make_upstream(catalogue.gitlab, f"kind-{number}")
        make_promotion(catalogue, people.requester, status="succeeded", finished_at=catalogue.started_at)
    client = client_of(people.admin)
    client.get(f"/api/{name}/")
    with django_assert_max_num_queries(8):  # type: ignore[operator]
        assert client.get(f"/api/{name}/").status_code == 200
