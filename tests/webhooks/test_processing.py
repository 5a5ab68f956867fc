"""What a worker makes of a delivery: one queued look at each thing it speaks of, and nothing else."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from procrastinate.contrib.django.models import ProcrastinateJob

from integrations.registry import webhooks as registry
from promotions import deliveries
from promotions.choices import DeliveryOutcome, PromotionStatus, Vendor
from promotions.models import Delivery, WebhookSource
from promotions.webhooks import processing
from promotions.workflow import StaleState
from tests import cast
from tests.system import wait_for
from tests.webhooks.conftest import fixture_body

PROJECT = cast.MANIFEST_PROJECT


@pytest.fixture
def catalogue(db: None) -> cast.Catalogue:
    return cast.make_catalogue(cast.make_people())


def deliver(
    catalogue: cast.Catalogue, body: dict[str, object] | bytes, vendor: Vendor = Vendor.GITLAB
) -> Delivery:
    """Put a delivery where the receiver would."""
    owner = catalogue.gitlab if vendor == Vendor.GITLAB else catalogue.production.image.connection
    source, _new = WebhookSource.objects.get_or_create(connection=owner)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    key = registry.dedupe_key({}, content) + str(Delivery.objects.count())
    return Delivery.objects.create(source=source, dedupe_key=key[-200:], body=content)


def queued() -> list[tuple[str, dict[str, object]]]:
    """Return the jobs that wait, oldest first."""
    jobs = ProcrastinateJob.objects.filter(status="todo").order_by("id")
    return [(job.task_name.removeprefix("promotions."), job.args) for job in jobs]


def processed(delivery: Delivery) -> Delivery:
    processing.process_pending()
    delivery.refresh_from_db()
    return delivery


def gitlab_event(name: str, project: str = PROJECT) -> dict[str, object]:
    event = json.loads(fixture_body(f"gitlab/{name}"))
    event["project"]["path_with_namespace"] = project
    return event


def look(catalogue: cast.Catalogue, branch: str) -> tuple[str, dict[str, object]]:
    return "look_at_branch", {"connection_id": catalogue.gitlab.pk, "project": PROJECT, "branch": branch}


def test_a_push_leads_to_one_look_at_each_followed_branch_of_its_project(catalogue: cast.Catalogue) -> None:
    done = processed(deliver(catalogue, gitlab_event("webhook-push-branch.json")))
    assert queued() == [look(catalogue, "dev"), look(catalogue, "main")]
    assert done.outcome == DeliveryOutcome.PROCESSED
    assert done.message == f"Looking now at {PROJECT}@dev, {PROJECT}@main."
    assert done.processed_at is not None


def test_a_project_s_path_is_matched_as_gitlab_does_without_regard_to_case(catalogue: cast.Catalogue) -> None:
    processed(deliver(catalogue, gitlab_event("webhook-push-branch.json", PROJECT.upper())))
    assert queued() == [look(catalogue, "dev"), look(catalogue, "main")]


def test_the_same_event_by_project_and_group_hook_leads_to_one_look(catalogue: cast.Catalogue) -> None:
    """Reference webhook-security.md, test list: same event by project and group hook."""
    first = deliver(catalogue, gitlab_event("webhook-push-branch.json"))
    second = deliver(catalogue, gitlab_event("webhook-push-branch.json"))
    processing.process_pending()
    assert queued() == [look(catalogue, "dev"), look(catalogue, "main")]
    for delivery in (first, second):
        delivery.refresh_from_db()
        assert delivery.outcome == DeliveryOutcome.PROCESSED


def test_a_push_to_a_source_project_says_where_its_effect_is_followed(catalogue: cast.Catalogue) -> None:
    source = catalogue.application.source_project
    done = processed(deliver(catalogue, gitlab_event("webhook-push-branch.json", source)))
    assert (done.outcome, queued()) == (DeliveryOutcome.IGNORED, [])
    assert done.message == f"Source of {catalogue.application.name}: its builds are followed where they run."


@pytest.mark.usefixtures("transactional_db")
@pytest.mark.parametrize("name", ["webhook-mr-merge.derived.json", "webhook-mr-close.derived.json"])
def test_a_merge_request_wakes_the_open_promotion_of_its_project_and_looks_at_the_branches(
    catalogue: cast.Catalogue, name: str
) -> None:
    promotion = cast.make_promotion(catalogue, cast.User.objects.get(username="requester"))
    processed(deliver(catalogue, gitlab_event(name)))
    jobs = queued()
    assert ("advance", {"promotion_id": promotion.pk}) in jobs
    assert [job for job in jobs if job[0] != "advance"] == [look(catalogue, "dev"), look(catalogue, "main")]


def test_a_merge_request_of_another_project_wakes_nobody(catalogue: cast.Catalogue) -> None:
    cast.make_promotion(catalogue, cast.User.objects.get(username="requester"))
    event = gitlab_event("webhook-mr-merge.derived.json", "somebody/else")
    assert processed(deliver(catalogue, event)).outcome == DeliveryOutcome.IGNORED
    assert queued() == []


def test_a_closed_promotion_is_not_woken(catalogue: cast.Catalogue) -> None:
    promotion = cast.make_promotion(catalogue, cast.User.objects.get(username="requester"))
    type(promotion).objects.update(status=PromotionStatus.REJECTED, finished_at=promotion.requested_at)
    processed(deliver(catalogue, gitlab_event("webhook-mr-merge.derived.json")))
    assert "advance" not in dict(queued())


@pytest.mark.parametrize(
    "name",
    ["webhook-tag-push-create.json", "webhook-pipeline-success.json", "webhook-deployment-success.json"],
)
def test_tags_pipelines_and_deployments_are_kept_and_lead_to_nothing(
    catalogue: cast.Catalogue, name: str
) -> None:
    assert processed(deliver(catalogue, gitlab_event(name))).outcome == DeliveryOutcome.IGNORED
    assert queued() == []


def test_a_gitlab_pipeline_of_a_source_project_leads_to_a_look_at_its_images(
    catalogue: cast.Catalogue,
) -> None:
    """Scenario B: Docker Hub tells nobody of a push, so the pipeline that made it does."""
    event = gitlab_event("webhook-pipeline-success.json", cast.SOURCE_PROJECT.upper())
    assert processed(deliver(catalogue, event)).outcome == DeliveryOutcome.PROCESSED
    images = {catalogue.production.image_id, catalogue.dev.image_id}
    pipeline = {
        "connection_id": catalogue.gitlab.pk,
        "project": cast.SOURCE_PROJECT.upper(),
        "number": event["object_attributes"]["id"],  # type: ignore[index]
    }
    looks: list[tuple[str, dict[str, object]]] = [("look_at_pipeline", pipeline)]
    looks += [("look_at_image", {"image_id": image}) for image in images]
    assert sorted(queued(), key=str) == sorted(looks, key=str)


def harbor_event(repository: str = "k8s/flask-k8s-example", tag: str | None = None) -> dict[str, object]:
    event = json.loads(fixture_body("harbor/push-artifact.default.by-tag.derived.json"))
    event["event_data"]["repository"]["repo_full_name"] = repository
    if tag is not None:
        event["event_data"]["resources"][0]["tag"] = tag
    return event


def test_an_image_s_push_leads_to_one_look_at_that_image(catalogue: cast.Catalogue) -> None:
    done = processed(deliver(catalogue, harbor_event(), Vendor.HARBOR))
    assert queued() == [("look_at_image", {"image_id": catalogue.production.image_id})]
    assert done.message == f"Looking now at {catalogue.production.image.repository}."


def test_a_digest_in_the_place_of_a_tag_is_a_reason_to_look_all_the_same(catalogue: cast.Catalogue) -> None:
    """Test list: digest-as-tag from Harbor."""
    processed(deliver(catalogue, harbor_event(tag="sha256:" + "a" * 64), Vendor.HARBOR))
    assert queued() == [("look_at_image", {"image_id": catalogue.production.image_id})]


def test_an_envelope_of_1000_registry_events_leads_to_one_look_per_image(catalogue: cast.Catalogue) -> None:
    """Test list: envelope of 1000 registry events."""
    (event,) = json.loads(fixture_body("registry/notification-push-tag.derived.json"))["events"]
    names = ["k8s/flask-k8s-example", "k8s/flask-k8s-example-dev", "k8s/unknown"]
    events = [
        {**event, "target": {**event["target"], "repository": names[number % 3], "tag": f"1.0.{number}"}}
        for number in range(1000)
    ]
    processed(deliver(catalogue, {"events": events}, Vendor.HARBOR))
    looked_at = {args["image_id"] for _task, args in queued()}
    assert looked_at == {catalogue.production.image_id, catalogue.dev.image_id}
    assert len(queued()) == 2


def test_a_vendor_can_only_speak_of_what_its_own_connection_owns(catalogue: cast.Catalogue) -> None:
    """Section "Pipeline", 9: authorise; Harbor's hook about a name of another registry's image."""
    other = type(catalogue.gitlab).objects.create(slug="hub", vendor=Vendor.DISTRIBUTION, url=cast.NOBODY)
    source = WebhookSource.objects.create(connection=other)
    delivery = deliver(catalogue, harbor_event(), Vendor.HARBOR)
    Delivery.objects.filter(pk=delivery.pk).update(source=source)
    assert processed(delivery).outcome == DeliveryOutcome.IGNORED
    assert queued() == []


def test_a_look_that_waits_already_is_not_queued_again_and_the_rest_is(catalogue: cast.Catalogue) -> None:
    processed(deliver(catalogue, gitlab_event("webhook-push-branch.json")))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs WHERE args->>'branch' = 'main'")
    processed(deliver(catalogue, gitlab_event("webhook-push-branch.json")))
    assert queued() == [look(catalogue, "dev"), look(catalogue, "main")]


def test_a_replayed_delivery_is_processed_again_as_if_it_had_just_come(
    catalogue: cast.Catalogue, django_capture_on_commit_callbacks: Any
) -> None:
    done = processed(deliver(catalogue, gitlab_event("webhook-push-branch.json")))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
    person = User.objects.create_user("ada")
    with django_capture_on_commit_callbacks(execute=True):
        deliveries.replay(done, by=person)
    with pytest.raises(StaleState, match="already waiting"):
        deliveries.replay(done, by=person)
    done.refresh_from_db()
    assert (done.outcome, done.attempts, done.processed_at) == (DeliveryOutcome.PENDING, 0, None)
    assert queued() == [("process_deliveries", {})]
    assert processed(done).outcome == DeliveryOutcome.PROCESSED


@pytest.mark.usefixtures("transactional_db")
def test_a_delivery_another_worker_holds_is_passed_over_and_nothing_is_done_twice(
    catalogue: cast.Catalogue,
) -> None:
    held = deliver(catalogue, gitlab_event("webhook-push-branch.json"))
    free = deliver(catalogue, harbor_event(), Vendor.HARBOR)
    with transaction.atomic():
        Delivery.objects.select_for_update().get(pk=held.pk)
        in_other_thread(processing.process_pending)
        free.refresh_from_db()
        held.refresh_from_db()
        assert (free.outcome, held.outcome) == (DeliveryOutcome.PROCESSED, DeliveryOutcome.PENDING)
    assert processed(held).outcome == DeliveryOutcome.PROCESSED


@pytest.mark.usefixtures("transactional_db")
def test_four_workers_at_once_process_each_delivery_once(catalogue: cast.Catalogue) -> None:
    deliveries = [deliver(catalogue, gitlab_event("webhook-push-branch.json")) for _ in range(24)]
    counts: list[int] = []
    threads = [closing_thread(lambda: counts.append(processing.process_pending())) for _ in range(4)]
    for thread in threads:
        thread.join(30)
    assert {delivery.outcome for delivery in Delivery.objects.all()} == {DeliveryOutcome.PROCESSED}
    assert sum(counts) >= len(deliveries)
    assert queued() == [look(catalogue, "dev"), look(catalogue, "main")]


def test_a_delivery_that_kills_its_worker_is_given_up_and_those_behind_it_go_on(
    catalogue: cast.Catalogue,
) -> None:
    """The attempt is counted before it is made, so that a body that kills the process is given up at last."""
    killer = deliver(catalogue, gitlab_event("webhook-push-branch.json"))
    Delivery.objects.filter(pk=killer.pk).update(attempts=5)
    behind = processed(deliver(catalogue, harbor_event(), Vendor.HARBOR))
    killer.refresh_from_db()
    assert (killer.outcome, behind.outcome) == (DeliveryOutcome.FAILED, DeliveryOutcome.PROCESSED)


def closing_thread(work: object) -> threading.Thread:
    """Run in a thread with a database connection of its own, which it closes."""

    def run() -> None:
        try:
            work()  # type: ignore[operator]
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def in_other_thread(work: object) -> None:
    thread = closing_thread(work)
    wait_for(thread.is_alive, lambda alive: not alive, seconds=20)
